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

  public init(
    kind: Kind, levels: Sourced<Int>, planes: Sourced<Int>, switchPorts: Sourced<Int>,
    oversubscription: Sourced<Ratio>, sameLeafLatency: Sourced<Span>, crossLeafLatency: Sourced<Span>
  ) {
    self.kind = kind
    self.levels = levels
    self.planes = planes
    self.switchPorts = switchPorts
    self.oversubscription = oversubscription
    self.sameLeafLatency = sameLeafLatency
    self.crossLeafLatency = crossLeafLatency
  }

  /// Cards that a non-blocking tree of these switches connects: ports × (ports ÷ 2)^(levels − 1).
  public var endpointsPerPlane: Int {
    (1..<max(levels.value, 1)).reduce(switchPorts.value) { endpoints, _ in
      let (product, overflow) = endpoints.multipliedReportingOverflow(by: switchPorts.value / 2)
      return overflow ? .max : product
    }
  }

  /// Cards below one leaf switch of one tree.
  public var endpointsPerLeaf: Int { levels.value == 1 ? switchPorts.value : switchPorts.value / 2 }

  /// Nodes whose cards of one index share a leaf switch: on rails each node has one card there, on a plain tree all.
  public func nodesPerLeaf(nicsPerNode: Int) -> Int {
    let cards = kind == .multiRailFatTree ? 1 : nicsPerNode / max(1, planes.value)
    return max(1, endpointsPerLeaf / max(1, cards))
  }

  /// Nodes that the fabric can connect.
  public func maximumNodes(nicsPerNode: Int) -> Int {
    if kind == .none { return 1 }
    let perPlane = max(1, nicsPerNode / planes.value)
    return max(1, endpointsPerPlane / perPlane)
  }
}
