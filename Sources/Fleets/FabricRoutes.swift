import Clusters
import Documents
import Fabrics
import Networks
import Programs
import Units

/// Which ways through the fabric everything takes that goes from node to node, at first and after each change.
///
/// A pair of ranks keeps its route until a link of it fails; then it alone gets a new one, or the run is
/// refused. Routes of changed fabrics are found before the step begins, so that what has no way around is
/// an error and not a halt.
struct FabricRoutes: Sendable {
  /// Routes between two changes.
  struct Epoch: Sendable {
    /// Picoseconds.
    var at: Int64
    /// Places whose capacity changes when it begins, and what is left of them.
    var changes: [(place: Int32, share: Double)] = []
    /// `[pair]`: a route, or -1 within a node.
    var messages: [Int32]
    /// `[(expert group * members + source) * nodes + node]`: a route, or -1.
    var exchanges: [Int32]
    /// `[expert group]`: every flow goes from card to card below one leaf, and all cards are whole.
    var isPlain: [Bool]
    /// `[group among all]`: a list of loads, or -1 where every member uses its own card and no trunk.
    var rings: [Int32]
  }

  let links: SharedLinks
  private(set) var epochs: [Epoch]
  /// Names of trunks' links and of their two switches' tiers, for reports.
  let trunkNames: [String]
  let trunkTiers: [(from: UInt8, to: UInt8)]
  let trunkEnds: [(from: Int32, to: Int32)]
  /// Route r is `pool[offsets[r]..<offsets[r + 1]]`, places from sender to receiver.
  private(set) var pool: [Int32] = []
  private(set) var offsets: [Int32] = [0]
  /// Latency of each route's trunks, picoseconds: what it takes longer than a route below one leaf.
  private(set) var latencies: [Int64] = []
  /// Ring list l is `ringLoads[ringOffsets[l]..<ringOffsets[l + 1]]`: a place, and how often the rings take it.
  private(set) var ringLoads: [(place: Int32, times: Int32)] = []
  private(set) var ringOffsets: [Int32] = [0]
  /// Receivers of each rank's messages: `peers[peerOffsets[rank]..<peerOffsets[rank + 1]]`; a pair is a place there.
  private(set) var peerOffsets: [Int32] = []
  private(set) var peers: [Int32] = []
  let expertMembers: Int
  let expertNodes: Int

  func route(_ index: Int32) -> Range<Int> { Int(offsets[Int(index)])..<Int(offsets[Int(index) + 1]) }
  func ring(_ index: Int32) -> Range<Int> { Int(ringOffsets[Int(index)])..<Int(ringOffsets[Int(index) + 1]) }

  /// The pair of a sender and a receiver.
  @inline(__always)
  func pair(_ sender: Int, _ receiver: Int) -> Int? {
    let first = Int(peerOffsets[sender])
    for place in first..<Int(peerOffsets[sender + 1]) where peers[place] == Int32(receiver) { return place }
    return nil
  }

  /// - Throws: A `Diagnostic` for a device that is not there, or two ranks that no way joins.
  /// - Complexity: O(ranks × neighbours + expert groups × members × nodes), once for each change.
  init(
    _ tables: StepTables, on cluster: Cluster, choice: RouteChoice, changes: [FabricChange],
    expert: (members: Int, nodes: Int, ranksPerNode: Int)
  ) throws {
    let ranks = tables.ranks
    let perNode = cluster.gpusPerNode.value
    let hasFabric = cluster.nodes.value > 1 && cluster.fabric.kind != .none
    let base = hasFabric || !changes.isEmpty ? try FabricGraph(cluster, rates: .peak) : nil
    links = SharedLinks(ranks: ranks, cluster: cluster, graph: base)
    expertMembers = expert.members
    expertNodes = expert.nodes
    trunkNames = links.trunks.map { base?.table.name(of: LinkID(Int($0))) ?? "" }
    trunkEnds = links.trunks.map { link in
      base.map { ($0.sources[Int(link)], $0.targets[Int(link)]) } ?? (0, 0)
    }
    trunkTiers = trunkEnds.map { ends in
      base.map { ($0.tiers[Int(ends.from)], $0.tiers[Int(ends.to)]) } ?? (0, 0)
    }
    epochs = []
    (peerOffsets, peers) = Self.peers(tables)
    var finder = RouteFinder(
      graph: base, router: hasFabric ? base.map { Router($0, choice: choice) } : nil, links: links,
      perNode: perNode)
    let jobs = Jobs(tables, expert: expert, perNode: perNode)
    add(first: jobs, tables, &finder)
    try fillFirst(jobs, &finder)
    var failures: [Failure] = []
    for change in changes {
      guard let base else { break }
      failures.removeAll { $0.place == change.failure.place }
      failures.append(change.failure)
      var graph = base
      try graph.apply(failures)
      try Self.requireNVLink(of: graph, as: base, after: change)
      try addEpoch(at: change.at, graph, jobs, &finder)
    }
  }

