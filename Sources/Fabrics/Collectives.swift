import Clusters
import Documents
import Networks
import Units

/// What the members of a group do together; raw values are the names of nccl-tests' programs.
public enum CollectiveKind: String, CaseIterable, Sendable {
  case allReduce = "all_reduce"
  case reduceScatter = "reduce_scatter"
  case allGather = "all_gather"
  case broadcast
  case allToAll = "alltoall"

  /// Bus bandwidth over algorithm bandwidth. Source: nccl-tests, doc/PERFORMANCE.md.
  public func busFactor(ranks: Int) -> Double {
    let n = Double(ranks)
    switch self {
    case .allReduce: return 2 * (n - 1) / n
    case .reduceScatter, .allGather, .allToAll: return (n - 1) / n
    case .broadcast: return 1
    }
  }

  /// What a size means.
  public var sizeLegend: String {
    switch self {
    case .allReduce, .broadcast: "size: of the buffer"
    case .reduceScatter: "size: what a GPU puts in"
    case .allGather: "size: what a GPU gets"
    case .allToAll: "size: what a GPU sends, its own share included"
    }
  }
}

/// Which way a collective's bytes take; names as NCCL_ALGO has them where it knows the algorithm.
public enum CollectiveAlgorithm: String, CaseIterable, Sendable {
  /// A ring over all GPUs for each card of a node.
  case ring
  /// Two binary trees between nodes for each card, chains within nodes.
  case tree
  /// Rings within nodes, rings between GPUs of one index, rings within nodes.
  case hierarchical
  /// Switches within nodes add up and copy; between nodes as `hierarchical`.
  case nvls
  /// Every member to every other at once.
  case pairwise

  /// What NCCL chooses among, or what is possible if asked for.
  public static func choices(_ kind: CollectiveKind, hasNVLS: Bool, onlyDefault: Bool)
    -> [CollectiveAlgorithm]
  {
    switch kind {
    case .allToAll: return [.pairwise]
    case .broadcast: return onlyDefault ? [.ring] : [.ring, .hierarchical]
    case .reduceScatter, .allGather:
      return onlyDefault ? [.ring] : [.ring, .hierarchical] + (hasNVLS ? [.nvls] : [])
    case .allReduce:
      let both: [CollectiveAlgorithm] = onlyDefault ? [.ring, .tree] : [.ring, .tree, .hierarchical]
      return both + (hasNVLS ? [.nvls] : [])
    }
  }
}

/// The flows of a collective over a fabric's routes, in phases that follow one another.
///
/// Within a phase everything is pipelined: an edge of a ring or tree is one flow with all that the edge carries.
/// Bytes are whole: shards differ by at most one byte, so that what goes into the links comes out of them.
///
/// Sources: NCCL, `src/graph/rings.cc`, `src/graph/trees.cc` (`ncclGetDtree`), `src/device/all_reduce.h`.
public struct CollectiveFlows {
  /// Flows that run beside each other, and the steps that one byte takes from its first to its last hop.
  public struct Phase {
    public internal(set) var transfers = Transfers()
    public internal(set) var routes = RouteTable()
    public internal(set) var nvlinkSteps = 0
    public internal(set) var networkSteps = 0
  }

  let graph: FabricGraph
  let gpus: Int
  let perNode: Int
  /// Rings or trees side by side: one for each card.
  let rings: Int
  /// Of a GPU to its NVSwitch while switches add up; nil where they cannot.
  let switchRate: BytesPerSecond?
  private var router: Router

  var nodes: Int { gpus / perNode }

  /// - Precondition: `gpus` are whole nodes or a part of the first.
  init(_ graph: FabricGraph, _ cluster: Cluster, gpus: Int, choice: RouteChoice) {
    self.graph = graph
    self.gpus = gpus
    perNode = min(gpus, cluster.gpusPerNode.value)
    rings = max(1, min(perNode, cluster.nic.perNode.value))
    router = Router(graph, choice: choice)
    // Calibrated as bus bandwidth of whole nodes; each GPU sends size × (1 + 1/g) to the switches and gets as much.
    let g = Double(cluster.gpusPerNode.value)
    switchRate = cluster.collectives.nvlinkAllReduceBandwidth.map {
      BytesPerSecond($0.value.value * (g + 1) / (2 * (g - 1)))
    }
  }

