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
  /// Which way the bytes took, with its protocol; empty where there is one way.
  public let choice: String

  init(_ size: Bytes, _ time: Span, factor: Double, choice: String = "") {
    self.size = size
    self.time = time
    self.choice = choice
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
/// Point to point is one message over its route. A collective's flows are those of ``CollectiveFlows``; to their time
/// come the latencies of ``CollectiveTuning``. Unless one algorithm is asked for, the fastest of those that NCCL has
/// for the operation is taken, size by size, as NCCL's own model does.
public struct FabricBench {
  public let cluster: Cluster
  public let graph: FabricGraph
  public let gpus: Int
  public let choice: RouteChoice
  /// Nil for NCCL's choice.
  public let algorithm: CollectiveAlgorithm?
  private let tuning: CollectiveTuning
  private var flows: CollectiveFlows
  private var router: Router
  private let hasNVLS: Bool

  /// Ranks of an all-to-all that are run at most: its flows grow with their square.
  public static let rankLimit = 256

  /// - Parameters:
  ///   - gpus: ranks of the collectives, from the first GPU on; whole nodes.
  ///   - algorithm: for the operations that have it; nil for NCCL's choice.
  /// - Throws: A ``Documents/Diagnostic`` for a number of GPUs that the cluster does not have, or a fabric with GPUs
  ///   that do not reach others.
  public init(
    _ cluster: Cluster, gpus: Int? = nil, choice: RouteChoice = .hashed(seed: 1),
    algorithm: CollectiveAlgorithm? = nil
  ) throws {
    let perNode = cluster.gpusPerNode.value
    let count = gpus ?? min(cluster.gpus, max(perNode, 64 / perNode * perNode))
    guard (2...max(2, cluster.gpus)).contains(count), count <= cluster.gpus,
      count <= perNode || count % perNode == 0
    else {
      throw Diagnostic(
        .usage, "the tables cannot be made for so many GPUs", path: "--gpus", found: "\(count)",
        allowed: "2 to \(cluster.gpus), whole nodes of \(perNode)")
    }
    self.cluster = cluster
    self.gpus = count
    self.choice = choice
    self.algorithm = algorithm
    graph = try FabricGraph(cluster)
    try graph.checkReachability()
    router = Router(graph, choice: choice)
    flows = CollectiveFlows(graph, cluster, gpus: count, choice: choice)
    tuning = try CollectiveTuning(cluster)
    hasNVLS = flows.switchRate != nil && graph.layout != nil
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
    for kind in CollectiveKind.allCases {
      if kind == .allToAll && gpus > Self.rankLimit { continue }
      var possible = CollectiveAlgorithm.choices(kind, hasNVLS: hasNVLS, onlyDefault: algorithm == nil)
      if let algorithm, kind != .allToAll { possible = possible.filter { $0 == algorithm } }
      // NCCL's switches add up within a node by default; between nodes that is asked for.
      if algorithm == nil && gpus > cluster.gpusPerNode.value { possible.removeAll { $0 == .nvls } }
      if possible.isEmpty { continue }
      let factor = kind.busFactor(ranks: gpus)
      tables.append(
        BenchTable(
          name: "\(kind.rawValue), \(gpus) GPUs",
          legend: "\(kind.sizeLegend); bus bandwidth: \(Self.factorText(kind)) algorithm bandwidth",
          rows: try sizes.map { size in
            let best = try fastest(kind, of: possible, size)
            return BenchRow(size, best.time, factor: factor, choice: best.name)
          }))
    }
    return tables
  }

  private static func factorText(_ kind: CollectiveKind) -> String {
    switch kind {
    case .allReduce: "2(n - 1)/n times"
    case .reduceScatter, .allGather, .allToAll: "(n - 1)/n times"
    case .broadcast: "the"
    }
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

  /// How long a collective takes with one algorithm, and under which of NCCL's protocols.
  public mutating func time(_ kind: CollectiveKind, _ algorithm: CollectiveAlgorithm, _ size: Bytes) throws
    -> (time: Span, protocolName: String)
  {
    var transfer = Span.zero
    var wires = Span.zero
    var steps = (nvlink: 0, network: 0)
    for phase in try flows.phases(kind, algorithm, size) {
      let longest = (0..<phase.routes.count).map { phase.routes.latency(of: RouteID($0)) }.max() ?? .zero
      wires = wires + longest
      transfer = transfer + (try run(phase.transfers, phase.routes) - longest)
      steps.nvlink += phase.nvlinkSteps
      steps.network += phase.networkSteps
      flows.release(phase)
    }
    let best = tuning.fastest(
      algorithm, transfer: transfer, nvlinkSteps: steps.nvlink, networkSteps: steps.network)
    return (best.time + wires, best.protocolName)
  }

  private mutating func fastest(
    _ kind: CollectiveKind, of algorithms: [CollectiveAlgorithm], _ size: Bytes
  ) throws -> (time: Span, name: String) {
    var best: (time: Span, name: String)?
    for algorithm in algorithms {
      let own = try time(kind, algorithm, size)
      if let best, best.time <= own.time { continue }
      best = (own.time, "\(algorithm.rawValue)/\(own.protocolName)")
    }
    return best ?? (.zero, "")
  }

  /// The tables as nccl-tests prints them, in 80 columns.
  public mutating func text(sizes: [Bytes] = FabricBench.sizes) throws -> String {
    var text = "\(cluster.name): flows at achieved rates, each way sharing its links max-min fairly\n"
    for table in try tables(sizes: sizes) {
      text += "\n# \(table.name)\n"
      text += wrapped(table.legend, width: 78).split(separator: "\n").map { "# \($0)\n" }.joined()
      let names = table.rows.contains { !$0.choice.isEmpty }
      var rows = [["#", "size", "time", "algbw", "busbw"], ["#", "(B)", "(us)", "(GB/s)", "(GB/s)"]]
      if names {
        rows[0].append("algo/proto")
        rows[1].append("")
      }
      for row in table.rows {
        rows.append([
          " ", "\(row.size.count)", decimals(row.time.microseconds), decimals(row.algorithm.value / 1e9),
          decimals(row.bus.value / 1e9),
        ])
        if names { rows[rows.count - 1].append(row.choice) }
      }
      text += columns(rows, gap: 4)
    }
    return text
  }

  /// The same as JSON: picoseconds and bytes per second.
  public mutating func json(sizes: [Bytes] = FabricBench.sizes) throws -> String {
    let tables = try tables(sizes: sizes).map { table in
      let rows = table.rows.map { row in
        "      {\"bytes\": \(row.size.count), \"time_ps\": \(row.time.picoseconds), "
          + "\"algorithm_bandwidth\": \(Int64(row.algorithm.value.rounded())), "
          + "\"bus_bandwidth\": \(Int64(row.bus.value.rounded())), \"choice\": \"\(row.choice)\"}"
      }
      return "    {\"name\": \"\(table.name)\", \"rows\": [\n" + rows.joined(separator: ",\n") + "\n    ]}"
    }
    return "{\n  \"gpus\": \(gpus),\n  \"tables\": [\n" + tables.joined(separator: ",\n") + "\n  ]\n}\n"
  }
}

/// Two decimals, always.
private func decimals(_ value: Double) -> String {
  let short = shortNumber(value)
  guard let point = short.firstIndex(of: ".") else { return short + ".00" }
  return short.distance(from: point, to: short.endIndex) == 2 ? short + "0" : short
}
