import Foundation

/// How long one transfer took, over many repetitions.
///
/// Ranks may outnumber cores, and waiting may cost CPU time (under MPI it polls): wall time then measures the
/// scheduler, CPU time the work of copying and that of waiting together.
public struct TransferTime: Hashable, Sendable {
  public var repetitions: Int
  /// Seconds by the wall clock, the slowest rank's, of one repetition.
  public var minimum: Double
  public var median: Double
  public var mean: Double
  /// Seconds of CPU time of this rank's thread and of its process, by repetition.
  public var threadCPU: Double
  public var processCPU: Double
}

/// A ping-pong between two ranks.
public struct PingPong: Hashable, Sendable {
  public var bytes: Int
  /// One way: half a round trip.
  public var time: TransferTime
  /// By the minimum.
  public var bytesPerSecond: Double { time.minimum > 0 ? Double(bytes) / time.minimum : 0 }
}

/// All-to-alls among the ranks of a group.
public struct AllToAllTime: Hashable, Sendable {
  public var ranks: Int
  /// From each rank to each other.
  public var bytesPerPair: Int
  public var time: TransferTime
  /// What all ranks together hand over in a second, by the median; own parts are none of it.
  public var bytesPerSecond: Double {
    time.median > 0 ? Double(ranks * (ranks - 1) * bytesPerPair) / time.median : 0
  }
}

/// Reductions of float32 buffers among the ranks of a group: their all-to-alls and the sums.
public struct ReductionTime: Hashable, Sendable {
  public var kind: Reduction.Kind
  public var ranks: Int
  public var elements: Int
  public var time: TransferTime
}

/// Measures a transport from within the ranks; all ranks call the same, on a transport whose channels are not open.
public struct TransportBenchmark {
  private let transport: any Transport
  /// `[ranks]`: the channel on which ranks 0..<ranks form one group.
  private let channels: [Int: Int]
  /// Wall time to be spent on each figure, about.
  private let secondsEach: Double

  /// Opens the channels.
  /// - Parameters:
  ///   - groupSizes: How many ranks take part in the all-to-alls that will be measured, from 1.
  ///   - secondsEach: Wall time for each figure.
  public init(_ transport: any Transport, groupSizes: [Int], secondsEach: Double = 0.2) throws {
    let sizes = groupSizes.filter { (1...transport.size).contains($0) }
    // The last channel is everybody's: the ranks agree on it how often to repeat.
    try transport.open(channels: (sizes + [transport.size]).map { [Array(0..<$0)] })
    self.transport = transport
    channels = Dictionary(zip(sizes, sizes.indices)) { first, _ in first }
    everybody = sizes.count
    self.secondsEach = secondsEach
  }

  private let everybody: Int

  /// Sends a message to and fro between ranks 0 and 1; the others wait.
  /// - Returns: The same on both; nil on the others and in a world of one.
  public func pingPong(bytes: Int) throws -> PingPong? {
    guard transport.size > 1 else { return nil }
    let memory = Scratch(bytes)
    let isPlaying = transport.rank < 2
    let peer = 1 - transport.rank
    let time = try measure(isTakingPart: isPlaying) {
      for turn in 0..<2 {
        if turn == transport.rank {
          try transport.wait(for: try transport.send(memory.raw, to: peer, tag: 0))
        } else {
          try transport.wait(for: try transport.receive(into: memory.bytes, from: peer, tag: 0))
        }
      }
    }
    guard isPlaying, var time else { return nil }
    time.minimum /= 2
    time.median /= 2
    time.mean /= 2
    time.threadCPU /= 2
    time.processCPU /= 2
    return PingPong(bytes: bytes, time: time)
  }

  /// Exchanges parts of one length among ranks 0..<ranks; the others wait.
  /// - Returns: nil on ranks that take no part. Each rank has its own CPU time; wall times are the slowest rank's.
  public func allToAll(ranks: Int, bytesPerPair: Int) throws -> AllToAllTime? {
    guard let channel = channels[ranks] else {
      throw TransportError("no channel was opened for all-to-alls among \(ranks) ranks")
    }
    let isTakingPart = transport.rank < ranks
    let source = Scratch(isTakingPart ? ranks * bytesPerPair : 0)
    let destination = Scratch(isTakingPart ? ranks * bytesPerPair : 0)
    let ranges = (0..<ranks).map {
      $0 == transport.rank ? 0..<0 : $0 * bytesPerPair..<($0 + 1) * bytesPerPair
    }
    let time = try measure(isTakingPart: isTakingPart) {
      try transport.wait(
        for: try transport.allToAll(
          channel: channel, source: source.raw.baseAddress, outgoing: ranges,
          destination: destination.bytes.baseAddress, incoming: ranges))
    }
    return time.map { AllToAllTime(ranks: ranks, bytesPerPair: bytesPerPair, time: $0) }
  }

