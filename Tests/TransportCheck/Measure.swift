import Execution
import Foundation

/// Prints how fast the transport is, from rank 0: sizes in bytes, times in microseconds, CPU times of rank 0.
func measure(_ transport: any Transport, secondsEach: Double) throws {
  let sizes = [2, 4, 8, 16].filter { $0 < transport.size } + [transport.size]
  let benchmark = try TransportBenchmark(transport, groupSizes: sizes, secondsEach: secondsEach)
  func row(_ what: String, _ bytes: Int, _ time: TransferTime, _ rate: Double) {
    guard transport.rank == 0 else { return }
    print(
      what
        + String(
          format: " %9d B  minimum %9.2f  median %9.2f  mean %9.2f  thread CPU %9.2f us  %8.1f MB/s",
          bytes, 1e6 * time.minimum, 1e6 * time.median, 1e6 * time.mean, 1e6 * time.threadCPU, 1e-6 * rate))
  }
  for bytes in [0, 64, 1024, 4096, 65_536, 1 << 20, 4 << 20] {
    if let result = try benchmark.pingPong(bytes: bytes) {
      row("ping-pong    ", bytes, result.time, result.bytesPerSecond)
    }
  }
  for ranks in sizes {
    for bytes in [1024, 28 << 10, 224 << 10, 1792 << 10] {
      if let result = try benchmark.allToAll(ranks: ranks, bytesPerPair: bytes) {
        row("all-to-all \(ranks < 10 ? " " : "")\(ranks)", bytes, result.time, result.bytesPerSecond)
      }
    }
    for kind in [Reduction.Kind.reduceScatter, .allGather, .allReduce] {
      if let result = try benchmark.reduction(kind, ranks: ranks, elements: 1 << 20) {
        // The rate is that of the buffer.
        row("\(kind) \(ranks)", 4 << 20, result.time, Double(4 << 20) / result.time.median)
      }
    }
  }
}

/// Ranks 0 and 1 work for half a second of CPU time while the others wait at a barrier: prints what all of them used.
func measureWaiting(_ transport: any Transport) throws {
  func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
  try transport.barrier()
  let (wall, cpu) = (seconds(CLOCK_MONOTONIC), seconds(CLOCK_THREAD_CPUTIME_ID))
  if transport.rank < 2 { while seconds(CLOCK_THREAD_CPUTIME_ID) < cpu + 0.5 {} }
  let worked = seconds(CLOCK_MONOTONIC) - wall
  try transport.barrier()
  let used = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu
  print(
    "rank \(transport.rank): "
      + String(
        format: "worked %.3f s, wall %.3f s, CPU %.3f s", worked, seconds(CLOCK_MONOTONIC) - wall, used))
}
