import Documents
import Networks
import Units

/// How a route is chosen among those of equal cost.
public enum RouteChoice: Hashable, Sendable {
  /// The same route for every flow between two ends; targets are spread over uplinks digit by digit, in the order in
  /// which their cards hang on leaves, and come down by the cables that match the way up.
  ///
  /// Source for trees: destination-modulo-k routing, as InfiniBand's subnet managers fill their tables.
  case fixed
  /// By a hash of seed, ends and flow, at each switch anew.
  case hashed(seed: UInt64)
  /// At each switch the cable that carries least so far; a router remembers what it has sent where.
  case adaptive
}

/// Which cards a message between unlike GPUs takes, where there is a choice.
public enum RailChoice: String, CaseIterable, Sendable {
  /// The cards of both GPUs; another card only where no way leads between those.
  case straight
  /// The sender's card and the target node's card of the same index, then NVLink: DeepEP's two hops.
  case nvlinkAtTarget
  /// NVLink to the GPU beside the target's card index, then that rail: NCCL's PXN.
  case nvlinkAtSource
}

/// Finds routes on demand; distances to a switch are computed when a route to it is first asked for.
///
/// Routes within a node take NVLink. Others leave by a card of the source's node and arrive by one of the target's;
/// between the cards they are shortest in cables. In graphs by hand and recordings a route is cheapest by
/// ``CableKind`` over any devices, GPUs in between only where there is no other way.
public struct Router: Sendable {
  public let graph: FabricGraph
  public let choice: RouteChoice
  public let rails: RailChoice
  /// What adaptive routing has put on each link.
  public private(set) var loads: [Double]
  private var fields: Fields
  /// Each card's place among all, leaf by leaf.
  private let places: [Int32]

  public init(_ graph: FabricGraph, choice: RouteChoice = .fixed, rails: RailChoice = .straight) {
    self.graph = graph
    self.choice = choice
    self.rails = rails
    loads = choice == .adaptive ? Array(repeating: 0, count: graph.links) : []
    fields = Fields(graph)
    places = choice == .fixed ? graph.layout?.placesOnLeaves ?? [] : []
  }

  /// A router for the same fabric in another state, that knows what the other has put on its links.
  public init(_ graph: FabricGraph, continuing other: Router) {
    self.graph = graph
    choice = other.choice
    rails = other.rails
    loads = other.loads
    fields = Fields(graph)
    places = other.places
  }

  /// The links from one GPU to another.
  ///
  /// - Parameters:
  ///   - flow: tells flows between the same ends apart, for hashing.
  ///   - load: what adaptive routing adds to the links taken: bytes, or 1.
  /// - Throws: A ``Documents/Diagnostic`` that names both GPUs where no way is left, or for a GPU that is not there.
  /// - Complexity: O(cables of the switches passed), after O(switches + cables) once for each target leaf.
  public mutating func route(from source: Int, to target: Int, flow: Int = 0, load: Double = 1) throws
    -> [LinkID]
  {
    for gpu in [source, target] where gpu < 0 || gpu >= graph.gpus {
      throw Diagnostic(
        .usage, "there is no such GPU", path: "route", found: "\(gpu)", allowed: "0 to \(graph.gpus - 1)")
    }
    if source == target {
      throw Diagnostic(
        .usage, "a route has two different ends", path: "route", found: graph.deviceNames[source])
    }
    var draw = Draw(choice, source: source, target: target, flow: flow)
    var path: [LinkID] = []
    path.reserveCapacity(10)
    let found =
      graph.layout == nil
      ? searched(from: source, to: target, &draw, &path)
      : laidOut(from: source, to: target, flow: flow, &draw, &path)
    guard found else { throw noWay(from: source, to: target) }
    if choice == .adaptive { for link in path { loads[Int(link.index)] += load } }
    return path
  }

  /// Takes back what a route of adaptive routing had put on its links.
  public mutating func release(_ path: [LinkID], load: Double = 1) {
    if choice == .adaptive { for link in path { loads[Int(link.index)] -= load } }
  }

  func noWay(from source: Int, to target: Int) -> Diagnostic {
    let names = graph.deviceNames
    return Diagnostic(
      .data, "there is no way from \(names[source]) to \(names[target])",
      path: graph.failures.isEmpty ? "fabric" : "failures",
      found: graph.failures.isEmpty
        ? "no cables that join them" : graph.failures.prefix(4).joined(separator: "; "),
      hint: graph.failures.isEmpty ? "join their cards" : "leave a cable or a card between them in order")
  }

  // MARK: Clusters

  private func isUp(_ link: LinkID) -> Bool { graph.isUp[Int(link.index)] }

  private func hasNVLink(_ layout: NodeLayout, _ gpu: Int) -> Bool {
    layout.hasNVLink && isUp(layout.nvlinkUp(gpu))
  }

