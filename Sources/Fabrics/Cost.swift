import Clusters
import Documents
import Units

/// What switches and cables cost, with the table that they were read off.
public struct FabricPrices: Sendable {
  public let perSwitch: Sourced<Dollars>
  /// A cable between switches.
  public let perLink: Sourced<Dollars>
  /// What an endpoint adds: its own cable.
  public let perEndpoint: Sourced<Dollars>
  public let published: [PublishedFabric]
  public let source: String

  /// A row of a published table.
  public struct PublishedFabric: Hashable, Sendable {
    public let name: String
    public let counts: FabricCounts
    public let cost: Dollars
    public let perEndpoint: Dollars
  }

  /// The prices that are shipped.
  ///
  /// - Throws: A ``Documents/Diagnostic`` when the data file was damaged.
  public static func shipped() throws -> FabricPrices {
    let node = try shippedDocument("prices.yaml")
    let prices = try node.required("prices")
    let published = try node.required("published")
    let counts = 1...1_000_000_000
    return FabricPrices(
      perSwitch: try prices.required("switch").sourced(Dollars.self),
      perLink: try prices.required("link").sourced(Dollars.self),
      perEndpoint: try prices.required("endpoint").sourced(Dollars.self),
      published: try published.required("rows").list().map { row in
        PublishedFabric(
          name: try row.required("name").text(),
          counts: FabricCounts(
            endpoints: try row.required("endpoints").integer(in: counts),
            switches: try row.required("switches").integer(in: counts),
            links: try row.required("links").integer(in: counts)),
          cost: try row.required("cost").quantity(Dollars.self),
          perEndpoint: try row.required("per_endpoint").quantity(Dollars.self))
      },
      source: try published.required("source").text())
  }

  public func cost(of counts: FabricCounts) -> Dollars {
    perSwitch.value * Double(counts.switches) + perLink.value * Double(counts.links)
      + perEndpoint.value * Double(counts.endpoints)
  }
}

/// What is bought for a fabric: cards that hang on it, switches, cables between switches.
public struct FabricCounts: Hashable, Sendable {
  public let endpoints: Int
  public let switches: Int
  /// Cables between switches; those to endpoints are not among them, as in the published table.
  public let links: Int

  public init(endpoints: Int, switches: Int, links: Int) {
    self.endpoints = endpoints
    self.switches = switches
    self.links = links
  }

  public init(_ layout: SwitchLayout) {
    self.init(
      endpoints: layout.cards.count { $0 >= 0 }, switches: layout.switches, links: layout.cables.count)
  }

  /// - Complexity: O(devices + cables).
  public init(_ graph: FabricGraph) {
    var links = 0
    var endpoints = 0
    for cable in 0..<graph.cables where graph.cableKinds[cable] == .network {
      let ends = [graph.sources[2 * cable], graph.targets[2 * cable]].map { graph.kinds[Int($0)] }
      if ends == [.networkSwitch, .networkSwitch] { links += 1 } else { endpoints += 1 }
    }
    self.init(endpoints: endpoints, switches: graph.count(.networkSwitch), links: links)
  }
}

/// The fabrics of the published table, built at their full size from 64-port switches.
public enum PublishedFabrics {
  /// How a row's counts came about.
  public struct Built: Sendable {
    public let counts: FabricCounts
    /// Why the counts are not those of a graph; nil where they are.
    public let note: String?
  }

  /// - Throws: A ``Documents/Diagnostic`` for a name that the table does not have.
  /// - Complexity: O(cables).
  public static func build(_ name: String) throws -> Built {
    func fact<Value: Sendable>(_ value: Value) -> Sourced<Value> {
      Sourced(value, tag: .derived, source: "ISCA'25 Insights into DeepSeek-V3 (arXiv 2505.09343) Table 3")
    }
    func layout(
      _ kind: Fabric.Kind, levels: Int = 1, planes: Int = 1, shape: Fabric.Shape = .tree, endpoints: Int
    ) throws -> FabricCounts {
      let fabric = Fabric(
        kind: kind, levels: fact(levels), planes: fact(planes), switchPorts: fact(64),
        oversubscription: fact(Ratio(1)),
        sameLeafLatency: fact(.zero), crossLeafLatency: fact(.zero), shape: shape)
      return FabricCounts(try SwitchLayout(fabric, nodes: endpoints / 8, cardsPerNode: 8))
    }
    switch name {
    case "FT2": return Built(counts: try layout(.fatTree, levels: 2, endpoints: 2048), note: nil)
    case "MPFT":
      return Built(counts: try layout(.multiPlaneFatTree, levels: 2, planes: 8, endpoints: 16_384), note: nil)
    case "FT3": return Built(counts: try layout(.fatTree, levels: 3, endpoints: 65_536), note: nil)
    case "SF":
      // 64 ports: 42 to other routers and 21 to endpoints.
      guard let counts = SlimFlyCounts(q: 28) else { break }
      return Built(
        counts: FabricCounts(
          endpoints: counts.switches * (counts.radix / 2), switches: counts.switches, links: counts.links),
        note: "by formula for q = 28, which is no prime power: this graph cannot be built")
    case "DF":
      let shape = Fabric.Dragonfly(
        groups: fact(511), routersPerGroup: fact(32), cardsPerRouter: fact(16), globalPerRouter: fact(16))
      return Built(
        counts: try layout(.dragonfly, shape: .dragonfly(shape), endpoints: 261_632),
        note: "511 groups, though 512 global cables of a group would join 513")
    default: break
    }
    throw Diagnostic(.usage, "the table has no such row", found: name, allowed: "FT2, MPFT, FT3, SF, DF")
  }
}
