import Clusters
import Documents
import Networks
import Units

/// What a device of a fabric is.
public enum DeviceKind: UInt8, CaseIterable, Sendable {
  case gpu, card, nvswitch, pcieSwitch, cpu, networkSwitch, other

  public var name: String {
    switch self {
    case .gpu: "GPU"
    case .card: "card"
    case .nvswitch: "NVSwitch"
    case .pcieSwitch: "PCIe switch"
    case .cpu: "CPU"
    case .networkSwitch: "switch"
    case .other: "other device"
    }
  }
}

/// What a cable is made of; its raw value is what it costs a route in a graph by hand or from a recording.
public enum CableKind: UInt8, CaseIterable, Sendable {
  case nvlink = 1
  case pcie = 3
  case network = 4
  case socket = 6

  public var name: String {
    switch self {
    case .nvlink: "NVLink"
    case .pcie: "PCIe"
    case .network: "network"
    case .socket: "socket"
    }
  }
}

/// Which of a link's two rates the graph has.
public enum RateChoice: String, CaseIterable, Sendable {
  /// What data sheets say.
  case peak
  /// What large messages get.
  case achieved
}

/// Devices and cables of a cluster in columns.
///
/// Devices `0..<gpus` are the GPUs, in the order of their ranks. Cable `c` is the links `2c` (from `a` to `b`) and
/// `2c + 1` (back); ids are those of the ``Networks/LinkTable``.
public struct FabricGraph: Sendable {
  public let name: String
  public internal(set) var gpus = 0
  /// Kind of each device.
  public internal(set) var kinds: [DeviceKind] = []
  public internal(set) var deviceNames: [String] = []
  /// 1 for leaves, 2 and 3 above them, 0 for what is no network switch.
  public internal(set) var tiers: [UInt8] = []
  /// Plane of each network switch.
  public internal(set) var planes: [Int32] = []
  /// Where each link begins and ends.
  public internal(set) var sources: [Int32] = []
  public internal(set) var targets: [Int32] = []
  public internal(set) var cableKinds: [CableKind] = []
  /// Links with names, what is left of their capacities after failures, and latencies; a failed link keeps its capacity
  /// here, and no route takes it.
  public internal(set) var table = LinkTable()
  /// Whether each link carries anything.
  public internal(set) var isUp: [Bool] = []
  /// Failed or degraded cables, as text.
  public internal(set) var failures: [String] = []
  /// What a reader left out, as sentences.
  public internal(set) var notes: [String] = []
  /// Where nodes, cards and switches stand; nil for graphs by hand and recordings, which are searched as they are.
  public internal(set) var layout: NodeLayout?
  /// Ports of a network switch; nil where nobody said.
  public internal(set) var ports: Int?
  /// GPUs of each node; all of them in a recording.
  public internal(set) var gpusPerNode = 1
  /// Links that leave each device: `outLinks[outOffsets[d]..<outOffsets[d + 1]]`, ascending.
  public internal(set) var outOffsets: [Int32] = []
  public internal(set) var outLinks: [Int32] = []
  /// How static routing chooses: by the target in trees, the first in fabrics whose rows are tried in order.
  var spreadsStatically = true

  init(name: String) { self.name = name }

  public var devices: Int { kinds.count }
  public var links: Int { sources.count }
  public var cables: Int { sources.count / 2 }
  public var nodes: Int { gpusPerNode == 0 ? 0 : gpus / gpusPerNode }

  public func count(_ kind: DeviceKind) -> Int { kinds.count { $0 == kind } }

  /// The same cable the other way.
  public static func reverse(_ link: LinkID) -> LinkID { LinkID(Int(link.index) ^ 1) }

  public func source(of link: LinkID) -> Int { Int(sources[Int(link.index)]) }
  public func target(of link: LinkID) -> Int { Int(targets[Int(link.index)]) }

  /// What a link carries, in whole bytes per second; the table counts in picoseconds and does not give them back
  /// exactly.
  public func rate(of link: LinkID) -> BytesPerSecond {
    BytesPerSecond(table.capacity(of: link).value.rounded())
  }

  /// Links that leave a device.
  public func out(of device: Int) -> ArraySlice<Int32> {
    outLinks[Int(outOffsets[device])..<Int(outOffsets[device + 1])]
  }

  mutating func add(_ kind: DeviceKind, _ name: String, tier: UInt8 = 0, plane: Int32 = 0) -> Int32 {
    kinds.append(kind)
    deviceNames.append(name)
    tiers.append(tier)
    planes.append(plane)
    return Int32(kinds.count - 1)
  }

