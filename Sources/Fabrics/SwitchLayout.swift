import Clusters
import Documents
import Units

/// The switches of a fabric, the cables between them, and the switch that each card hangs on: columns, without rates.
///
/// Cables are whole here: both directions together, each end one port.
public struct SwitchLayout: Sendable, Equatable {
  /// Tier of each switch: 1 for those that cards hang on.
  public internal(set) var tiers: [UInt8] = []
  /// Plane of each switch.
  public internal(set) var planes: [Int32] = []
  public internal(set) var names: [String] = []
  /// Switch of each card, node by node, index by index.
  public internal(set) var cards: [Int32] = []
  /// The two switches of each cable.
  public internal(set) var cables: [Cable] = []
  /// Ports that a switch has.
  public internal(set) var ports: Int

  /// A cable between two switches.
  public struct Cable: Hashable, Sendable {
    public var a: Int32
    public var b: Int32
  }

  init(ports: Int) { self.ports = ports }

  public var switches: Int { tiers.count }

  mutating func add(_ name: String, tier: Int, plane: Int = 0) -> Int32 {
    tiers.append(UInt8(tier))
    planes.append(Int32(plane))
    names.append(name)
    return Int32(tiers.count - 1)
  }

  mutating func connect(_ a: Int32, _ b: Int32) { cables.append(Cable(a: a, b: b)) }

  /// Ports in use on each switch, cards included.
  ///
  /// - Complexity: O(cards + cables).
  public var usedPorts: [Int32] {
    var used = Array(repeating: Int32(0), count: switches)
    for card in cards where card >= 0 { used[Int(card)] += 1 }
    for cable in cables {
      used[Int(cable.a)] += 1
      used[Int(cable.b)] += 1
    }
    return used
  }

  /// Refuses a switch with more cables than ports.
  func checkPorts() throws {
    let used = usedPorts
    guard let full = used.indices.first(where: { Int(used[$0]) > ports }) else { return }
    throw Diagnostic(
      .data, "\(names[full]) has more cables than ports", path: "fabric.switch_ports",
      found: "\(used[full]) cables",
      allowed: "at most \(ports)")
  }
}

/// Leaves, spines and cores under a number of cards.
struct TreeShape {
  var levels: Int
  var ports: Int
  /// Ports of a leaf for cards, and those that lead up.
  var down: Int
  var up: Int
}

extension SwitchLayout {
  /// Adds one tree over leaves that have `loads[leaf]` cards, and returns the leaves.
  ///
  /// Uplinks go to the next tier in turn, so that no switch gets more than its ports and every leaf reaches every
  /// spine. A tree of one leaf has no spine. Three layers are pods of `ports ÷ 2` leaves under as many middle
  /// switches as carry their uplinks, and cores that join the pods. Source: Al-Fares, Loukissas, Vahdat, "A Scalable,
  /// Commodity Data Center Network Architecture" (SIGCOMM'08), for full trees.
  ///
  /// - Complexity: O(cables).
  mutating func addTree(_ shape: TreeShape, leaves count: Int, plane: Int, prefix: String) throws -> [Int32] {
    let leaves = (0..<count).map { add("\(prefix)leaf\($0)", tier: 1, plane: plane) }
    if shape.levels == 1 || count == 1 {
      guard count == 1 else {
        throw Diagnostic(
          .data, "one layer is one switch, and the cards need more", path: "fabric.levels",
          found: "\(count) switches",
          hint: "give the fabric two layers")
      }
      return leaves
    }
    if shape.levels == 2 {
      guard count <= shape.ports else { throw tooManyLeaves(count, shape.ports) }
      join(leaves, uplinks: shape.up, tier: 2, plane: plane, name: "\(prefix)spine", ports: shape.ports)
      return leaves
    }
    let perPod = shape.ports / 2
    let pods = (count + perPod - 1) / perPod
    guard pods <= shape.ports else { throw tooManyLeaves(count, shape.ports * perPod) }
    if pods == 1 {
      // One pod needs no cores.
      join(leaves, uplinks: shape.up, tier: 2, plane: plane, name: "\(prefix)spine", ports: shape.ports)
      return leaves
    }
    var middles: [Int32] = []
    for pod in 0..<pods {
      let own = Array(leaves[pod * perPod..<min(count, (pod + 1) * perPod)])
      middles += join(
        own, uplinks: shape.up, tier: 2, plane: plane, name: "\(prefix)pod\(pod)/spine",
        ports: shape.ports / 2)
    }
    join(
      middles, uplinks: shape.ports - shape.ports / 2, tier: 3, plane: plane, name: "\(prefix)core",
      ports: shape.ports)
    return leaves
  }

