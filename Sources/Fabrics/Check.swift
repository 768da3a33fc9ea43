import Documents
import Networks
import Units

/// What a fabric is able to do, as far as its graph shows.
public struct FabricCheck: Sendable {
  /// Ways of one kind between GPUs.
  public struct PathKind: Hashable, Sendable {
    public var name: String
    /// Links of a route.
    public var links: Int
    public var latency: Span
    /// GPUs that the first GPU reaches so.
    public var gpus: Int
    /// Routes of equal cost between the switches at both ends.
    public var ways: Int
  }

  /// Between the first half of the GPUs and the second, one direction; nil where there is but one GPU.
  public var bisection: BytesPerSecond?
  /// What the GPUs of one half could send at most: the rate of their cards.
  public var injection: BytesPerSecond
  public var paths: [PathKind]
  /// Of the worst leaf: what its cards carry over what its uplinks carry; nil where no switch has both.
  public var oversubscription: Ratio?
  /// The most ports in use on one switch.
  public var mostPorts: Int
  /// The most cables between two leaves.
  public var diameter: Int
}

extension FabricCheck {
  /// Examines a graph.
  ///
  /// The bisection is the maximum flow from the first half of the nodes (or GPUs, in one node) to the rest through the
  /// network. For fabrics that are alike everywhere, and whose nodes stand in order, that is the least of all halves;
  /// elsewhere it is an upper bound. Diameter and kinds of path are seen from the first GPU.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with both names when a GPU does not reach another.
  public init(_ graph: FabricGraph) throws {
    guard graph.gpus > 0 else {
      throw Diagnostic(
        .data, "there is no GPU in this topology", found: graph.notes.first ?? "\(graph.devices) devices",
        hint: "a recording names GPUs by class 0x0302, or by a gpu element")
    }
    try graph.checkReachability()
    var router = Router(graph)
    let (bisection, injection) = graph.bisection()
    self.bisection = bisection
    self.injection = injection
    (paths, diameter) = try Self.paths(&router)
    oversubscription = graph.worstOversubscription()
    var used = Array(repeating: 0, count: graph.devices)
    for source in graph.sources { used[Int(source)] += 1 }
    mostPorts = graph.kinds.indices.filter { graph.kinds[$0] == .networkSwitch }.map { used[$0] }.max() ?? 0
  }

  private static func paths(_ router: inout Router) throws -> ([PathKind], Int) {
    let graph = router.graph
    var kinds: [PathKind] = []
    var diameter = 0
    for source in 1..<max(1, graph.gpus) {
      // Towards the first GPU, whose distances serve all; cables carry both ways alike.
      let route = try router.route(from: source, to: 0)
      let latency = route.reduce(Span.zero) { $0 + graph.table.latency(of: $1) }
      let network = route.filter { graph.cableKinds[Int($0.index) / 2] == .network }
      let hops = max(0, network.count - 2)
      diameter = max(diameter, hops)
      let onward = route.contains { graph.cableKinds[Int($0.index) / 2] == .nvlink }
      var name = graph.layout == nil && network.isEmpty ? "within the node" : "NVLink, same node"
      if !network.isEmpty {
        name = hops == 0 ? "same switch" : "\(hops) cable\(hops == 1 ? "" : "s") between switches"
        if onward { name += ", then NVLink" }
      }
      if let known = kinds.firstIndex(where: {
        $0.name == name && $0.links == route.count && $0.latency == latency
      }) {
        kinds[known].gpus += 1
        continue
      }
      var ways = 1
      if hops > 0 {
        ways = router.ways(
          from: graph.target(of: network[0]), to: graph.source(of: network[network.count - 1]))
      }
      kinds.append(PathKind(name: name, links: route.count, latency: latency, gpus: 1, ways: ways))
    }
    return (kinds.sorted { ($0.latency, $0.links, $0.name) < ($1.latency, $1.links, $1.name) }, diameter)
  }
}