  /// Adds a cable and returns its number.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with both ends where the rate is not positive.
  @discardableResult
  mutating func connect(
    _ a: Int32, _ b: Int32, _ kind: CableKind, _ rate: BytesPerSecond, latency: Span, path: String = "fabric"
  ) throws -> Int {
    let names = (deviceNames[Int(a)], deviceNames[Int(b)])
    do {
      try table.add("\(names.0)>\(names.1)", capacity: rate, latency: latency)
      try table.add("\(names.1)>\(names.0)", capacity: rate, latency: latency)
    } catch {
      throw Diagnostic(.data, "a cable is not possible", path: path, found: "\(error)")
    }
    sources += [a, b]
    targets += [b, a]
    cableKinds.append(kind)
    isUp += [true, true]
    return cables - 1
  }

  /// Builds the lists of links by device; called when all cables are there.
  mutating func index() {
    outOffsets = Array(repeating: 0, count: devices + 1)
    for source in sources { outOffsets[Int(source) + 1] += 1 }
    for device in 0..<devices { outOffsets[device + 1] += outOffsets[device] }
    var next = outOffsets
    outLinks = Array(repeating: 0, count: links)
    for (link, source) in sources.enumerated() {
      outLinks[Int(next[Int(source)])] = Int32(link)
      next[Int(source)] += 1
    }
  }

  /// Devices by name; only for reading failures and tests.
  func device(named name: String) -> Int? { deviceNames.firstIndex(of: name) }
}

/// Where a cluster's nodes, cards and switches stand in the columns.
///
/// A node's GPUs and cards are divided into as many groups as both divide by; a group with more than one of either
/// has a PCIe switch.
public struct NodeLayout: Hashable, Sendable {
  public let nodes: Int
  public let gpusPerNode: Int
  public let cardsPerNode: Int
  /// Groups of GPUs and cards on one PCIe switch.
  public let groups: Int
  /// First device of each kind.
  let firstCard: Int
  let firstSwitch: Int
  /// First cable of each kind; `nvlinkCables` is -1 where a node has one GPU.
  let nvlinkCables: Int
  let gpuCables: Int
  /// -1 where cards hang on their GPUs without a switch between them.
  let cardCables: Int
  /// -1 where there are no network switches.
  let leafCables: Int
  /// Switch device of each card; -1 without one.
  let leaves: [Int32]

  public var gpusPerGroup: Int { gpusPerNode / groups }
  public var cardsPerGroup: Int { cardsPerNode / groups }
  var hasPCIeSwitches: Bool { cardCables >= 0 }
  var hasNVLink: Bool { nvlinkCables >= 0 }
  var hasLeaves: Bool { leafCables >= 0 }

  /// Each card's number, if cards are counted leaf by leaf and every leaf had as many as the fullest.
  ///
  /// - Complexity: O(cards + switches).
  var placesOnLeaves: [Int32] {
    let last = Int(leaves.max() ?? -1)
    var counts = Array(repeating: Int32(0), count: max(0, last + 1))
    let places = leaves.map { leaf -> Int32 in
      if leaf < 0 { return 0 }
      defer { counts[Int(leaf)] += 1 }
      return counts[Int(leaf)]
    }
    let most = counts.max() ?? 0
    var ordinals = counts
    var next: Int32 = 0
    for leaf in counts.indices where counts[leaf] > 0 {
      ordinals[leaf] = next
      next += 1
    }
    return zip(leaves, places).map { $0 < 0 ? 0 : ordinals[Int($0)] * most + $1 }
  }

  /// The card that a GPU uses first, within the cluster; `turn` chooses among several.
  func homeCard(of gpu: Int, turn: Int = 0) -> Int {
    let node = gpu / gpusPerNode
    let index = gpu % gpusPerNode
    return node * cardsPerNode + index / gpusPerGroup * cardsPerGroup + (index % gpusPerGroup + turn)
      % cardsPerGroup
  }

  /// The GPU beside a card that passes data on to NVLink.
  func gpu(besideCard card: Int) -> Int {
    let node = card / cardsPerNode
    let index = card % cardsPerNode
    return node * gpusPerNode + index / cardsPerGroup * gpusPerGroup + (index % cardsPerGroup) % gpusPerGroup
  }

  /// Appends the links from a GPU to a card of its group.
  func append(fromGPU gpu: Int, toCard card: Int, _ path: inout [LinkID]) {
    path.append(LinkID(2 * (gpuCables + gpu)))
    if hasPCIeSwitches { path.append(LinkID(2 * (cardCables + card))) }
  }

  func append(fromCard card: Int, toGPU gpu: Int, _ path: inout [LinkID]) {
    if hasPCIeSwitches { path.append(LinkID(2 * (cardCables + card) + 1)) }
    path.append(LinkID(2 * (gpuCables + gpu) + 1))
  }

  func nvlinkUp(_ gpu: Int) -> LinkID { LinkID(2 * (nvlinkCables + gpu)) }
  func nvlinkDown(_ gpu: Int) -> LinkID { LinkID(2 * (nvlinkCables + gpu) + 1) }
  func leafUp(_ card: Int) -> LinkID { LinkID(2 * (leafCables + card)) }
  func leafDown(_ card: Int) -> LinkID { LinkID(2 * (leafCables + card) + 1) }
}
