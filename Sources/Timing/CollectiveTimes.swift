import Clusters
import Programs
import Units

/// How NCCL passes an all-reduce's or a broadcast's data on.
public enum AllReduceAlgorithm: String, CaseIterable, Sendable {
  case ring, tree
}

/// How long messages and collectives take alone, from link bandwidth, latency and algorithm.
///
/// Reductions and gathers follow NCCL: rings over all GPUs of a group, as many side by side as a node has
/// cards for the group, or, for an all-reduce where that is sooner, a double binary tree between nodes.
/// Dispatch and combine follow DeepEP's two hops. Source: NCCL's documented algorithms and the bus-bandwidth
/// definition of nccl-tests; DeepEP's definitions of bottleneck bandwidth.
public struct CollectiveTimes: Sendable {
  private let cluster: Cluster

  public init(_ cluster: Cluster) { self.cluster = cluster }

  private var calibration: CollectiveCalibration { cluster.collectives }

  /// What is left of a card's bandwidth when every node talks beyond its leaf switch at once.
  private func uplinkShare(nodes: Int) -> Double {
    let nodesPerLeaf = cluster.fabric.nodesPerLeaf(nicsPerNode: cluster.nic.perNode.value)
    return nodes > nodesPerLeaf ? 1 / max(1, cluster.fabric.oversubscription.value.value) : 1
  }

  /// Cards that a group can use on one node.
  private func cards(_ shape: GroupShape) -> Double {
    let perGPU = Double(cluster.nic.perNode.value) / Double(cluster.gpusPerNode.value)
    return max(perGPU * Double(shape.ranksPerNode), min(1, perGPU))
  }

  /// A point-to-point message.
  public func message(_ bytes: Int64, crossesNodes: Bool) -> Cost {
    guard bytes > 0 else { return Cost(alone: messageLatency(crossesNodes: crossesNodes)) }
    // Neighbouring stages may lie anywhere in the cluster.
    let network = calibration.nicBandwidth.value * uplinkShare(nodes: cluster.nodes.value)
    let bandwidth = crossesNodes ? network : cluster.nvlink.achieved.value
    let capacity = crossesNodes ? cluster.nic.peak.value : cluster.nvlink.peak.value
    let alone = Bytes(bytes) / bandwidth + messageLatency(crossesNodes: crossesNodes)
    let share = Double(bytes) / (alone.seconds * capacity.value)
    return Cost(alone: alone, linkShare: crossesNodes ? (0, 0, share, share) : (share, share, 0, 0))
  }

  private func messageLatency(crossesNodes: Bool) -> Span {
    calibration.baseLatency.value
      + (crossesNodes ? calibration.nicStepLatency.value : calibration.nvlinkStepLatency.value)
  }

  /// A reduction, gather or broadcast of `bytes`: the whole buffer of an all-reduce or broadcast, the input
  /// of a reduce-scatter, the output of an all-gather.
  /// - Parameter algorithm: How many steps it takes; nil: whichever is sooner.
  public func collective(
    _ kind: TaskKind, bytes: Int64, shape: GroupShape, algorithm: AllReduceAlgorithm? = nil
  ) -> Cost {
    guard shape.ranks > 1 else { return .free }
    let ranks = Double(shape.ranks)
    let passes: Double
    switch kind {
    case .allReduce: passes = 2
    case .allToAll: return allToAll(AllToAllLoad(bytes: bytes, shape: shape), shape: shape)
    case .barrier: return Cost(alone: calibration.baseLatency.value + treeSteps(shape))
    default: passes = 1
    }
    let bytesPerRank = passes * (ranks - 1) / ranks * Double(bytes)
    let transfer = bytesPerRank / bandwidthPerGPU(shape, kind)
    var steps = ringSteps(shape)
    // A tree moves as many bytes as a ring but in fewer steps, and pays with some bandwidth; for small buffers it wins.
    if kind == .allReduce || kind == .broadcast {
      switch algorithm {
      case .ring: break
      case .tree: steps = treeSteps(shape)
      case nil: steps = min(steps, treeSteps(shape))
      }
    }
    let alone =
      Span(modelled: transfer) + calibration.baseLatency.value + steps.scaled(by: passes)
    return Cost(alone: alone, linkShare: linkShares(bytesPerRank: bytesPerRank, shape: shape, alone: alone))
  }

  /// Bus bandwidth of a group: the slower of NVLink per GPU and the node's cards together; within a node an
  /// all-reduce may add up in the switches.
  private func bandwidthPerGPU(_ shape: GroupShape, _ kind: TaskKind) -> Double {
    let nvlink = calibration.nvlinkBandwidth.value.value
    guard shape.nodes > 1 else {
      return kind == .allReduce ? calibration.nvlinkAllReduceBandwidth?.value.value ?? nvlink : nvlink
    }
    let network = calibration.nicBandwidth.value.value * cards(shape) * uplinkShare(nodes: shape.nodes)
    return shape.ranksPerNode > 1 ? min(nvlink, network) : network
  }

  private func ringSteps(_ shape: GroupShape) -> Span {
    let between = shape.nodes > 1 ? shape.nodes : 0
    let within = shape.ranks - 1 - max(0, between - 1)
    return calibration.nicStepLatency.value * max(0, between - 1) + calibration.nvlinkStepLatency.value
      * max(0, within)
  }

  private func treeSteps(_ shape: GroupShape) -> Span {
    func depth(_ count: Int) -> Int { count <= 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount }
    return calibration.nicStepLatency.value * depth(shape.nodes) + calibration.nvlinkStepLatency.value
      * depth(shape.ranksPerNode)
  }