extension FabricGraph {
  /// Roots of connected parts over working cables; in clusters of network switches alone, else of all devices.
  private func parts() -> [Int32] {
    var parents = (0..<Int32(devices)).map { $0 }
    func root(_ device: Int32) -> Int32 {
      var device = Int(device)
      while Int(parents[device]) != device {
        parents[device] = parents[Int(parents[device])]
        device = Int(parents[device])
      }
      return Int32(device)
    }
    let first = Int32(layout?.firstSwitch ?? 0)
    for cable in 0..<cables
    where isUp[2 * cable] && sources[2 * cable] >= first && targets[2 * cable] >= first {
      let (a, b) = (root(sources[2 * cable]), root(targets[2 * cable]))
      if a != b { parents[Int(max(a, b))] = min(a, b) }
    }
    return parents.indices.map { root(Int32($0)) }
  }

  /// Refuses a fabric in which some GPU does not reach another.
  ///
  /// GPUs with the same parts of the network within reach are alike, so pairs of likes are compared, not of GPUs.
  ///
  /// - Complexity: O(devices + cables), and the square of the unlike GPUs.
  public func checkReachability() throws {
    let parts = parts()
    guard let layout else {
      if let lost = (0..<gpus).first(where: { parts[$0] != parts[0] }) {
        throw Router(self).noWay(from: 0, to: lost)
      }
      return
    }
    // The parts behind the cards of each GPU's group, then those that NVLink adds.
    func reachable(_ gpu: Int) -> Set<Int32> {
      guard isUp[2 * (layout.gpuCables + gpu)] else { return [] }
      let group = gpu / layout.gpusPerGroup
      let cards = group * layout.cardsPerGroup..<(group + 1) * layout.cardsPerGroup
      return Set(
        cards.compactMap { card in
          let leaf = layout.leaves[card]
          let works =
            leaf >= 0 && isUp[Int(layout.leafUp(card).index)]
            && (!layout.hasPCIeSwitches || isUp[2 * (layout.cardCables + card)])
          return works ? parts[Int(leaf)] : nil
        })
    }
    var likes: [(parts: Set<Int32>, first: Int)] = []
    for node in 0..<layout.nodes {
      let gpus = node * layout.gpusPerNode..<(node + 1) * layout.gpusPerNode
      let own = gpus.map(reachable)
      let linked = gpus.map { layout.hasNVLink && isUp[Int(layout.nvlinkUp($0).index)] }
      let shared = zip(own, linked).reduce(into: Set<Int32>()) { if $1.1 { $0.formUnion($1.0) } }
      let all = zip(own, linked).map { $1 ? $0.union(shared) : $0 }
      // Within the node NVLink joins where the network does not.
      for (place, gpu) in gpus.enumerated() {
        for other in gpus.indices.prefix(place) {
          let peer = other - gpus.lowerBound
          if linked[place] && linked[peer] || !all[place].isDisjoint(with: all[peer]) { continue }
          var router = Router(self)
          _ = try router.route(from: other, to: gpu)
        }
        if !likes.contains(where: { $0.parts == all[place] }) { likes.append((all[place], gpu)) }
      }
    }
    if layout.nodes == 1 { return }
    for (place, one) in likes.enumerated() {
      for other in likes[...place] where one.parts.isDisjoint(with: other.parts) {
        // A GPU without any part is also cut off from others like it.
        let far = other.first == one.first ? (one.first < layout.gpusPerNode ? gpus - 1 : 0) : one.first
        if other.first / layout.gpusPerNode == far / layout.gpusPerNode { continue }
        throw Router(self).noWay(from: other.first, to: far)
      }
    }
  }