  /// The phases of a collective of `size` bytes.
  ///
  /// - Throws: A ``Documents/Diagnostic`` where GPUs do not reach each other or the algorithm is none for the kind.
  public mutating func phases(_ kind: CollectiveKind, _ algorithm: CollectiveAlgorithm, _ size: Bytes) throws
    -> [Phase]
  {
    guard
      CollectiveAlgorithm.choices(kind, hasNVLS: switchRate != nil, onlyDefault: false).contains(algorithm)
    else {
      throw Diagnostic(
        .usage, "\(kind.rawValue) has no such algorithm here", path: "--algo", found: algorithm.rawValue,
        allowed: CollectiveAlgorithm.choices(kind, hasNVLS: switchRate != nil, onlyDefault: false).map(
          \.rawValue
        ).joined(separator: ", "))
    }
    switch algorithm {
    case .ring: return [try ring(kind, size.count)]
    case .tree: return [try tree(size.count)]
    case .hierarchical, .nvls: return try hierarchical(kind, size.count, bySwitch: algorithm == .nvls)
    case .pairwise: return [try pairwise(Array(repeating: parts(size.count, gpus), count: gpus))]
    }
  }

  /// Every member's bytes to every other, `[source][target]`; what stays is not sent.
  public mutating func pairwise(_ bytes: [[Int64]]) throws -> Phase {
    var phase = Phase()
    for source in 0..<gpus {
      for target in 0..<gpus where target != source {
        try edge(source, target, bytes[source][target], &phase)
      }
    }
    phase.networkSteps = nodes > 1 ? 1 : 0
    phase.nvlinkSteps = nodes > 1 ? 0 : 1
    return phase
  }

  private mutating func edge(
    _ source: Int, _ target: Int, _ bytes: Int64, channel: Int = 0, _ phase: inout Phase
  ) throws {
    if source == target || bytes == 0 { return }
    let route = try router.route(from: source, to: target, flow: channel, load: Double(bytes))
    try phase.transfers.add(try phase.routes.add(route, of: graph.table), Bytes(bytes))
  }

  /// Takes back what adaptive routing spread for a phase.
  mutating func release(_ phase: Phase) {
    for flow in 0..<phase.transfers.count {
      let route = phase.transfers.route(of: flow)
      router.release(phase.routes.links(of: route), load: Double(phase.transfers.size(of: flow).count))
    }
  }

  /// Whole parts that differ by at most one byte.
  func parts(_ bytes: Int64, _ count: Int) -> [Int64] {
    let (share, rest) = bytes.quotientAndRemainder(dividingBy: Int64(count))
    return (0..<count).map { share + (Int64($0) < rest ? 1 : 0) }
  }

  // MARK: Rings

  /// The members of a channel's ring: it enters and leaves nodes on cards of one rail, and turns round in every second.
  func ringOrder(_ channel: Int) -> [Int] {
    let first = channel * perNode / rings
    return (0..<nodes).flatMap { node -> [Int] in
      let inside = (0..<perNode).map { (first + $0) % perNode }
      return (node % 2 == 0 ? inside : inside.reversed()).map { node * perNode + $0 }
    }
  }

  /// Edge `p` of a ring carries every shard but one in each pass: shard `p + 1` has ended at its owner when the
  /// reduction comes round, and `p + 2` when the copies do.
  private mutating func circle(
    _ order: [Int], _ kind: CollectiveKind, _ bytes: Int64, channel: Int = 0, _ phase: inout Phase
  ) throws {
    let shards = parts(bytes, order.count)
    for (place, source) in order.enumerated() {
      let target = order[(place + 1) % order.count]
      let first = bytes - shards[(place + 1) % order.count]
      let second = bytes - shards[(place + 2) % order.count]
      switch kind {
      case .allReduce: try edge(source, target, first + second, channel: channel, &phase)
      case .reduceScatter: try edge(source, target, first, channel: channel, &phase)
      case .allGather: try edge(source, target, second, channel: channel, &phase)
      case .broadcast:
        // A chain: nobody hands on to the root.
        if place < order.count - 1 { try edge(source, target, bytes, channel: channel, &phase) }
      case .allToAll: break
      }
    }
  }

  private mutating func ring(_ kind: CollectiveKind, _ size: Int64) throws -> Phase {
    var phase = Phase()
    for (channel, share) in parts(size, rings).enumerated() {
      var order = ringOrder(channel)
      // A broadcast begins at GPU 0 on every channel.
      if kind == .broadcast, let root = order.firstIndex(of: 0) {
        order = Array(order[root...] + order[..<root])
      }
      try circle(order, kind, share, channel: channel, &phase)
    }
    let passes = kind == .allReduce ? 2 : 1
    phase.networkSteps = nodes > 1 ? passes * (nodes - (kind == .broadcast ? 1 : 0)) : 0
    phase.nvlinkSteps = max(0, passes * (gpus - 1) - phase.networkSteps)
    return phase
  }

  // MARK: Trees

  /// The parent of a node in the binary tree whose odd nodes are leaves; -1 for the root.
  static func binaryParent(_ node: Int, of count: Int) -> Int {
    if node == 0 { return -1 }
    let bit = node & -node
    let up = (node ^ bit) | (bit << 1)
    return up >= count ? node ^ bit : up
  }