  private mutating func laidOut(
    from source: Int, to target: Int, flow: Int, _ draw: inout Draw, _ path: inout [LinkID]
  ) -> Bool {
    guard let layout = graph.layout else { return false }
    let nodes = (source / layout.gpusPerNode, target / layout.gpusPerNode)
    if nodes.0 == nodes.1 {
      if hasNVLink(layout, source) && hasNVLink(layout, target) {
        path = [layout.nvlinkUp(source), layout.nvlinkDown(target)]
        return true
      }
      let groups = (source / layout.gpusPerGroup, target / layout.gpusPerGroup)
      if layout.hasPCIeSwitches && groups.0 == groups.1 {
        path = [LinkID(2 * (layout.gpuCables + source)), LinkID(2 * (layout.gpuCables + target) + 1)]
        if path.allSatisfy(isUp) { return true }
        path = []
      }
    }
    guard layout.hasLeaves else { return false }
    let turn = layout.cardsPerGroup > layout.gpusPerGroup ? draw.turn : 0
    let homes = (layout.homeCard(of: source, turn: turn), layout.homeCard(of: target, turn: turn))
    // On rails, the preferred pair first.
    let same = (
      nodes.1 * layout.cardsPerNode + homes.0 % layout.cardsPerNode,
      nodes.0 * layout.cardsPerNode + homes.1 % layout.cardsPerNode
    )
    switch rails {
    case .straight: break
    case .nvlinkAtTarget:
      if join(layout, source, homes.0, same.0, target, &draw, &path) { return true }
    case .nvlinkAtSource:
      if join(layout, source, same.1, homes.1, target, &draw, &path) { return true }
    }
    // Both own cards, then one, then none of them.
    let own = cards(layout, source, first: homes.0)
    let theirs = cards(layout, target, first: homes.1)
    for x in own { for y in theirs where join(layout, source, x, y, target, &draw, &path) { return true } }
    let all = (nodeCards(layout, nodes.0, first: same.1), nodeCards(layout, nodes.1, first: same.0))
    for x in own { for y in all.1 where join(layout, source, x, y, target, &draw, &path) { return true } }
    for y in theirs { for x in all.0 where join(layout, source, x, y, target, &draw, &path) { return true } }
    for x in all.0 { for y in all.1 where join(layout, source, x, y, target, &draw, &path) { return true } }
    return false
  }

  /// The cards of a GPU's own group, the preferred one first.
  private func cards(_ layout: NodeLayout, _ gpu: Int, first: Int) -> [Int] {
    let base = gpu / layout.gpusPerGroup * layout.cardsPerGroup
    return (0..<layout.cardsPerGroup).map { base + (first - base + $0) % layout.cardsPerGroup }
  }

  private func nodeCards(_ layout: NodeLayout, _ node: Int, first: Int) -> [Int] {
    let base = node * layout.cardsPerNode
    return (0..<layout.cardsPerNode).map { base + (first - base + $0) % layout.cardsPerNode }
  }

  /// Appends the links from a GPU to a card of its node; false where a piece of the way is down.
  private func reach(_ layout: NodeLayout, _ gpu: Int, card: Int, outward: Bool, _ path: inout [LinkID])
    -> Bool
  {
    var beside = gpu
    if gpu / layout.gpusPerGroup != card / layout.cardsPerGroup {
      guard hasNVLink(layout, gpu) else { return false }
      let candidates = card / layout.cardsPerGroup * layout.gpusPerGroup
      let preferred = layout.gpu(besideCard: card)
      let working = ([preferred] + (candidates..<candidates + layout.gpusPerGroup)).first {
        hasNVLink(layout, $0) && isUp(LinkID(2 * (layout.gpuCables + $0)))
      }
      guard let working else { return false }
      beside = working
    }
    let start = path.count
    if outward {
      if beside != gpu { path += [layout.nvlinkUp(gpu), layout.nvlinkDown(beside)] }
      layout.append(fromGPU: beside, toCard: card, &path)
      path.append(layout.leafUp(card))
    } else {
      path.append(layout.leafDown(card))
      layout.append(fromCard: card, toGPU: beside, &path)
      if beside != gpu { path += [layout.nvlinkUp(beside), layout.nvlinkDown(gpu)] }
    }
    return path[start...].allSatisfy(isUp)
  }