  /// Maximum flow between the halves, and what the cards of one half carry.
  func bisection() -> (flow: BytesPerSecond?, injection: BytesPerSecond) {
    let half = nodes > 1 ? nodes / 2 * gpusPerNode : gpus / 2
    var injection = 0.0
    func capacity(_ link: Int) -> Double { isUp[link] ? rate(of: LinkID(link)).value : 0 }
    let cards = kinds.indices.filter { kinds[$0] == .card }
    if let layout, layout.hasLeaves, nodes > 1 {
      let first = layout.firstSwitch
      var flow = MaximumFlow(vertices: devices - first + 2)
      let (source, sink) = (devices - first, devices - first + 1)
      var sums: [Int32: (Double, Double)] = [:]
      for (card, leaf) in layout.leaves.enumerated() where leaf >= 0 {
        let isFirst = card / layout.cardsPerNode < nodes / 2
        let link = Int(layout.leafUp(card).index)
        if isFirst { injection += capacity(link) }
        sums[leaf, default: (0, 0)].0 += isFirst ? capacity(link) : 0
        sums[leaf, default: (0, 0)].1 += isFirst ? 0 : capacity(link ^ 1)
      }
      for leaf in sums.keys.sorted() {
        let sum = sums[leaf] ?? (0, 0)
        if sum.0 > 0 { flow.connect(source, Int(leaf) - first, sum.0, 0) }
        if sum.1 > 0 { flow.connect(Int(leaf) - first, sink, sum.1, 0) }
      }
      addSwitchCables(to: &flow, first: first, capacity)
      return (BytesPerSecond(flow.run(from: source, to: sink)), BytesPerSecond(injection))
    }
    guard gpus > 1 else { return (nil, .zero) }
    var flow = MaximumFlow(vertices: devices + 2)
    for gpu in 0..<gpus {
      let out = out(of: gpu).reduce(0.0) { $0 + capacity(Int($1)) }
      if gpu < half { injection += out }
      if gpu < half { flow.connect(devices, gpu, out, 0) } else { flow.connect(gpu, devices + 1, out, 0) }
    }
    if nodes > 1 && !cards.isEmpty {
      // Cards stand node by node.
      injection = cards.prefix(cards.count / nodes * (nodes / 2)).reduce(0.0) { sum, card in
        out(of: card).filter { cableKinds[Int($0) / 2] == .network }.reduce(sum) { $0 + capacity(Int($1)) }
      }
    }
    addSwitchCables(to: &flow, first: 0, capacity)
    return (BytesPerSecond(flow.run(from: devices, to: devices + 1)), BytesPerSecond(injection))
  }

  /// Parallel cables as one edge.
  private func addSwitchCables(to flow: inout MaximumFlow, first: Int, _ capacity: (Int) -> Double) {
    for device in first..<devices {
      var last = -1
      var sums = (0.0, 0.0)
      // Cables to one neighbour are added up where they stand beside each other in order of their targets.
      let own = out(of: device).map(Int.init).filter { Int(targets[$0]) > device }
      for link in own.sorted(by: { (targets[$0], $0) < (targets[$1], $1) }) {
        if Int(targets[link]) != last {
          if last >= 0 { flow.connect(device - first, last - first, sums.0, sums.1) }
          last = Int(targets[link])
          sums = (0, 0)
        }
        sums.0 += capacity(link)
        sums.1 += capacity(link ^ 1)
      }
      if last >= 0 { flow.connect(device - first, last - first, sums.0, sums.1) }
    }
  }

  func worstOversubscription() -> Ratio? {
    var worst: Double?
    for device in 0..<devices where kinds[device] == .networkSwitch && tiers[device] == 1 {
      var (down, up) = (0.0, 0.0)
      for link in out(of: device) where isUp[Int(link)] {
        let rate = rate(of: LinkID(Int(link))).value
        if kinds[Int(targets[Int(link)])] == .card { down += rate } else { up += rate }
      }
      if down > 0 && up > 0 { worst = max(worst ?? 0, down / up) }
    }
    return worst.map(Ratio.init)
  }
}
