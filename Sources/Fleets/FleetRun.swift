import Clusters
import Dispatch
import Networks
import Programs
import Timing
import Units

/// A step of a cluster in which every rank runs on its own and every flow is counted.
public struct FleetRun: Sendable {
  public let report: FleetReport

  /// Runs a step.
  ///
  /// Parts of the cluster that only collectives of the reduction lane connect (the gradients' at the end) run on as many
  /// threads as wished; the result does not depend on their number.
  /// - Parameters:
  ///   - costs: What each task takes alone; exchanges are priced here, by what each rank moves.
  ///   - expected: About how long the step takes, for the division of time in the report.
  /// - Throws: `NetworkError` for rates that are not positive.
  /// - Complexity: O(tasks of all ranks × log ranks + draws × flows × log flows).
  public init(
    _ verified: VerifiedProgram, costs: ProgramCosts, on cluster: Cluster, routing: FleetRouting = .balanced,
    perturbations: Perturbations = Perturbations(), seed: UInt64 = 1, accuracy: Accuracy = .standard,
    threads: Int = 1, expected: Span
  ) throws(NetworkError) {
    let tables = StepTables(verified, costs: costs)
    let gpusPerNode = cluster.gpusPerNode.value
    var nodes = 1
    if tables.expertCommunicator >= 0 {
      nodes =
        GroupShape(
          of: verified.program.communicators[tables.expertCommunicator].group(0), gpusPerNode: gpusPerNode
        ).nodes
    }
    let rates = tables.exchangeClasses.map {
      ExchangeRates($0, of: verified.program, on: cluster, nodes: nodes)
    }
    let clock = ContinuousClock()
    var mark = clock.now
    func lap() -> Double {
      let now = clock.now
      defer { mark = now }
      return (now - mark) / .seconds(1)
    }
    let exchanges = try ExchangeTable(
      verified, tables, on: cluster, routing: routing, seed: seed, accuracy: accuracy, threads: threads,
      rates: rates)
    let solving = lap()
    let state = FleetState(
      tables, exchanges, rates, on: cluster, perturbations: perturbations, seed: seed,
      bucket: Span(picoseconds: expected.picoseconds * 5 / 4 / Int64(FleetState.buckets)))
    let parts = FleetParts(verified, tables)
    let engines = parts.ranks.enumerated().map { index, ranks in
      PartEngine(
        state, ranks: ranks, ownMembers: parts.count > 1 ? parts.ownMembers[index] : nil,
        changes: perturbations.cards.filter { parts.partOfRank[$0.rank] == Int32(index) })
    }
    let running = EngineList(engines: engines)
    _ = parallel(engines.count, threads: threads) { index in
      running.engines[index].begin()
      running.engines[index].run()
      return 0
    }
    let together = lap()
    var counters = engines[0].counters
    if engines.count > 1 {
      let all = PartEngine(
        state, ranks: (0..<Int32(tables.ranks)).map { $0 }, ownMembers: nil, changes: perturbations.cards)
      all.absorb(engines)
      all.run()
      counters = all.counters
    }
    precondition(state.hasEnded, "a verified program runs to its end")
    var report = FleetReport(state, counters: counters, gpusPerNode: gpusPerNode, parts: engines.count)
    report.phases = [solving, together, lap()]
    self.report = report
  }
}

private struct EngineList: @unchecked Sendable {
  let engines: [PartEngine]
}

/// Which ranks progress without knowing of which others until the step's late collectives.
struct FleetParts {
  var ranks: [[Int32]] = []
  var partOfRank: [Int32]
  /// `[part][group]`: members of each group among all.
  var ownMembers: [[Int32]] = []

  var count: Int { ranks.count }

  init(_ verified: VerifiedProgram, _ tables: StepTables) {
    let program = verified.program
    var isLate = Array(repeating: true, count: program.communicators.count)
    for code in program.codes {
      for task in 0..<code.count where code.communicator[task] >= 0 && code.lane[task] != .reduction {
        isLate[Int(code.communicator[task])] = false
      }
    }
    var parents = (0..<Int32(program.ranks)).map { $0 }
    func root(_ rank: Int32) -> Int32 {
      var rank = rank
      while parents[Int(rank)] != rank {
        parents[Int(rank)] = parents[Int(parents[Int(rank)])]
        rank = parents[Int(rank)]
      }
      return rank
    }
    for (index, communicator) in program.communicators.enumerated() where !isLate[index] {
      for group in 0..<communicator.groupCount {
        guard let first = communicator.group(group).first else { continue }
        for member in communicator.group(group).dropFirst() {
          let (one, other) = (root(first), root(member))
          if one != other { parents[Int(max(one, other))] = min(one, other) }
        }
      }
    }
    partOfRank = Array(repeating: -1, count: program.ranks)
    for rank in 0..<Int32(program.ranks) {
      let top = Int(root(rank))
      if partOfRank[top] < 0 {
        partOfRank[top] = Int32(ranks.count)
        ranks.append([])
      }
      partOfRank[Int(rank)] = partOfRank[top]
      ranks[Int(partOfRank[top])].append(rank)
    }
    let groups = tables.memberOffsets.count - 1
    ownMembers = Array(repeating: Array(repeating: 0, count: groups), count: ranks.count)
    for group in 0..<groups {
      for place in tables.memberRange(group) {
        ownMembers[Int(partOfRank[Int(tables.members[place])])][group] += 1
      }
    }
  }
}
