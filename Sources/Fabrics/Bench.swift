import Clusters
import Documents
import Networks
import Units

/// One row as nccl-tests prints it.
public struct BenchRow: Hashable, Sendable {
  public let size: Bytes
  public let time: Span
  /// Size over time. Source: nccl-tests, doc/PERFORMANCE.md.
  public let algorithm: BytesPerSecond
  /// What the hardware's slowest link carries: algorithm bandwidth times the operation's factor.
  public let bus: BytesPerSecond

  init(_ size: Bytes, _ time: Span, factor: Double) {
    self.size = size
    self.time = time
    let rate = time > .zero ? Double(size.count) / time.seconds : 0
    algorithm = BytesPerSecond(rate)
    bus = BytesPerSecond(rate * factor)
  }
}

/// One operation over a range of sizes.
public struct BenchTable: Sendable {
  public let name: String
  /// What size means and what bus bandwidth is.
  public let legend: String
  public let rows: [BenchRow]
}

/// Bandwidth and latency tables of a cluster, its flows run through the network's engine.
///
/// Point to point is one message over its route. All-to-all sends an equal share to every rank at once. All-reduce
/// runs a ring for each card index, all at once: a ring enters and leaves a node on cards of one rail, in reverse
/// order in every second node, as NCCL's rings that stay on rails do. Its time is what its flows take plus the
/// calibrated latency of each step. Source of the latency terms: NCCL, src/graph/tuning.cc: `2(n − 1)` steps, of
/// which two for each node cross.
public struct FabricBench {
  public let cluster: Cluster
  public let graph: FabricGraph
  public let gpus: Int
  public let choice: RouteChoice
  private var router: Router

  /// Flows of an all-to-all that are run at most.
  public static let rankLimit = 256

  /// - Parameter gpus: ranks of the collectives, from the first GPU on; whole nodes.
  /// - Throws: A ``Documents/Diagnostic`` for a number of GPUs that the cluster does not have, or a fabric with GPUs
  ///   that do not reach others.
  public init(_ cluster: Cluster, gpus: Int? = nil, choice: RouteChoice = .hashed(seed: 1)) throws {
    let perNode = cluster.gpusPerNode.value
    let count = gpus ?? min(cluster.gpus, max(perNode, 64 / perNode * perNode))
    guard (2...min(cluster.gpus, max(2, Self.rankLimit))).contains(count),
      count <= perNode || count % perNode == 0
    else {
      throw Diagnostic(
        .usage, "the tables cannot be made for so many GPUs", path: "--gpus", found: "\(count)",
        allowed: "2 to \(min(cluster.gpus, Self.rankLimit)), whole nodes of \(perNode)")
    }
    self.cluster = cluster
    self.gpus = count
    self.choice = choice
    graph = try FabricGraph(cluster)
    try graph.checkReachability()
    router = Router(graph, choice: choice)
  }

  /// Powers of four from a KiB to a GiB.
  public static let sizes: [Bytes] = (5...15).map { Bytes(Int64(1) << (2 * $0)) }

  /// Every table: pairs of GPUs of each kind of way, all-to-all, all-reduce.
  public mutating func tables(sizes: [Bytes] = FabricBench.sizes) throws -> [BenchTable] {
    var tables: [BenchTable] = []
    var seen: Set<[Int]> = []
    // One pair for each kind of way from the first GPU: its length and how much of it is network.
    for target in 1..<graph.gpus {
      let route = try router.route(from: 0, to: target)
      let network = route.count { graph.cableKinds[Int($0.index) / 2] == .network }
      if !seen.insert([network, route.count]).inserted { continue }
      tables.append(
        BenchTable(
          name: "point to point, \(graph.deviceNames[0]) to \(graph.deviceNames[target])",
          legend: "size: of the message; bus bandwidth: algorithm bandwidth",
          rows: try sizes.map { BenchRow($0, try pointToPoint(target, $0), factor: 1) }))
    }
    let n = Double(gpus)
    tables.append(
      BenchTable(
        name: "all-to-all, \(gpus) GPUs",
        legend:
          "size: what a GPU sends, its own share included; bus bandwidth: (n - 1)/n times algorithm bandwidth",
        rows: try sizes.map { BenchRow($0, try allToAll($0), factor: (n - 1) / n) }))
    tables.append(
      BenchTable(
        name: "all-reduce, \(gpus) GPUs, rings",
        legend: "size: of the buffer; bus bandwidth: 2(n - 1)/n times algorithm bandwidth",
        rows: try sizes.map { BenchRow($0, try allReduce($0), factor: 2 * (n - 1) / n) }))
    return tables
  }