  /// A GPU that loses its NVLink takes no further part in its node's exchanges: a job stops there, and this step too.
  private static func requireNVLink(of graph: FabricGraph, as base: FabricGraph, after change: FabricChange)
    throws
  {
    guard
      let lost = (0..<graph.links).first(where: {
        graph.cableKinds[$0 / 2] == .nvlink && base.isUp[$0] && !graph.isUp[$0]
      })
    else { return }
    throw Diagnostic(
      .data, "a GPU loses its NVLink in mid-step, and the job could not go on", path: change.failure.path,
      found:
        "no way from \(graph.deviceNames[Int(graph.sources[lost])]) "
        + "to \(graph.deviceNames[Int(graph.targets[lost])])",
      allowed: "failing cards, leaves, spines and cables between them; an NVLink may be degraded")
  }

  // MARK: What needs routes

  private static func peers(_ tables: StepTables) -> (offsets: [Int32], peers: [Int32]) {
    var offsets: [Int32] = [0]
    var peers: [Int32] = []
    for rank in 0..<tables.ranks {
      let role = Int(tables.roleOfRank[rank])
      let end = role + 1 < tables.roles ? Int(tables.firstTask[role + 1]) : tables.tasks.count
      let start = peers.count
      for place in Int(tables.firstTask[role])..<end {
        let record = tables.tasks.base + place
        if record.pointee.mode != .message || !record.pointee.isSend { continue }
        let group = tables.group(of: rank, in: record.pointee.communicator)
        let peer = tables.members[Int(tables.memberOffsets[group] + record.pointee.peer)]
        if !peers[start...].contains(peer) { peers.append(peer) }
      }
      offsets.append(Int32(peers.count))
    }
    return (offsets, peers)
  }

  /// Pairs of ranks between which something goes from node to node.
  struct Jobs {
    var messages: [(source: Int32, target: Int32)] = []
    var exchanges: [(source: Int32, target: Int32)] = []
    /// Edges of the rings of group g: `rings[ringOffsets[g]..<ringOffsets[g + 1]]`.
    var rings: [(source: Int32, target: Int32)] = []
    var ringOffsets: [Int] = [0]

    init(_ tables: StepTables, expert: (members: Int, nodes: Int, ranksPerNode: Int), perNode: Int) {
      let (peerOffsets, peers) = FabricRoutes.peers(tables)
      for rank in 0..<tables.ranks {
        for place in Int(peerOffsets[rank])..<Int(peerOffsets[rank + 1]) {
          messages.append((Int32(rank), peers[place]))
        }
      }
      if tables.expertCommunicator >= 0 {
        let first = Int(tables.firstGroup[tables.expertCommunicator])
        let next = tables.expertCommunicator + 1
        let end =
          next < tables.firstGroup.count ? Int(tables.firstGroup[next]) : tables.memberOffsets.count - 1
        for group in first..<end {
          let members = tables.memberRange(group)
          for source in 0..<expert.members {
            for node in 0..<expert.nodes {
              let landing = min(node * expert.ranksPerNode + source % expert.ranksPerNode, expert.members - 1)
              exchanges.append(
                (tables.members[members.lowerBound + source], tables.members[members.lowerBound + landing]))
            }
          }
        }
      }
      for group in 0..<tables.memberOffsets.count - 1 {
        addRings(tables.memberRange(group).map { tables.members[$0] }, perNode)
        ringOffsets.append(rings.count)
      }
    }