  /// Reduces a float32 buffer among ranks 0..<ranks; the others wait.
  /// - Returns: nil on ranks that take no part. Each rank has its own CPU time; wall times are the slowest rank's.
  public func reduction(_ kind: Reduction.Kind, ranks: Int, elements: Int) throws -> ReductionTime? {
    guard let channel = channels[ranks] else {
      throw TransportError("no channel was opened for reductions among \(ranks) ranks")
    }
    let isTakingPart = transport.rank < ranks
    let buffer = Scratch(isTakingPart ? 4 * elements : 0)
    let needed = Shards(elements: elements, members: ranks).scratch(member: min(transport.rank, ranks - 1))
    let scratch = Scratch(isTakingPart ? 4 * needed : 0)
    // Zeros stay what they are, however often they are added.
    buffer.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    let group = Array(0..<ranks)
    let time = try measure(isTakingPart: isTakingPart) {
      let reduction = try Reduction(
        kind, of: .float32, on: transport, channel: channel, group: group, buffer: buffer.bytes,
        scratch: scratch.bytes)
      try reduction.finish()
    }
    return time.map { ReductionTime(kind: kind, ranks: ranks, elements: elements, time: $0) }
  }

  /// Repeats a transfer; the ranks agree beforehand how often.
  private func measure(isTakingPart: Bool, _ transfer: () throws -> Void) throws -> TransferTime? {
    try transport.barrier()
    var warm = 0.0
    if isTakingPart {
      // Once for the pages, then to learn how long it takes.
      for _ in 0..<2 {
        let start = seconds(CLOCK_MONOTONIC)
        try transfer()
        warm = seconds(CLOCK_MONOTONIC) - start
      }
    }
    let slowest = try greatest([warm])[0]
    let repetitions = min(max(Int(secondsEach / max(slowest, 1e-7)), 5), 20_000)
    var spans = [Double](repeating: 0, count: repetitions)
    var (threadCPU, processCPU) = (0.0, 0.0)
    try transport.barrier()
    if isTakingPart {
      let thread = seconds(CLOCK_THREAD_CPUTIME_ID)
      let process = seconds(CLOCK_PROCESS_CPUTIME_ID)
      var last = seconds(CLOCK_MONOTONIC)
      for repetition in 0..<repetitions {
        try transfer()
        let now = seconds(CLOCK_MONOTONIC)
        spans[repetition] = now - last
        last = now
      }
      threadCPU = (seconds(CLOCK_THREAD_CPUTIME_ID) - thread) / Double(repetitions)
      processCPU = (seconds(CLOCK_PROCESS_CPUTIME_ID) - process) / Double(repetitions)
    }
    spans = try greatest(spans)
    guard isTakingPart else { return nil }
    let sorted = spans.sorted()
    return TransferTime(
      repetitions: repetitions, minimum: sorted[0], median: sorted[repetitions / 2],
      mean: spans.reduce(0, +) / Double(repetitions), threadCPU: threadCPU, processCPU: processCPU)
  }

  /// The greatest of all ranks' values, place by place.
  private func greatest(_ own: [Double]) throws -> [Double] {
    let bytes = 8 * own.count
    let (source, destination) = (Scratch(bytes), Scratch(bytes * transport.size))
    own.withUnsafeBytes { source.bytes.copyMemory(from: $0) }
    try transport.wait(
      for: try transport.allToAll(
        channel: everybody, source: source.raw.baseAddress,
        outgoing: Array(repeating: 0..<bytes, count: transport.size),
        destination: destination.bytes.baseAddress,
        incoming: (0..<transport.size).map { $0 * bytes..<($0 + 1) * bytes }))
    let values = destination.bytes.bindMemory(to: Double.self)
    return own.indices.map { place in
      (0..<transport.size).reduce(-Double.infinity) { max($0, values[$1 * own.count + place]) }
    }
  }

  private func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
}

/// Bytes of a measurement, written once, so that their pages are there.
private final class Scratch {
  let bytes: UnsafeMutableRawBufferPointer
  var raw: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }

  init(_ count: Int) {
    bytes = .allocate(byteCount: count, alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: 1)
  }

  deinit { bytes.deallocate() }
}
