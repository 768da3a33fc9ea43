import Clusters
import Documents
import Networks
import Units

extension FabricGraph {
  /// The most devices that a graph may have; beyond it names alone fill the memory.
  static let deviceLimit = 4_000_000

  /// The graph of a cluster.
  ///
  /// GPUs hang on their node's NVSwitch and, over PCIe, on their cards; cards on the fabric's leaves. Latencies are
  /// those that the file gives end to end, divided over the route: two of NVLink, half of `same_leaf_latency` for
  /// each cable between card and leaf, half of what `cross_leaf_latency` adds for each cable between switches. PCIe
  /// is part of the end-to-end latency and has none of its own.
  ///
  /// - Parameter rates: `achieved` for what flows get, `peak` for what is built.
  /// - Throws: A ``Documents/Diagnostic`` when the fabric cannot be built or a failure names what is not there.
  /// - Complexity: O(devices + cables).
  public init(_ cluster: Cluster, rates: RateChoice = .achieved) throws {
    self.init(name: cluster.name)
    let nodes = cluster.nodes.value
    let perNode = cluster.gpusPerNode.value
    let cardsPerNode = cluster.nic.perNode.value
    guard nodes * (perNode + cardsPerNode) <= Self.deviceLimit else {
      throw Diagnostic(
        .data, "the cluster has too many devices for a graph", path: "nodes",
        found: "\(nodes * perNode) GPUs",
        allowed: "\(Self.deviceLimit) GPUs and cards")
    }
    let fabric = cluster.fabric
    let switches = try SwitchLayout(fabric, nodes: nodes, cardsPerNode: cardsPerNode)
    gpus = nodes * perNode
    gpusPerNode = perNode
    if fabric.kind != .none { ports = switches.ports }
    spreadsStatically = fabric.kind != .torus
    let groups = Self.commonDivisor(perNode, cardsPerNode)
    let isPlain = groups == perNode && groups == cardsPerNode
    addDevices(nodes, perNode, cardsPerNode, groups: isPlain ? 0 : groups, switches)

    // Cables, in the order that NodeLayout counts on.
    let nvlink = (
      rate: rates == .peak ? cluster.nvlink.peak : cluster.nvlink.achieved, latency: cluster.nvlink.latency
    )
    let card = (rates == .peak ? cluster.nic.peak : cluster.nic.achieved).value
    let pcie =
      cluster.pcie?.bandwidth.value ?? BytesPerSecond(card.value * Double(max(1, cardsPerNode / groups)))
    let same = fabric.sameLeafLatency.value
    let cross = fabric.crossLeafLatency.value
    guard cross >= same else {
      throw Diagnostic(
        .data, "a message between leaves is faster than one below a leaf", path: "fabric.cross_leaf_latency",
        found: "\(cross.microseconds) us", allowed: "at least \(same.microseconds) us")
    }
    let cardLatency = Span(picoseconds: same.picoseconds / 2)
    let hop = Span(picoseconds: (cross - same).picoseconds / 2)
    let firstCard = gpus
    let firstNVSwitch = firstCard + nodes * cardsPerNode
    let firstPCIe = firstNVSwitch + (perNode > 1 ? nodes : 0)
    let firstSwitch = firstPCIe + (isPlain ? 0 : nodes * groups)
    let nvlinkCables = perNode > 1 ? cables : -1
    if perNode > 1 {
      for gpu in 0..<gpus {
        try connect(
          Int32(gpu), Int32(firstNVSwitch + gpu / perNode), .nvlink, nvlink.rate.value,
          latency: Span(picoseconds: nvlink.latency.value.picoseconds / 2))
      }
    }
    let gpuCables = cables
    let perGroup = perNode / groups
    for gpu in 0..<gpus {
      let group = gpu / perNode * groups + gpu % perNode / perGroup
      try connect(
        Int32(gpu), Int32(isPlain ? firstCard + gpu : firstPCIe + group), .pcie, pcie, latency: .zero)
    }
    let cardCables = isPlain ? -1 : cables
    if !isPlain {
      // Without a rate of its own, PCIe is as wide as the cards; each card has one card's share.
      let rate = cluster.pcie?.bandwidth.value ?? card
      for place in 0..<nodes * cardsPerNode {
        let group = place / cardsPerNode * groups + place % cardsPerNode / (cardsPerNode / groups)
        try connect(Int32(firstPCIe + group), Int32(firstCard + place), .pcie, rate, latency: .zero)
      }
    }
    if case .graph(let graph) = fabric.shape {
      try addCables(graph, rate: card, cardLatency: cardLatency, hop: hop)
      index()
    } else {
      let leafCables = switches.switches > 0 ? cables : -1
      let leaves = switches.cards.map { $0 < 0 ? -1 : Int32(firstSwitch) + $0 }
      for (place, leaf) in leaves.enumerated() where leaf >= 0 {
        try connect(Int32(firstCard + place), leaf, .network, card, latency: cardLatency)
      }
      for cable in switches.cables {
        try connect(Int32(firstSwitch) + cable.a, Int32(firstSwitch) + cable.b, .network, card, latency: hop)
      }
      layout = NodeLayout(
        nodes: nodes, gpusPerNode: perNode, cardsPerNode: cardsPerNode, groups: groups, firstCard: firstCard,
        firstSwitch: firstSwitch, nvlinkCables: nvlinkCables, gpuCables: gpuCables, cardCables: cardCables,
        leafCables: leafCables, leaves: leaves)
      index()
    }
    try apply(cluster.failures)
  }

