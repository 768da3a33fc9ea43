import Documents
import Units

extension Fabric {
  init(_ node: Node) throws {
    try node.allowOnly([
      "kind", "levels", "planes", "switch_ports", "oversubscription", "same_leaf_latency",
      "cross_leaf_latency", "unit_nodes", "dragonfly", "slim_fly", "torus", "graph",
    ])
    let kind = try node.required("kind").oneOf(Kind.self)
    for (key, owner) in [
      ("unit_nodes", Kind.railOptimized), ("dragonfly", .dragonfly), ("slim_fly", .slimFly),
      ("torus", .torus),
      ("graph", .graph),
    ] where kind != owner {
      if let other = try node.optional(key) {
        throw other.error("the key belongs to another kind of fabric", allowed: "kind: \(owner.rawValue)")
      }
    }
    // Only trees have layers, planes and uplinks to divide.
    let one = "a fabric of this kind has no layers, planes or uplinks"
    func count(_ key: String, in range: ClosedRange<Int>) throws -> Sourced<Int> {
      guard let found = try node.optional(key) else {
        if kind.isTree || kind == .none { return try node.required(key).sourcedCount(in: range) }
        return Sourced(1, tag: .derived, source: one)
      }
      return try found.sourcedCount(in: kind.isTree || kind == .none ? range : 1...1)
    }
    func oversubscription() throws -> Sourced<Ratio> {
      guard !kind.isTree, kind != .none, try node.optional("oversubscription") == nil else {
        return try node.required("oversubscription").sourced(Ratio.self)
      }
      return Sourced(Ratio(1), tag: .derived, source: one)
    }
    self.init(
      kind: kind, levels: try count("levels", in: 1...8), planes: try count("planes", in: 1...1024),
      switchPorts: try node.required("switch_ports").sourcedCount(in: 2...65_536),
      oversubscription: try oversubscription(),
      sameLeafLatency: try node.required("same_leaf_latency").sourcedLatency(),
      crossLeafLatency: try node.required("cross_leaf_latency").sourcedLatency(), shape: try Shape(node, kind)
    )
    if kind != .multiPlaneFatTree && planes.value != 1 {
      throw try node.required("planes").error("only a multi-plane fat tree has planes", allowed: "1")
    }
    if case .rails(let unit?) = shape, unit.value > endpointsPerLeaf {
      throw try node.required("unit_nodes").error(
        "a leaf has no ports for so many nodes", found: "\(unit.value)", allowed: "1 to \(endpointsPerLeaf)",
        hint: "look at fabric.switch_ports and fabric.oversubscription")
    }
  }
}

extension Fabric.Shape {
  init(_ node: Node, _ kind: Fabric.Kind) throws {
    switch kind {
    case .none, .fatTree, .multiRailFatTree, .multiPlaneFatTree: self = .tree
    case .railOptimized:
      self = .rails(unitNodes: try node.optional("unit_nodes")?.sourcedCount(in: 1...65_536))
    case .dragonfly:
      let shape = try node.required("dragonfly")
      try shape.allowOnly(["groups", "routers_per_group", "cards_per_router", "global_per_router"])
      self = .dragonfly(
        Fabric.Dragonfly(
          groups: try shape.required("groups").sourcedCount(in: 1...65_536),
          routersPerGroup: try shape.required("routers_per_group").sourcedCount(in: 1...4096),
          cardsPerRouter: try shape.required("cards_per_router").sourcedCount(in: 1...4096),
          globalPerRouter: try shape.required("global_per_router").sourcedCount(in: 1...4096)))
    case .slimFly:
      let shape = try node.required("slim_fly")
      try shape.allowOnly(["q", "cards_per_router"])
      self = .slimFly(
        Fabric.SlimFly(
          q: try shape.required("q").sourcedCount(in: 2...128),
          cardsPerRouter: try shape.required("cards_per_router").sourcedCount(in: 1...4096)))
    case .torus:
      let shape = try node.required("torus")
      try shape.allowOnly(["dimensions", "cards_per_switch"])
      self = .torus(
        Fabric.Torus(
          dimensions: try dimensions(shape.required("dimensions")),
          cardsPerSwitch: try shape.required("cards_per_switch").sourcedCount(in: 1...4096)))
    case .graph: self = .graph(try Fabric.FreeGraph(node.required("graph")))
    }
  }
}

private func dimensions(_ node: Node) throws -> Sourced<[Int]> {
  try node.allowOnly(["value", "source", "tag", "note"])
  let (tag, source) = try node.birthplace()
  let sides = try node.required("value").list().map { try $0.integer(in: 1...65_536) }
  let switches = sides.reduce(1) { $0 > 1_000_000 ? $0 : $0 * $1 }
  guard (1...8).contains(sides.count), switches <= 1_000_000 else {
    throw try node.required("value").error(
      "a torus has one to eight dimensions and no more than a million switches", found: "\(sides)")
  }
  return Sourced(sides, tag: tag, source: source)
}

extension Fabric.FreeGraph {
  init(_ node: Node) throws {
    try node.allowOnly(["switches", "links"])
    self.init(
      switches: try node.required("switches").list().map { try $0.text() },
      cables: try node.required("links").list().map { link in
        try link.allowOnly(["between", "count", "bandwidth", "latency"])
        let (from, to) = try ends(link.required("between"))
        return Cable(
          from: from, to: to, count: try link.optional("count")?.integer(in: 1...1024) ?? 1,
          bandwidth: try link.optional("bandwidth")?.sourced(BytesPerSecond.self),
          latency: try link.optional("latency")?.sourcedLatency(), file: link.file, path: link.path)
      })
  }
}

private func ends(_ node: Node) throws -> (String, String) {
  let ends = try node.list().map { try $0.text() }
  guard ends.count == 2, ends[0] != ends[1] else {
    throw node.error("a cable has two different ends", found: "\(ends)", allowed: "[one device, another]")
  }
  return (ends[0], ends[1])
}

extension PeripheralBus {
  init(_ node: Node) throws {
    try node.allowOnly(["bandwidth"])
    self.init(bandwidth: try node.required("bandwidth").sourced(BytesPerSecond.self))
  }
}

extension Failure {
  init(_ node: Node) throws {
    try node.allowOnly(["between", "cable", "device", "remaining"])
    let place: Place
    if let device = try node.optional("device") {
      for key in ["between", "cable"] {
        if let other = try node.optional(key) {
          throw other.error(
            "a failure is of a cable or of a device, not of both", allowed: "between, or device")
        }
      }
      place = .device(try device.text())
    } else {
      let (from, to) = try ends(node.required("between"))
      place = .cable(from, to, number: try node.optional("cable")?.integer(in: 0...1_000_000))
    }
    let remaining = try node.optional("remaining")?.sourcedShare()
    self.init(place, remaining: remaining, file: node.file, path: node.path)
  }
}