    /// Each member hands on to the next node's member with its own index there: a ring for each of a node's cards.
    private mutating func addRings(_ members: [Int32], _ perNode: Int) {
      var nodes: [[Int32]] = []
      for member in members {
        if let last = nodes.last?.last, Int(last) / perNode == Int(member) / perNode {
          nodes[nodes.count - 1].append(member)
        } else {
          nodes.append([member])
        }
      }
      if nodes.count < 2 { return }
      for (place, own) in nodes.enumerated() {
        let next = nodes[(place + 1) % nodes.count]
        for (index, member) in own.enumerated() {
          let target = next.first { Int($0) % perNode == Int(member) % perNode } ?? next[index % next.count]
          if Int(member) / perNode != Int(target) / perNode { rings.append((member, target)) }
        }
      }
    }
  }

  // MARK: Epochs

  private mutating func add(first jobs: Jobs, _ tables: StepTables, _ finder: inout RouteFinder) {
    let groups = expertMembers * expertNodes > 0 ? jobs.exchanges.count / (expertMembers * expertNodes) : 0
    epochs.append(
      Epoch(
        at: 0, messages: Array(repeating: -1, count: jobs.messages.count),
        exchanges: Array(repeating: -1, count: jobs.exchanges.count),
        isPlain: Array(repeating: true, count: groups),
        rings: Array(repeating: -1, count: tables.memberOffsets.count - 1)))
  }

  private mutating func fillFirst(_ jobs: Jobs, _ finder: inout RouteFinder) throws {
    var epoch = epochs[0]
    for (index, job) in jobs.messages.enumerated() { epoch.messages[index] = try add(job, &finder) }
    for (index, job) in jobs.exchanges.enumerated() { epoch.exchanges[index] = try add(job, &finder) }
    var ringRoutes: [Int32] = []
    for job in jobs.rings { ringRoutes.append(try add(job, &finder)) }
    self.ringRoutes = ringRoutes
    finish(&epoch, jobs, capacity: links.capacity)
    epochs[0] = epoch
  }

  /// Routes of the rings' edges in the last epoch.
  private var ringRoutes: [Int32] = []

  private mutating func addEpoch(
    at moment: Span, _ graph: FabricGraph, _ jobs: Jobs, _ finder: inout RouteFinder
  ) throws {
    let before = finder.capacity
    finder.move(to: graph)
    var epoch = epochs[epochs.count - 1]
    epoch.at = moment.picoseconds
    epoch.changes = []
    var isDead: Set<Int32> = []
    for place in 0..<links.places where finder.capacity[place] != before[place] {
      epoch.changes.append((Int32(place), finder.capacity[place]))
      if finder.capacity[place] == 0 { isDead.insert(Int32(place)) }
    }
    if !isDead.isEmpty {
      func fails(_ route: Int32) -> Bool {
        route >= 0 && self.route(route).contains { isDead.contains(pool[$0]) }
      }
      for (index, job) in jobs.messages.enumerated() where fails(epoch.messages[index]) {
        epoch.messages[index] = try add(job, &finder)
      }
      for (index, job) in jobs.exchanges.enumerated() where fails(epoch.exchanges[index]) {
        epoch.exchanges[index] = try add(job, &finder)
      }
      for (index, job) in jobs.rings.enumerated() where fails(ringRoutes[index]) {
        ringRoutes[index] = try add(job, &finder)
      }
    }
    finish(&epoch, jobs, capacity: finder.capacity)
    epochs.append(epoch)
  }