  /// The same in the first or second of two trees: who is inside one is a leaf of the other.
  static func parent(_ node: Int, of count: Int, tree: Int) -> Int {
    if tree == 0 { return binaryParent(node, of: count) }
    if count % 2 == 1 {
      let up = binaryParent((node - 1 + count) % count, of: count)
      return up < 0 ? -1 : (up + 1) % count
    }
    let up = binaryParent(count - 1 - node, of: count)
    return up < 0 ? -1 : count - 1 - up
  }

  /// Up with sums and down with copies on every edge; each of two trees has half of a channel's bytes.
  private mutating func tree(_ size: Int64) throws -> Phase {
    var phase = Phase()
    for (channel, share) in parts(size, rings).enumerated() {
      let chain = (0..<perNode).map { (channel * perNode / rings + $0) % perNode }
      for (tree, bytes) in parts(share, 2).enumerated() {
        for node in 0..<nodes {
          for (near, far) in zip(chain, chain.dropFirst()) {
            try edge(node * perNode + far, node * perNode + near, bytes, channel: channel, &phase)
            try edge(node * perNode + near, node * perNode + far, bytes, channel: channel, &phase)
          }
          let up = Self.parent(node, of: nodes, tree: tree)
          if up < 0 { continue }
          let (own, other) = (node * perNode + chain[0], up * perNode + chain[0])
          try edge(own, other, bytes, channel: channel, &phase)
          try edge(other, own, bytes, channel: channel, &phase)
        }
      }
    }
    phase.nvlinkSteps = 2 * (perNode - 1)
    phase.networkSteps = nodes > 1 ? 2 * (Int.bitWidth - 1 - nodes.leadingZeroBitCount) : 0
    return phase
  }

  // MARK: By node, then between nodes

  private mutating func hierarchical(_ kind: CollectiveKind, _ size: Int64, bySwitch: Bool) throws -> [Phase]
  {
    let shards = parts(size, perNode)
    var phases: [Phase] = []
    if kind == .allReduce && bySwitch && nodes == 1 {
      return [try inSwitch(shards, reduces: true, copies: true)]
    }
    if kind == .allReduce || kind == .reduceScatter {
      phases.append(
        bySwitch
          ? try inSwitch(shards, reduces: true, copies: false)
          : try inside(.reduceScatter, size, nodes: 0..<nodes))
    } else if kind == .broadcast && perNode > 1 {
      // The root gives each GPU of its node a shard.
      var phase = Phase()
      for member in 1..<perNode { try edge(0, member, shards[member], &phase) }
      phase.nvlinkSteps = 1
      phases.append(phase)
    }
    if nodes > 1 {
      var phase = Phase()
      for (member, shard) in shards.enumerated() {
        try circle(
          (0..<nodes).map { $0 * perNode + member }, kind, shard, channel: member, &phase)
      }
      phase.networkSteps = (kind == .allReduce ? 2 : 1) * (nodes - 1)
      phases.append(phase)
    }
    if kind != .reduceScatter {
      phases.append(
        bySwitch
          ? try inSwitch(shards, reduces: false, copies: true)
          : try inside(.allGather, size, nodes: 0..<nodes))
    }
    return phases.filter { $0.transfers.count > 0 }
  }

  private mutating func inside(_ kind: CollectiveKind, _ size: Int64, nodes: Range<Int>) throws -> Phase {
    var phase = Phase()
    for node in nodes { try circle((0..<perNode).map { node * perNode + $0 }, kind, size, &phase) }
    phase.nvlinkSteps = perNode - 1
    return phase
  }

  /// To add up, the switch reads every GPU's buffer and hands each its own shard; to copy, it takes each GPU's shard
  /// and writes all to everyone.
  private func inSwitch(_ shards: [Int64], reduces: Bool, copies: Bool) throws -> Phase {
    guard let layout = graph.layout, layout.hasNVLink, let switchRate else {
      throw Diagnostic(.usage, "the nodes have no switches that add up", path: "--algo", found: "nvls")
    }
    let whole = shards.reduce(0, +)
    var phase = Phase()
    for gpu in 0..<gpus {
      let own = shards[gpu % perNode]
      let up = (reduces ? whole : 0) + (copies ? own : 0)
      let down = (reduces ? own : 0) + (copies ? whole : 0)
      for (link, bytes) in [(layout.nvlinkUp(gpu), up), (layout.nvlinkDown(gpu), down)] {
        try phase.transfers.add(
          try phase.routes.add([link], of: graph.table), Bytes(bytes), limit: switchRate)
      }
    }
    phase.nvlinkSteps = (reduces ? 1 : 0) + (copies ? 1 : 0)
    return phase
  }
}