  private mutating func addDevices(
    _ nodes: Int, _ perNode: Int, _ cardsPerNode: Int, groups: Int, _ switches: SwitchLayout
  ) {
    for gpu in 0..<gpus { _ = add(.gpu, "node\(gpu / perNode)/gpu\(gpu % perNode)") }
    for card in 0..<nodes * cardsPerNode {
      _ = add(.card, "node\(card / cardsPerNode)/nic\(card % cardsPerNode)")
    }
    if perNode > 1 { for node in 0..<nodes { _ = add(.nvswitch, "node\(node)/nvswitch") } }
    for place in 0..<nodes * groups { _ = add(.pcieSwitch, "node\(place / groups)/pcie\(place % groups)") }
    for place in 0..<switches.switches {
      _ = add(
        .networkSwitch, switches.names[place], tier: switches.tiers[place], plane: switches.planes[place])
    }
  }

  private static func commonDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : commonDivisor(b, a % b) }

  /// Adds the cables that a graph names by hand.
  private mutating func addCables(
    _ graph: Fabric.FreeGraph, rate: BytesPerSecond, cardLatency: Span, hop: Span
  ) throws {
    let devices = Dictionary(
      deviceNames.enumerated().map { ($1, Int32($0)) }, uniquingKeysWith: { first, _ in first })
    guard devices.count == deviceNames.count else {
      throw Diagnostic(.data, "a switch has the name of another device", path: "fabric.graph.switches")
    }
    for cable in graph.cables {
      let ends = try [cable.from, cable.to].map { name -> Int32 in
        if let device = devices[name], [.networkSwitch, .card].contains(kinds[Int(device)]) { return device }
        throw missing(
          name, file: cable.file, path: cable.path + ".between",
          "cards and switches have cables of the network")
      }
      let isLeaf = kinds[Int(ends[0])] == .card || kinds[Int(ends[1])] == .card
      for _ in 0..<cable.count {
        try connect(
          ends[0], ends[1], .network, cable.bandwidth?.value ?? rate,
          latency: cable.latency?.value ?? (isLeaf ? cardLatency : hop), path: cable.path)
      }
    }
    // As with every other fabric: no more cables than ports.
    guard let ports else { return }
    var used = Array(repeating: 0, count: kinds.count)
    for source in sources { used[Int(source)] += 1 }
    if let full = used.indices.first(where: { kinds[$0] == .networkSwitch && used[$0] > ports }) {
      throw Diagnostic(
        .data, "\(deviceNames[full]) has more cables than ports", path: "fabric.switch_ports",
        found: "\(used[full]) cables", allowed: "at most \(ports)")
    }
  }

  func missing(_ name: String, file: String, path: String, _ hint: String) -> Diagnostic {
    // Distances to a hundred thousand names take long; those of the first nodes show the form.
    let near = nearest(to: name, in: Array(deviceNames.prefix(2000)))
    let switches = kinds.indices.filter { kinds[$0] == .networkSwitch }.prefix(3).map { deviceNames[$0] }
    return Diagnostic(
      .data, "there is no such device", file: file.isEmpty ? nil : file, path: path, found: name,
      allowed: (deviceNames.isEmpty ? "" : "names like ")
        + (["node0/gpu0", "node0/nic0"] + switches).joined(separator: ", "),
      hint: near.map { "did you mean \($0)?" } ?? hint)
  }
}