  /// Adds switches with `ports` downward ports over the uplinks of lower ones, in turn.
  @discardableResult
  private mutating func join(
    _ lower: [Int32], uplinks: Int, tier: Int, plane: Int, name: String, ports: Int
  ) -> [Int32] {
    let count = max(1, (lower.count * uplinks + ports - 1) / ports)
    let upper = (0..<count).map { add("\(name)\($0)", tier: tier, plane: plane) }
    for (place, below) in lower.enumerated() {
      for uplink in 0..<uplinks { connect(below, upper[(place * uplinks + uplink) % count]) }
    }
    return upper
  }

  private func tooManyLeaves(_ count: Int, _ most: Int) -> Diagnostic {
    Diagnostic(
      .data, "the tree has no room for so many leaves", path: "fabric.levels", found: "\(count) leaves",
      allowed: "1 to \(most)", hint: "look at fabric.levels and fabric.switch_ports")
  }
}

extension SwitchLayout {
  /// The switches of a fabric for a number of nodes, each with a number of cards.
  ///
  /// - Throws: A ``Documents/Diagnostic`` when the shape cannot be built or a switch would need more ports than it has.
  /// - Complexity: O(cards + cables).
  public init(_ fabric: Fabric, nodes: Int, cardsPerNode: Int) throws {
    self.init(ports: fabric.switchPorts.value)
    let cards = nodes * cardsPerNode
    switch fabric.shape {
    case .dragonfly(let shape): try addDragonfly(shape)
    case .slimFly(let shape): try addSlimFly(q: shape.q.value)
    case .torus(let shape): addTorus(shape.dimensions.value)
    case .graph(let graph): try addSwitches(of: graph)
    case .tree, .rails:
      if fabric.kind != .none { try addTrees(fabric, nodes: nodes, cardsPerNode: cardsPerNode) }
    }
    if let perSwitch = fabric.cardsEachSwitch {
      guard cards <= switches * perSwitch else {
        throw Diagnostic(
          .data, "the fabric has no places for so many cards", path: "nodes", found: "\(cards) cards",
          allowed: "at most \(switches * perSwitch)")
      }
      self.cards = (0..<cards).map { Int32($0 / perSwitch) }
    }
    if fabric.kind == .none || fabric.kind == .graph { self.cards = Array(repeating: -1, count: cards) }
    try checkPorts()
  }

  private mutating func addTrees(_ fabric: Fabric, nodes: Int, cardsPerNode: Int) throws {
    guard fabric.levels.value <= 3 else {
      throw Diagnostic(
        .data, "trees of more than three layers are not built", path: "fabric.levels",
        found: "\(fabric.levels.value)",
        allowed: "1 to 3")
    }
    let shape = TreeShape(
      levels: fabric.levels.value, ports: ports, down: fabric.endpointsPerLeaf, up: fabric.uplinksPerLeaf)
    cards = Array(repeating: -1, count: nodes * cardsPerNode)
    if fabric.kind.hasRails {
      let unit = min(fabric.nodesPerLeaf(nicsPerNode: cardsPerNode), shape.down)
      // One layer is one switch, whatever the rails.
      let leaves = shape.levels == 1 ? 1 : (nodes + unit - 1) / unit * cardsPerNode
      let own = try addTree(shape, leaves: leaves, plane: 0, prefix: "")
      for card in cards.indices {
        cards[card] = own[leaves == 1 ? 0 : card / cardsPerNode / unit * cardsPerNode + card % cardsPerNode]
      }
      return
    }
    let planes = fabric.planes.value
    let perPlane = cardsPerNode / planes
    for plane in 0..<planes {
      let leaves = (nodes * perPlane + shape.down - 1) / shape.down
      let own = try addTree(shape, leaves: leaves, plane: plane, prefix: planes == 1 ? "" : "plane\(plane)/")
      for node in 0..<nodes {
        for place in 0..<perPlane {
          cards[node * cardsPerNode + place * planes + plane] = own[(node * perPlane + place) / shape.down]
        }
      }
    }
  }
}

extension Fabric {
  /// Cards of each switch where they are dealt out in turn.
  fileprivate var cardsEachSwitch: Int? {
    switch shape {
    case .dragonfly(let shape): shape.cardsPerRouter.value
    case .slimFly(let shape): shape.cardsPerRouter.value
    case .torus(let shape): shape.cardsPerSwitch.value
    case .tree, .rails, .graph: nil
    }
  }
}