  /// The whole way by two given cards; leaves the path empty where there is none.
  private mutating func join(
    _ layout: NodeLayout, _ source: Int, _ x: Int, _ y: Int, _ target: Int, _ draw: inout Draw,
    _ path: inout [LinkID]
  ) -> Bool {
    path.removeAll(keepingCapacity: true)
    let leaves = (layout.leaves[x], layout.leaves[y])
    if x == y || leaves.0 < 0 || leaves.1 < 0 { return false }
    if leaves.0 != leaves.1 && fields.distance(from: leaves.0, to: leaves.1, graph) == Fields.unreachable {
      return false
    }
    guard reach(layout, source, card: x, outward: true, &path) else {
      path.removeAll(keepingCapacity: true)
      return false
    }
    if choice == .fixed { draw.aim(at: Int(places[y])) }
    walk(from: Int(leaves.0), to: Int(leaves.1), &draw, &path)
    if reach(layout, target, card: y, outward: false, &path) && isSimple(path) { return true }
    path.removeAll(keepingCapacity: true)
    return false
  }

  private func isSimple(_ path: [LinkID]) -> Bool {
    for place in path.indices.dropFirst() where path[..<place].contains(path[place]) { return false }
    return true
  }

  // MARK: Any graph

  private mutating func searched(
    from source: Int, to target: Int, _ draw: inout Draw, _ path: inout [LinkID]
  ) -> Bool {
    for passesGPUs in [false, true] {
      fields.passesGPUs = passesGPUs
      if fields.distance(from: Int32(source), to: Int32(target), graph) != Fields.unreachable {
        walk(from: source, to: target, &draw, &path)
        return true
      }
    }
    return false
  }

  /// Appends one of the cheapest ways between two devices that are joined.
  private mutating func walk(from source: Int, to target: Int, _ draw: inout Draw, _ path: inout [LinkID]) {
    var device = source
    while device != target {
      let choices = fields.choices(from: device, to: target, graph)
      let link: Int32
      switch choice {
      case .fixed:
        let first = graph.targets[Int(choices[0])]
        let areParallel = choices.allSatisfy { graph.targets[Int($0)] == first }
        let isUp = graph.tiers[Int(first)] > graph.tiers[device]
        link =
          choices[
            graph.spreadsStatically ? draw.digit(of: choices.count, isUp: isUp, areParallel: areParallel) : 0]
      case .hashed: link = choices[draw.hash(at: device, of: choices.count)]
      case .adaptive:
        var best = choices[0]
        for other in choices where loads[Int(other)] < loads[Int(best)] { best = other }
        link = best
      }
      path.append(LinkID(Int(link)))
      device = Int(graph.targets[Int(link)])
    }
  }

  /// The number of cheapest ways between two network switches, or devices of a graph by hand; 0 where none is.
  public mutating func ways(from source: Int, to target: Int) -> Int {
    var memo: [Int: Int] = [:]
    func count(_ device: Int) -> Int {
      if device == target { return 1 }
      if let known = memo[device] { return known }
      var sum = 0
      for link in fields.choices(from: device, to: target, graph) {
        sum += count(Int(graph.targets[Int(link)]))
      }
      memo[device] = sum
      return sum
    }
    guard fields.distance(from: Int32(source), to: Int32(target), graph) != Fields.unreachable else {
      return 0
    }
    return count(source)
  }
}

/// What decides at each switch along one route.
struct Draw {
  private let seed: UInt64
  private var rest: Int
  /// Digits of the way up and their bases, the last of which the way down uses first.
  private var up: [(digit: Int, base: Int)] = []

  init(_ choice: RouteChoice, source: Int, target: Int, flow: Int) {
    rest = target
    var mixed: UInt64 = 0
    if case .hashed(let own) = choice {
      for part in [own, UInt64(source), UInt64(target), UInt64(bitPattern: Int64(flow))] {
        mixed = Self.mix(mixed &+ part &+ 0x9E37_79B9_7F4A_7C15)
      }
    }
    seed = mixed
  }

  /// SplitMix64's finaliser. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA'14).
  private static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// Which of several cards of one GPU is used.
  var turn: Int { seed == 0 ? rest : Int(seed >> 33) }

  /// Sets the number whose digits decide.
  mutating func aim(at place: Int) {
    rest = place
    up.removeAll(keepingCapacity: true)
  }

  /// The next digit of the target, in a number system whose bases are the numbers of choices.
  ///
  /// Cables between the same two switches on the way down are those of a digit of the way up: uplinks are dealt out to
  /// spines in turn, so that every `base ÷ count`-th leads to the same one.
  mutating func digit(of count: Int, isUp: Bool, areParallel: Bool) -> Int {
    if count == 1 { return 0 }
    if !isUp, areParallel, let last = up.popLast() { return last.digit / max(1, last.base / count) % count }
    defer { rest /= count }
    let digit = rest % count
    if isUp { up.append((digit, count)) }
    return digit
  }

  func hash(at device: Int, of count: Int) -> Int {
    Int(Self.mix(seed &+ UInt64(device) &* 0x9E37_79B9_7F4A_7C15) % UInt64(count))
  }
}
