import Foundation
import Networks
import Units

// What the flow-level network costs, how far its standard accuracy is from exact, and how both compare with SimGrid.
// `Tests/bench/network` builds the peer and calls this.

private func clock(_ which: clockid_t) -> Double {
  var time = timespec()
  clock_gettime(which, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// A result with the least CPU and wall seconds of several runs.
private func measure<T>(_ times: Int, _ body: () throws -> T) rethrows -> (
  result: T, cpu: Double, wall: Double
) {
  var cpu = Double.infinity
  var wall = Double.infinity
  while true {
    for run in 1...times {
      let before = (clock(CLOCK_PROCESS_CPUTIME_ID), clock(CLOCK_MONOTONIC))
      let result = try body()
      cpu = min(cpu, clock(CLOCK_PROCESS_CPUTIME_ID) - before.0)
      wall = min(wall, clock(CLOCK_MONOTONIC) - before.1)
      if run == times { return (result, cpu, wall) }
    }
  }
}

private func say(_ format: String, _ values: CVarArg...) { print(String(format: format, arguments: values)) }

/// Relative differences of two runs in percent: makespan, the mean over flows, and the most.
private func differences(_ times: TransferTimes, _ exact: TransferTimes) -> (
  makespan: Double, mean: Double, most: Double
) {
  let each = zip(times.ended, exact.ended).map {
    abs($0.sinceStart.seconds / $1.sinceStart.seconds - 1) * 100
  }
  return (
    (times.makespan.seconds / exact.makespan.seconds - 1) * 100, each.reduce(0, +) / Double(each.count),
    each.max() ?? 0
  )
}

/// The peer's measurement: its CPU seconds, and when each flow ended.
private struct Peer {
  let cpu: Double
  let ended: [Double]

  init?(_ arguments: ArraySlice<String>) {
    guard arguments.count == 2, let file = arguments.first, let cpu = arguments.last.flatMap(Double.init),
      let text = try? String(contentsOfFile: file, encoding: .utf8)
    else { return nil }
    self.cpu = cpu
    ended = text.split(separator: "\n").compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
  }
}

private func oneGroup(_ peer: Peer?) throws {
  print("One all-to-all of 64 ranks, unequal sizes, exact")
  let work = try peerCase(groups: 1)
  let (times, cpu, _) = try measure(7) { try work.run(.exact) }
  say("  here      %9.4f s CPU  %8.0f flows per CPU-second", cpu, Double(work.transfers.count) / cpu)
  if let peer {
    say("  SimGrid   %9.4f s CPU  %8.0f", peer.cpu, Double(work.transfers.count) / peer.cpu)
    let worst = zip(times.ended, peer.ended).map { abs($0.sinceStart.seconds / $1 - 1) }.max() ?? .nan
    say(
      "  ratio     %9.1f (bound 12)   largest relative difference of finish times %.1e (bound 1e-6)",
      peer.cpu / cpu, worst)
  }
}

private func manyGroups(_ peer: Peer?, peerGroups: Int) throws {
  for sizes in [Case.Sizes.random, .skewed] {
    print("\n32 of them at once on 2,048 GPUs, \(sizes) sizes, standard accuracy")
    let work = try Case(gpus: 2048, groups: 32, sizes: sizes)
    let flows = Double(work.transfers.count)
    let (exact, exactCPU, _) = try measure(1) { try work.run(.exact) }
    let (times, cpu, wall) = try measure(9) { try work.run(.standard) }
    let off = differences(times, exact)
    say(
      "  here      %9.4f s CPU  %8.3f million flows per CPU-second (bound 0.8); exact %.3f s", cpu,
      flows / cpu * 1e-6, exactCPU)
    say(
      "  makespan %+.4f %% of exact (bound 0.3), mean flow %.4f %% (bound 0.5), worst flow %.2f %%",
      off.makespan, off.mean, off.most)
    say(
      "  the run's own bound: mean %.2f us, most %.1f us; makespan %.3f ms", times.meanError.microseconds,
      times.mostError.microseconds, times.makespan.milliseconds)
    let (two, _, twoWall) = try measure(9) { try work.run(.standard, threads: 2) }
    say(
      "  on two threads %.2f times as fast (wall), result %@", wall / twoWall,
      two.ended == times.ended && two.carried == times.carried ? "the same" : "DIFFERENT")
    if let peer, sizes == .random {
      let scaled = peer.cpu * 32 / Double(peerGroups)
      say(
        "  SimGrid   %9.1f s CPU, scaled from %d groups in %.1f s   ratio %.0f (bound 500)", scaled,
        peerGroups, peer.cpu, scaled / cpu)
    }
  }
}

private func growth() throws {
  print(
    "\nGrowth: all GPUs in such groups, standard accuracy, and groups spread over all leaves (one connected part)"
  )
  say(
    "  %6@ %9@ %9@ %16@ %12@ %12@", "GPUs" as NSString, "flows" as NSString, "CPU, s" as NSString,
    "of n log n" as NSString, "spread, s" as NSString,
    "of n log n" as NSString)
  var first: (Double, Double)?
  for gpus in [2048, 4096, 8192, 16384] {
    let work = try Case(gpus: gpus, groups: gpus / 64, sizes: .random)
    let n = Double(work.transfers.count)
    let (_, cpu, _) = try measure(3) { try work.run(.standard) }
    let apart = try Case(gpus: gpus, groups: gpus / 64, spread: true, sizes: .random)
    let (_, spread, _) = try measure(1) { try apart.run(.standard) }
    let own = (cpu / (n * log(n)), spread / (n * log(n)))
    let base = first ?? own
    first = base
    fflush(nil)
    say("  %6d %9.0f %9.3f %16.2f %12.3f %12.2f", gpus, n, cpu, own.0 / base.0, spread, own.1 / base.1)
  }
}

/// Flows of seconds and no latency: SimGrid counts in microseconds, and divides links by latency.
private func peerCase(groups: Int) throws -> Case {
  try Case(gpus: groups * 64, groups: groups, sizes: .random, bytes: 4e9, latency: .zero)
}

private func main() throws {
  let arguments = CommandLine.arguments
  if arguments.count == 3, arguments[1] == "export", let groups = Int(arguments[2]) {
    print(try peerCase(groups: groups).text(), terminator: "")
    return
  }
  if arguments.count > 4, arguments[1] == "probe" {
    let work = try Case(
      gpus: 2048, groups: Int(arguments[2]) ?? 1, spread: arguments.contains("spread"),
      sizes: Case.Sizes(rawValue: arguments[3]) ?? .random)
    let accuracy = Double(arguments[4]).map(Accuracy.share) ?? .exact
    for _ in 0..<(arguments.last.flatMap(Int.init) ?? 5) {
      let (times, cpu, _) = try measure(1) { try work.run(accuracy) }
      say(
        "%.2f ms, %.3f million flows per CPU-second, makespan %.6f ms", cpu * 1e3,
        Double(work.transfers.count) / cpu * 1e-6, times.makespan.milliseconds)
      print(times.counters)
    }
    return
  }
  // One group's results and CPU seconds, then those of eight groups.
  try oneGroup(Peer(arguments.dropFirst().prefix(2)))
  try manyGroups(Peer(arguments.dropFirst(3).prefix(2)), peerGroups: 8)
  if !arguments.contains("short") { try growth() }
}

try main()
