import Networks
import Units

/// The fabric of the benchmark: nodes of 8 GPUs with NVLink and one NIC each, one plane per NIC of leaves with 32
/// nodes and 32 uplinks, as in DeepSeek-V3's cluster.
///
/// A flow takes the NIC of its GPU to the GPU of the same index in the target node, then NVLink to its own target.
struct Fabric {
  static let rails = 8
  static let nodesPerLeaf = 32
  static let uplinks = 32
  let nodes: Int
  let leaves: Int
  var links = LinkTable()
  var routes = RouteTable()
  private let leafBase: Int

  init(gpus: Int, latency: Span) throws {
    nodes = gpus / Self.rails
    leaves = (nodes + Self.nodesPerLeaf - 1) / Self.nodesPerLeaf
    for gpu in 0..<gpus {
      for (name, rate) in [
        ("nvlink-up", 160e9), ("nvlink-down", 160e9), ("nic-up", 50e9), ("nic-down", 50e9),
      ] {
        try links.add("gpu\(gpu)-\(name)", capacity: BytesPerSecond(rate), latency: latency)
      }
    }
    leafBase = links.count
    for rail in 0..<Self.rails {
      for leaf in 0..<leaves {
        for uplink in 0..<Self.uplinks {
          for way in ["up", "down"] {
            try links.add(
              "plane\(rail)-leaf\(leaf)-\(way)\(uplink)", capacity: BytesPerSecond(50e9), latency: latency)
          }
        }
      }
    }
  }

  /// The links from one GPU to another; `hash` chooses the uplinks.
  func path(_ source: Int, _ target: Int, hash: UInt64) -> [LinkID] {
    let rail = source % Self.rails
    let nodes = (source / Self.rails, target / Self.rails)
    if nodes.0 == nodes.1 { return [LinkID(4 * source), LinkID(4 * target + 1)] }
    let middle = nodes.1 * Self.rails + rail
    var path = [LinkID(4 * source + 2)]
    let leaf = (nodes.0 / Self.nodesPerLeaf, nodes.1 / Self.nodesPerLeaf)
    if leaf.0 != leaf.1 {
      let up = Int(hash % UInt64(Self.uplinks))
      let down = Int((hash >> 32) % UInt64(Self.uplinks))
      path.append(LinkID(leafBase + 2 * ((rail * leaves + leaf.0) * Self.uplinks + up)))
      path.append(LinkID(leafBase + 2 * ((rail * leaves + leaf.1) * Self.uplinks + down) + 1))
    }
    path.append(LinkID(4 * middle + 3))
    if middle != target { path += [LinkID(4 * middle), LinkID(4 * target + 1)] }
    return path
  }
}

/// A small generator with a seed (SplitMix64).
struct Draws: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// All-to-alls at once, each among the 64 ranks of 8 nodes.
struct Case {
  enum Sizes: String { case equal, random, skewed }
  let fabric: Fabric
  private(set) var transfers = Transfers()
  private(set) var ends: [(source: Int, target: Int, links: [LinkID])] = []

  /// - Parameters:
  ///   - spread: ranks of a group lie on nodes far apart, so that its flows cross leaves.
  ///   - bytes: the mean size of a flow.
  init(
    gpus: Int, groups: Int, spread: Bool = false, sizes: Sizes, bytes: Double = 4e6,
    latency: Span = Span(microseconds: 0.5)
  ) throws {
    var fabric = try Fabric(gpus: gpus, latency: latency)
    var draws = Draws(state: 7)
    let stride = fabric.nodes / 8
    for group in 0..<groups {
      let members = (0..<64).map { rank in
        (spread ? rank / 8 * stride + group : group * 8 + rank / 8) * 8 + rank % 8
      }
      // Popular experts lie on some of the ranks.
      let popularity = members.map { _ in
        sizes == .skewed ? 0.25 / Double.random(in: 0.05...1, using: &draws) : 1
      }
      for source in members {
        for (place, target) in members.enumerated() where target != source {
          let path = fabric.path(source, target, hash: draws.next())
          let factor = sizes == .equal ? 1 : popularity[place] * Double.random(in: 0.5...1.5, using: &draws)
          try transfers.add(try fabric.routes.add(path, of: fabric.links), Bytes(rounding: bytes * factor))
          ends.append((source, target, path))
        }
      }
    }
    self.fabric = fabric
  }

  func run(_ accuracy: Accuracy, threads: Int = 1) throws -> TransferTimes {
    try transfers.run(on: fabric.links, fabric.routes, accuracy: accuracy, threads: threads)
  }

  /// What the peer reads: capacities, the number of hosts, and flows with their links.
  func text() -> String {
    var text = "\(fabric.links.count)\n"
    for link in 0..<fabric.links.count {
      text += "\(fabric.links.capacity(of: LinkID(link)).value.rounded())\n"
    }
    text += "\(fabric.nodes * Fabric.rails)\n\(ends.count)\n"
    for (flow, end) in ends.enumerated() {
      let links = end.links.map { "\($0.index)" }.joined(separator: " ")
      text += "\(end.source) \(end.target) \(transfers.size(of: flow).count) \(end.links.count) \(links)\n"
    }
    return text
  }
}