  private func run(_ transfers: Transfers, _ routes: RouteTable) throws -> Span {
    try transfers.run(on: graph.table, routes).makespan
  }

  mutating func pointToPoint(_ target: Int, _ size: Bytes) throws -> Span {
    var routes = RouteTable()
    var transfers = Transfers()
    try transfers.add(try routes.add(try router.route(from: 0, to: target), of: graph.table), size)
    return try run(transfers, routes)
  }

  mutating func allToAll(_ size: Bytes) throws -> Span {
    var routes = RouteTable()
    var transfers = Transfers()
    let share = Bytes(rounding: Double(size.count) / Double(gpus))
    for source in 0..<gpus {
      for target in 0..<gpus where target != source {
        let route = try router.route(from: source, to: target, load: Double(share.count))
        try transfers.add(try routes.add(route, of: graph.table), share)
      }
    }
    // What adaptive routing spread was for these flows only.
    for route in 0..<routes.count {
      router.release(routes.links(of: RouteID(route)), load: Double(share.count))
    }
    return try cluster.collectives.baseLatency.value + run(transfers, routes)
  }

  mutating func allReduce(_ size: Bytes) throws -> Span {
    let perNode = min(gpus, cluster.gpusPerNode.value)
    let nodes = gpus / perNode
    let rings = max(1, min(perNode, cluster.nic.perNode.value))
    var routes = RouteTable()
    var transfers = Transfers()
    let share = Bytes(rounding: 2 * Double(gpus - 1) / Double(gpus) * Double(size.count) / Double(rings))
    for ring in 0..<rings {
      let first = ring * perNode / rings
      let order = (0..<nodes).flatMap { node -> [Int] in
        let inside = (0..<perNode).map { (first + $0) % perNode }
        return (node % 2 == 0 ? inside : inside.reversed()).map { node * perNode + $0 }
      }
      for (place, source) in order.enumerated() {
        let target = order[(place + 1) % order.count]
        if source == target { continue }
        try transfers.add(
          try routes.add(try router.route(from: source, to: target, flow: ring), of: graph.table), share)
      }
    }
    let crossing = nodes > 1 ? 2 * nodes : 0
    let steps = cluster.collectives.nvlinkStepLatency.value * max(0, 2 * (gpus - 1) - crossing)
    let latency =
      cluster.collectives.baseLatency.value + steps + cluster.collectives.nicStepLatency.value * crossing
    return try latency + run(transfers, routes)
  }

  /// The tables as nccl-tests prints them, in 80 columns.
  public mutating func text(sizes: [Bytes] = FabricBench.sizes) throws -> String {
    var text = "\(cluster.name): flows at achieved rates, each way sharing its links max-min fairly\n"
    for table in try tables(sizes: sizes) {
      text += "\n# \(table.name)\n" + wrapped("# \(table.legend)")
      var rows = [["#", "size", "time", "algbw", "busbw"], ["#", "(B)", "(us)", "(GB/s)", "(GB/s)"]]
      for row in table.rows {
        rows.append([
          " ", "\(row.size.count)", decimals(row.time.microseconds), decimals(row.algorithm.value / 1e9),
          decimals(row.bus.value / 1e9),
        ])
      }
      text += columns(rows, gap: 4)
    }
    return text
  }
}

/// Two decimals, always.
private func decimals(_ value: Double) -> String {
  let short = shortNumber(value)
  guard let point = short.firstIndex(of: ".") else { return short + ".00" }
  return short.distance(from: point, to: short.endIndex) == 2 ? short + "0" : short
}
