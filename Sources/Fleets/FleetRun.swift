import Clusters
import Dispatch
import Fabrics
import Networks
import Programs
import Timing
import Units

/// A step of a cluster in which every rank runs on its own and every flow is counted.
public struct FleetRun: Sendable {
  public let report: FleetReport

  /// Runs a step.
  ///
  /// Parts of the cluster that only collectives of the reduction lane connect (the gradients' at the end)
  /// run on as many threads as wished; the result does not depend on their number.
  /// - Parameters:
  ///   - costs: What each task takes alone; exchanges are priced here, by what each rank moves.
  ///   - choice: Of ways through the fabric.
  ///   - expected: About how long the step takes, for the division of time in the report.
  /// - Throws: `NetworkError` for rates that are not positive; a `Diagnostic` where a fabric cannot be built, or what
  ///   fails in mid-step has no way around.
  /// - Complexity: O(tasks of all ranks × log ranks + draws × flows × log flows).
  public init(
    _ verified: VerifiedProgram, costs: ProgramCosts, on cluster: Cluster, routing: FleetRouting = .balanced,
    perturbations: Perturbations = Perturbations(), seed: UInt64 = 1, accuracy: Accuracy = .standard,
    threads: Int = 1, choice: RouteChoice = .fixed, expected: Span,
    progress: @escaping @Sendable (Double) -> Void = { _ in }
  ) throws {
    let tables = StepTables(verified, costs: costs)
    let gpusPerNode = cluster.gpusPerNode.value
    let shape = ExpertShape(verified.program, tables, gpusPerNode: gpusPerNode)
    let rates = tables.exchangeClasses.map {
      ExchangeRates($0, of: verified.program, on: cluster, nodes: max(1, shape.nodes))
    }
    progress(0)
    let clock = ContinuousClock()
    var mark = clock.now
    func lap() -> Double {
      let now = clock.now
      defer { mark = now }
      return (now - mark) / .seconds(1)
    }
    let routes = try FabricRoutes(
      tables, on: cluster, choice: choice, changes: perturbations.changes(on: cluster),
      expert: (shape.members, shape.nodes, shape.ranksPerNode))
    let finding = lap()
    let exchanges = try ExchangeTable(
      verified, tables, routes, shape, routing: routing, seed: seed, accuracy: accuracy, threads: threads,
      rates: rates)
    let solving = lap()
    let state = FleetState(
      tables, exchanges, routes, rates, on: cluster, perturbations: perturbations, seed: seed,
      bucket: Span(picoseconds: expected.picoseconds * 2 / Int64(FleetState.buckets)), progress: progress)
    let parts = FleetParts(verified, tables, routes)
    let engines = parts.ranks.enumerated().map { index, ranks in
      PartEngine(state, parts, part: index, ranks: ranks)
    }
    let running = EngineList(engines: engines)
    _ = parallel(engines.count, threads: threads) { index in
      running.engines[index].begin()
      running.engines[index].run()
      return 0
    }
    let together = lap()
    var last = engines[0]
    if engines.count > 1 {
      last = PartEngine(state, parts, part: nil, ranks: (0..<Int32(tables.ranks)).map { $0 })
      last.absorb(engines)
      last.run()
    }
    precondition(state.hasEnded, "a verified program runs to its end")
    var report = FleetReport(
      state, counters: last.counters, waits: last.waits, gpusPerNode: gpusPerNode, parts: engines.count)
    report.phases = [finding, solving, together, lap()]
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
  /// Of ranks, then of trunks; what nobody uses belongs to the first part.
  var partOfOwner: [Int32] = []
  /// `[part][group]`: members of each group among all.
  var ownMembers: [[Int32]] = []

  var count: Int { ranks.count }

  init(_ verified: VerifiedProgram, _ tables: StepTables, _ routes: FabricRoutes) {
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
    func join(_ one: Int32, _ other: Int32) {
      let (one, other) = (root(one), root(other))
      if one != other { parents[Int(max(one, other))] = min(one, other) }
    }
    for (index, communicator) in program.communicators.enumerated() where !isLate[index] {
      for group in 0..<communicator.groupCount {
        guard let first = communicator.group(group).first else { continue }
        for member in communicator.group(group).dropFirst() { join(first, member) }
      }
    }
    let firstUser = Self.joinUsers(tables, routes, root: root, join: join)
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
    partOfOwner = partOfRank + firstUser.map { $0 < 0 ? 0 : partOfRank[Int($0)] }
    let groups = tables.memberOffsets.count - 1
    ownMembers = Array(repeating: Array(repeating: 0, count: groups), count: ranks.count)
    for group in 0..<groups {
      for place in tables.memberRange(group) {
        ownMembers[Int(partOfRank[Int(tables.members[place])])][group] += 1
      }
    }
  }

  /// Joins ranks whose ways through the fabric share a link, in whatever state it comes to be.
  ///
  /// Collectives between parts begin when the parts have become one; those within a part count.
  /// - Returns: A rank of those that use each trunk, or -1.
  private static func joinUsers(
    _ tables: StepTables, _ routes: FabricRoutes, root: (Int32) -> Int32, join: (Int32, Int32) -> Void
  ) -> [Int32] {
    let ranks = Int32(tables.ranks)
    var firstUser = Array(repeating: Int32(-1), count: routes.links.trunks.count)
    func use(_ place: Int32, by rank: Int32) {
      if place < 4 * ranks { return join(rank, place / 4) }
      let trunk = Int(place - 4 * ranks)
      if firstUser[trunk] < 0 { firstUser[trunk] = rank } else { join(rank, firstUser[trunk]) }
    }
    for epoch in routes.epochs {
      for rank in 0..<tables.ranks {
        for pair in Int(routes.peerOffsets[rank])..<Int(routes.peerOffsets[rank + 1])
        where epoch.messages[pair] >= 0 {
          for index in routes.route(epoch.messages[pair]) { use(routes.pool[index], by: Int32(rank)) }
        }
      }
      let each = max(1, routes.expertMembers * routes.expertNodes)
      for group in epoch.isPlain.indices where !epoch.isPlain[group] {
        let members = tables.memberRange(Int(tables.firstGroup[tables.expertCommunicator]) + group)
        let first = tables.members[members.lowerBound]
        for index in group * each..<(group + 1) * each where epoch.exchanges[index] >= 0 {
          // A combine takes the same cables the other way.
          for step in routes.route(epoch.exchanges[index]) {
            use(routes.pool[step], by: first)
            use(routes.links.reverse(routes.pool[step]), by: first)
          }
        }
      }
    }
    var grows = true
    while grows {
      grows = false
      for epoch in routes.epochs {
        for group in epoch.rings.indices where epoch.rings[group] >= 0 {
          let members = tables.memberRange(group).map { tables.members[$0] }
          guard let first = members.first, members.allSatisfy({ root($0) == root(first) }) else { continue }
          for index in routes.ring(epoch.rings[group]) {
            let place = routes.ringLoads[index].place
            let other = place < 4 * ranks ? place / 4 : firstUser[Int(place - 4 * ranks)]
            if other < 0 || root(other) != root(first) {
              use(place, by: first)
              grows = true
            }
          }
        }
      }
    }
    return firstUser
  }
}