  /// Each ring enters and leaves a node once, so a node's traffic spreads over the group's cards.
  private func linkShares(
    bytesPerRank: Double, shape: GroupShape, alone: Span
  ) -> (Double, Double, Double, Double) {
    let seconds = alone.seconds
    let nvlink = shape.ranksPerNode > 1 ? bytesPerRank / (seconds * cluster.nvlink.peak.value.value) : 0
    let network =
      shape.nodes > 1 ? bytesPerRank / cards(shape) / (seconds * cluster.nic.peak.value.value) : 0
    return (min(1, nvlink), min(1, nvlink), min(1, network), min(1, network))
  }

  // MARK: All-to-all

  /// Of one GPU within a node.
  var nvlinkBandwidth: Double { calibration.nvlinkBandwidth.value.value }

  /// What one GPU gets of its node's cards while all others use theirs.
  func networkBandwidthPerGPU(nodes: Int) -> Double {
    let cardsPerGPU = min(1, Double(cluster.nic.perNode.value) / Double(cluster.gpusPerNode.value))
    return calibration.nicBandwidth.value.value * cardsPerGPU * uplinkShare(nodes: nodes)
  }

  func allToAllLatency(_ shape: GroupShape) -> Span {
    calibration.baseLatency.value
      + (shape.nodes > 1 ? calibration.nicStepLatency.value : calibration.nvlinkStepLatency.value)
  }

  func linkShares(_ load: AllToAllLoad, alone: Span) -> (Double, Double, Double, Double) {
    let nvlink = min(1, Double(load.near) / (alone.seconds * cluster.nvlink.peak.value.value))
    let cardsPerGPU = min(1, Double(cluster.nic.perNode.value) / Double(cluster.gpusPerNode.value))
    let network = min(1, Double(load.far) / (alone.seconds * cluster.nic.peak.value.value * cardsPerGPU))
    return (nvlink, nvlink, network, network)
  }

  /// A dispatch or a combine of one rank's tokens.
  ///
  /// - Parameters:
  ///   - load: What this rank moves; nil: what the fullest member does, for which all wait. A table counts
  ///     rows by rank, so how many of them share a copy over the network is taken from the averages.
  ///   - layoutIsKnown: The destinations were exchanged before (a combine, or a backward dispatch).
  public func exchange(
    _ kind: TaskKind, _ exchange: Exchange, load: ExchangeLoad? = nil, shape: GroupShape, layoutIsKnown: Bool
  ) -> Cost {
    guard shape.ranks > 1 else { return .free }
    let copies = copies(of: exchange, load: load, shape: shape)
    let nicBytes = copies.network * exchange.bytesPerToken
    let nvlinkBytes = copies.ranks * exchange.bytesPerToken
    let physicalNVLink = copies.forwarded * exchange.bytesPerToken
    // Bytes wait for the leaf's uplinks as they would for a slower card.
    let networkBytes = nicBytes / uplinkShare(nodes: shape.nodes)
    let transfer: Span
    var slowdown = 1.0
    var latency = Span.zero
    if let calibration = cluster.allToAll {
      let direction =
        kind == .combine
        ? calibration.combine : layoutIsKnown ? calibration.cachedDispatch : calibration.dispatch
      transfer = direction.duration(
        nicBytes: networkBytes, nodeBytes: copies.nodes * exchange.bytesPerToken, nvlinkBytes: nvlinkBytes)
      slowdown = max(1, direction.overlapSlowdown.value.value)
      latency = layoutIsKnown ? calibration.cachedNotifyLatency.value : calibration.notifyLatency.value
    } else {
      transfer = Span(
        modelled: max(
          networkBytes / cluster.collectives.nicBandwidth.value.value,
          nvlinkBytes / cluster.nvlink.achieved.value.value))
      latency = calibration.baseLatency.value
    }
    let alone = transfer + latency
    guard alone > .zero else { return .free }
    let nvlink = min(1, physicalNVLink / (alone.seconds * cluster.nvlink.peak.value.value))
    let network = min(1, nicBytes / (alone.seconds * cluster.nic.peak.value.value))
    return Cost(
      alone: alone, linkShare: (nvlink, nvlink, network, network), slowdownBesideCompute: slowdown)
  }

  /// Rows of one rank that cross the network, that go to nodes, that reach ranks, and that NVLink carries.
  private func copies(
    of exchange: Exchange, load: ExchangeLoad?, shape: GroupShape
  ) -> (network: Double, nodes: Double, ranks: Double, forwarded: Double) {
    let own = exchange.tokens * (exchange.nodesPerToken - exchange.remoteNodesPerToken)
    let average = (
      network: exchange.tokens * exchange.remoteNodesPerToken,
      ranks: exchange.tokens * exchange.ranksPerToken,
      forwarded: exchange.tokens * exchange.forwardedPerToken
    )
    guard let load else {
      return (
        network: average.network * exchange.fullestNode,
        nodes: average.network * exchange.fullestNode + own, ranks: average.ranks * exchange.fullestRank,
        forwarded: average.forwarded * exchange.fullestRank
      )
    }
    let averageRemote = average.ranks * Double(shape.nodes - 1) / Double(shape.nodes)
    let rows = Double(load.rows)
    let network = averageRemote > 0 ? Double(load.remoteRows) * min(1, average.network / averageRemote) : 0
    return (
      network: network, nodes: network + own, ranks: rows,
      forwarded: average.ranks > 0 ? rows * average.forwarded / average.ranks : 0
    )
  }
}