  /// Finds which groups are plain, and what the rings of the others load.
  private mutating func finish(_ epoch: inout Epoch, _ jobs: Jobs, capacity: [Double]) {
    let each = expertMembers * expertNodes
    for group in epoch.isPlain.indices {
      epoch.isPlain[group] = (group * each..<(group + 1) * each).allSatisfy {
        isPlain(epoch.exchanges[$0], jobs.exchanges[$0]) && isWhole(epoch.exchanges[$0], capacity)
      }
    }
    for group in epoch.rings.indices {
      let edges = jobs.ringOffsets[group]..<jobs.ringOffsets[group + 1]
      if edges.allSatisfy({ isPlain(ringRoutes[$0], jobs.rings[$0]) }) {
        epoch.rings[group] = -1
        continue
      }
      let places = edges.flatMap { edge in
        ringRoutes[edge] < 0 ? [] : route(ringRoutes[edge]).map { pool[$0] }
      }.sorted()
      for place in places {
        if Int(ringOffsets[ringOffsets.count - 1]) < ringLoads.count,
          ringLoads[ringLoads.count - 1].place == place
        {
          ringLoads[ringLoads.count - 1].times += 1
        } else {
          ringLoads.append((place, 1))
        }
      }
      ringOffsets.append(Int32(ringLoads.count))
      epoch.rings[group] = Int32(ringOffsets.count - 2)
    }
  }

  private func isPlain(_ route: Int32, _ job: (source: Int32, target: Int32)) -> Bool {
    if route < 0 { return true }
    let places = self.route(route)
    return places.count == 2 && pool[places.lowerBound] == 4 * job.source + 2
      && pool[places.lowerBound + 1] == 4 * job.target + 3
  }

  private func isWhole(_ route: Int32, _ capacity: [Double]) -> Bool {
    route < 0 || self.route(route).allSatisfy { capacity[Int(pool[$0])] == 1 }
  }

  private mutating func add(_ job: (source: Int32, target: Int32), _ finder: inout RouteFinder) throws
    -> Int32
  {
    guard let found = try finder.places(from: Int(job.source), to: Int(job.target)) else { return -1 }
    pool.append(contentsOf: found.places)
    offsets.append(Int32(pool.count))
    latencies.append(found.latency)
    return Int32(offsets.count - 2)
  }
}

/// Finds routes in the fabric as it stands.
private struct RouteFinder {
  var graph: FabricGraph?
  var router: Router?
  let links: SharedLinks
  let perNode: Int
  var capacity: [Double]

  init(graph: FabricGraph?, router: Router?, links: SharedLinks, perNode: Int) {
    self.graph = graph
    self.router = router
    self.links = links
    self.perNode = perNode
    capacity = links.capacity
  }

  /// The places between two ranks of unlike nodes, and the latency of the trunks among them; nil within a node.
  mutating func places(from source: Int, to target: Int) throws -> (places: [Int32], latency: Int64)? {
    if source / perNode == target / perNode { return nil }
    guard let graph, router != nil else { return ([Int32(4 * source + 2), Int32(4 * target + 3)], 0) }
    guard let route = try router?.route(from: source, to: target) else { return nil }
    var latency: Int64 = 0
    for link in route where graph.isTrunk(Int(link.index)) {
      latency += graph.table.latency(of: link).picoseconds
    }
    return (links.places(of: route, from: source, to: target, graph), latency)
  }

  /// Goes on with the fabric in another state.
  mutating func move(to next: FabricGraph) {
    guard let before = graph else { return }
    for link in 0..<next.links {
      guard
        next.isUp[link] != before.isUp[link] || next.rate(of: LinkID(link)) != before.rate(of: LinkID(link)),
        let place = links.place(of: link, next)
      else { continue }
      let whole = links.peaks[place] * 1e12
      let share = min(1, next.rate(of: LinkID(link)).value / whole)
      capacity[place] = next.isUp[link] ? (share > 1 - 1e-9 ? 1 : share) : 0
    }
    graph = next
    if let router { self.router = Router(next, continuing: router) }
  }
}
