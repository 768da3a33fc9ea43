import Units

/// NVLink through NVSwitch: every GPU of a node reaches every other at the same rate.
public struct Interconnect: Hashable, Sendable {
  /// Of one GPU, in one direction.
  public var peak: Sourced<BytesPerSecond>
  /// What kernels that copy with multiprocessors get of it.
  public var achieved: Sourced<BytesPerSecond>
  /// End to end for a message of a few bytes.
  public var latency: Sourced<Span>

  public init(peak: Sourced<BytesPerSecond>, achieved: Sourced<BytesPerSecond>, latency: Sourced<Span>) {
    self.peak = peak
    self.achieved = achieved
    self.latency = latency
  }
}

/// The network cards of a node that serve its GPUs.
public struct NetworkInterface: Hashable, Sendable {
  public var perNode: Sourced<Int>
  /// Of one card, in one direction.
  public var peak: Sourced<BytesPerSecond>
  /// Of one card, for large messages.
  public var achieved: Sourced<BytesPerSecond>

  public init(perNode: Sourced<Int>, peak: Sourced<BytesPerSecond>, achieved: Sourced<BytesPerSecond>) {
    self.perNode = perNode
    self.peak = peak
    self.achieved = achieved
  }
}

/// The switches between nodes.
public struct Fabric: Hashable, Sendable {
  /// How switches are arranged.
  public enum Kind: String, CaseIterable, Codable, Sendable {
    /// One node, or nodes wired back to back: no switch.
    case none
    /// Every card on one tree.
    case fatTree = "fat_tree"
    /// One tree on which cards of the same index share leaves (MRFT).
    case multiRailFatTree = "multi_rail_fat_tree"
    /// A separate tree for each card index (MPFT); changing the plane takes an NVLink hop.
    case multiPlaneFatTree = "multi_plane_fat_tree"
    /// Units of nodes with a leaf for each card index, under spines that all units share.
    case railOptimized = "rail_optimized"
    case dragonfly
    case slimFly = "slim_fly"
    case torus
    /// Switches and cables by hand.
    case graph

    /// Whether the switches are leaves, spines and cores.
    public var isTree: Bool {
      switch self {
      case .fatTree, .multiRailFatTree, .multiPlaneFatTree, .railOptimized: true
      case .none, .dragonfly, .slimFly, .torus, .graph: false
      }
    }

    /// Whether cards of one index share leaves.
    public var hasRails: Bool { self == .multiRailFatTree || self == .railOptimized }
  }

  public var kind: Kind
  /// Layers of switches in one tree.
  public var levels: Sourced<Int>
  /// Separate trees; 1 unless multi-plane.
  public var planes: Sourced<Int>
  public var switchPorts: Sourced<Int>
  /// Downward over upward bandwidth of a leaf; 1 is non-blocking.
  public var oversubscription: Sourced<Ratio>
  /// End to end for a message of a few bytes under one leaf.
  public var sameLeafLatency: Sourced<Span>
  /// End to end for a message of a few bytes between leaves.
  public var crossLeafLatency: Sourced<Span>
  /// What a kind needs beside the keys that all have.
  public var shape: Shape

  public init(
    kind: Kind, levels: Sourced<Int>, planes: Sourced<Int>, switchPorts: Sourced<Int>,
    oversubscription: Sourced<Ratio>, sameLeafLatency: Sourced<Span>, crossLeafLatency: Sourced<Span>,
    shape: Shape = .tree
  ) {
    self.shape = shape
    self.kind = kind
    self.levels = levels
    self.planes = planes
    self.switchPorts = switchPorts
    self.oversubscription = oversubscription
    self.sameLeafLatency = sameLeafLatency
    self.crossLeafLatency = crossLeafLatency
  }

  /// Cards that a tree of these switches connects: leaves × cards below one, with ports × (ports ÷ 2)^(levels − 2)
  /// leaves.
  ///
  /// Without oversubscription that is ports × (ports ÷ 2)^(levels − 1).
  public var endpointsPerPlane: Int {
    if levels.value <= 1 { return switchPorts.value }
    return (2...levels.value).reduce(endpointsPerLeaf) { endpoints, level in
      let (product, overflow) = endpoints.multipliedReportingOverflow(
        by: level == 2 ? switchPorts.value : switchPorts.value / 2)
      return overflow ? .max : product
    }
  }

  /// Cards below one leaf switch of one tree: its ports × oversubscription ÷ (1 + oversubscription).
  public var endpointsPerLeaf: Int {
    if let cardsPerSwitch { return cardsPerSwitch }
    if levels.value == 1 { return switchPorts.value }
    let ratio = max(1e-6, oversubscription.value.value)
    let down = (Double(switchPorts.value) * ratio / (1 + ratio) + 1e-9).rounded(.down)
    return min(max(1, Int(down)), max(1, switchPorts.value - 1))
  }

  /// Ports of a leaf that lead up; what oversubscription leaves over stays dark.
  public var uplinksPerLeaf: Int {
    if levels.value == 1 { return 0 }
    let up = (Double(endpointsPerLeaf) / max(1e-6, oversubscription.value.value) + 1e-9).rounded(.down)
    return Int(min(max(1, up), Double(max(1, switchPorts.value - endpointsPerLeaf))))
  }

  /// Nodes whose cards of one index share a leaf switch: on rails each node has one card there, on a plain tree all.
  public func nodesPerLeaf(nicsPerNode: Int) -> Int {
    if case .rails(let unit?) = shape { return unit.value }
    let cards = kind.hasRails ? 1 : nicsPerNode / max(1, planes.value)
    return max(1, endpointsPerLeaf / max(1, cards))
  }

  /// Nodes that the fabric can connect.
  public func maximumNodes(nicsPerNode: Int) -> Int {
    switch kind {
    case .none: return 1
    case .graph: return 1_000_000
    case .dragonfly, .slimFly, .torus: return max(1, (places ?? 1) / max(1, nicsPerNode))
    case .fatTree, .multiRailFatTree, .multiPlaneFatTree, .railOptimized:
      let perPlane = max(1, nicsPerNode / planes.value)
      return max(1, endpointsPerPlane / perPlane)
    }
  }
}