extension FabricGraph {
  /// Takes failed cables out of all routes and gives degraded ones what is left of them.
  ///
  /// - Throws: A ``Documents/Diagnostic`` for a device or a cable that is not there.
  public mutating func apply(_ failures: [Failure]) throws {
    if failures.isEmpty { return }
    let devices = Dictionary(
      deviceNames.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    func find(_ name: String, _ failure: Failure) throws -> Int {
      if let device = devices[name] { return device }
      throw missing(
        name, file: failure.file, path: failure.path, "rehearse topology show NAME --format json lists all")
    }
    var shares: [(link: Int, share: Double)] = []
    for failure in failures {
      var own: [Int32] = []
      var text: String
      switch failure.place {
      case .device(let name):
        own = Array(out(of: try find(name, failure)))
        text = name
      case .cable(let from, let to, let number):
        let ends = (try find(from, failure), try find(to, failure))
        own = out(of: ends.0).filter { Int(targets[Int($0)]) == ends.1 }
        guard !own.isEmpty else {
          throw Diagnostic(
            .data, "there is no cable between these devices", file: failure.file.isEmpty ? nil : failure.file,
            path: failure.path, found: "\(from) and \(to)",
            hint: "\(from) has cables to "
              + out(of: ends.0).prefix(4).map { deviceNames[Int(targets[Int($0)])] }
              .joined(separator: ", "))
        }
        text = "\(from) - \(to)"
        if let number {
          guard number < own.count else {
            throw Diagnostic(
              .data, "there are not so many cables between these devices",
              file: failure.file.isEmpty ? nil : failure.file, path: failure.path + ".cable",
              found: "\(number)",
              allowed: "0 to \(own.count - 1)")
          }
          own = [own[number]]
          text += " (cable \(number))"
        }
      }
      if let remaining = failure.remaining?.value.value {
        shares += own.map { (Int($0), remaining) }
        text += " at \(shortNumber(remaining * 100)) %"
      } else {
        for link in own {
          isUp[Int(link)] = false
          isUp[Int(link) ^ 1] = false
        }
        text += " failed"
      }
      self.failures.append(text)
    }
    if !shares.isEmpty { try degrade(shares) }
  }

  /// Rebuilds the table of links with less capacity on some cables; both directions are degraded.
  private mutating func degrade(_ shares: [(link: Int, share: Double)]) throws {
    var left = Array(repeating: 1.0, count: links)
    for (link, share) in shares {
      left[link] *= share
      left[link ^ 1] *= share
    }
    var next = LinkTable()
    for link in 0..<links {
      let id = LinkID(link)
      try next.add(
        table.name(of: id), capacity: table.capacity(of: id) * left[link], latency: table.latency(of: id))
    }
    table = next
  }
}

/// A number with at most two decimals, without trailing zeros.
func shortNumber(_ value: Double) -> String {
  let hundredths = (value * 100).rounded()
  guard hundredths.magnitude < 1e15 else { return "\(value)" }
  let whole = Int64(hundredths)
  let sign = whole < 0 ? "-" : ""
  let (units, rest) = (whole.magnitude / 100, whole.magnitude % 100)
  if rest == 0 { return "\(sign)\(units)" }
  return "\(sign)\(units)." + (rest % 10 == 0 ? "\(rest / 10)" : rest < 10 ? "0\(rest)" : "\(rest)")
}
