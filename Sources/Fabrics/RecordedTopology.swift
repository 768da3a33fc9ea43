import Documents
import Foundation
import Networks
import Units

/// Rates that NCCL and RCCL assume where a recording names none.
struct AssumedRates: Sendable {
  /// One link, by the GPU's compute capability or architecture.
  let nvlink: [(version: Int, rate: BytesPerSecond)]
  let xgmi: [(version: Int, rate: BytesPerSecond)]
  /// Sixteen lanes, by billions of transfers per second.
  let pcie: [(speed: Double, rate: BytesPerSecond)]
  let sockets: [(vendor: String, rate: BytesPerSecond)]

  static func shipped() throws -> AssumedRates {
    let node = try shippedDocument("nccl.yaml")
    func rows(_ key: String) throws -> [(String, BytesPerSecond)] {
      try node.required(key).entries().map { ($0.key, try $0.node.sourced(BytesPerSecond.self).value) }
    }
    return AssumedRates(
      nvlink: try rows("nvlink").compactMap { name, rate in Int(name).map { ($0, rate) } },
      xgmi: try rows("xgmi").compactMap { name, rate in Int(name).map { ($0, rate) } },
      pcie: try rows("pcie").compactMap { name, rate in Double(name).map { ($0, rate) } },
      sockets: try rows("sockets"))
  }
}

/// A data file of this module.
func shippedDocument(_ name: String) throws -> Node {
  guard let path = Bundle.module.resourceURL?.appendingPathComponent("Shipped/\(name)").path else {
    throw Diagnostic(.internal, "a data file of the program is missing", file: name)
  }
  var node = try readDocument(at: path).root
  node = Node(node.value, file: name)
  return node
}

extension FabricGraph {
  /// Reads a node as NCCL or RCCL dump it (`NCCL_TOPO_DUMP_FILE`): sockets, PCIe, GPUs, cards, NVLink or xGMI.
  ///
  /// Links between GPUs stand in the file at both ends and become one cable. All NVSwitches are taken as one, as NCCL
  /// does. A link that leads back to its own GPU, which virtual machines record, carries nothing and is left out with
  /// a note.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with the line for anything else that does not fit together.
  public init(recordedAt path: String) throws {
    let bytes = try readFile(at: path)
    try self.init(recording: Array(bytes), file: path)
  }

  init(recording bytes: [UInt8], file: String) throws {
    let elements = try parseXML(bytes, file: file)
    guard elements[0].name == "system" else {
      throw Diagnostic(
        .data, "the file is not a recorded topology", file: file, path: "line \(elements[0].line)",
        found: "<\(elements[0].name)>", allowed: "<system>",
        hint: elements[0].name == "graphs" ? "this is what NCCL_GRAPH_DUMP_FILE writes" : nil)
    }
    self.init(name: (file as NSString).lastPathComponent)
    var reader = RecordingReader(elements: elements, file: file, rates: try .shipped())
    try reader.read(into: &self)
  }
}

private struct RecordingReader {
  let elements: [XMLElement]
  let file: String
  let rates: AssumedRates
  /// Device of each element, -1 for those that are none.
  var devices: [Int32]
  var byBus: [String: Int] = [:]

  init(elements: [XMLElement], file: String, rates: AssumedRates) {
    self.elements = elements
    self.file = file
    self.rates = rates
    devices = Array(repeating: -1, count: elements.count)
  }

  func error(_ element: Int, _ problem: String, found: String? = nil, allowed: String? = nil) -> Diagnostic {
    Diagnostic(
      .data, problem, file: file, path: "line \(elements[element].line)", found: found, allowed: allowed)
  }

  func number(_ element: Int, _ key: String, in range: ClosedRange<Int>, else missing: Int? = nil) throws
    -> Int
  {
    guard let text = elements[element].attribute(key) else {
      if let missing { return missing }
      throw error(element, "an attribute is missing", found: "<\(elements[element].name)>", allowed: key)
    }
    guard let number = Int(text), range.contains(number) else {
      throw error(
        element, "the number is out of range", found: "\(key)=\"\(text)\"",
        allowed: "\(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  func children(of element: Int, _ name: String) -> [Int] {
    elements.indices.filter { elements[$0].parent == element && elements[$0].name == name }
  }

  mutating func read(into graph: inout FabricGraph) throws {
    let known = ["system", "cpu", "pci", "gpu", "nic", "net", "nvlink", "xgmi", "c2c", "pcilink"]
    let parents = [
      "cpu": ["system"], "pci": ["cpu", "pci"], "gpu": ["pci"], "nic": ["cpu", "pci"], "net": ["nic"],
      "nvlink": ["gpu"],
      "xgmi": ["gpu"], "c2c": ["gpu"], "pcilink": ["pci"],
    ]
    for (place, element) in elements.enumerated() {
      guard known.contains(element.name) else {
        throw error(
          place, "unknown element", found: "<\(element.name)>", allowed: known.joined(separator: ", "))
      }
      let parent = element.parent < 0 ? "" : elements[element.parent].name
      if place > 0 && !(parents[element.name] ?? []).contains(parent) {
        throw error(place, "an element stands in the wrong place", found: "<\(element.name)> in <\(parent)>")
      }
      if element.name == "pci" {
        let bus = element.attribute("busid") ?? ""
        guard !bus.isEmpty else { throw error(place, "a PCI device has no busid") }
        if let other = byBus.updateValue(place, forKey: bus) {
          throw error(
            place, "two devices have one busid", found: "\(bus), also on line \(elements[other].line)")
        }
      }
    }
    try addDevices(to: &graph)
    try addTree(to: &graph)
    try addSockets(to: &graph)
    try addLinks(to: &graph)
    graph.gpusPerNode = graph.gpus
    graph.index()
  }

  private enum PCIKind { case gpu, card, bridge, other }

  private func kind(_ element: Int) -> PCIKind {
    if elements.contains(where: { $0.parent == element && $0.name == "gpu" }) { return .gpu }
    if elements.contains(where: { $0.parent == element && $0.name == "nic" }) { return .card }
    let code = (elements[element].attribute("class") ?? "").lowercased()
    if ["0x0302", "0x0300", "0x0380", "0x1200"].contains(where: code.hasPrefix) { return .gpu }
    if ["0x0200", "0x0207"].contains(where: code.hasPrefix) { return .card }
    if code.hasPrefix("0x0604") || elements.contains(where: { $0.parent == element && $0.name == "pci" }) {
      return .bridge
    }
    return .other
  }

  /// GPUs first, by rank or by their order in the file.
  private mutating func addDevices(to graph: inout FabricGraph) throws {
    var own: [(rank: Int, element: Int)] = []
    for place in elements.indices where elements[place].name == "pci" && kind(place) == .gpu {
      let gpu = children(of: place, "gpu").first
      let rank = try gpu.map { try number($0, "rank", in: 0...1_000_000, else: own.count) } ?? own.count
      own.append((rank, place))
    }
    own.sort { ($0.rank, $0.element) < ($1.rank, $1.element) }
    for (place, gpu) in own.enumerated() { devices[gpu.element] = graph.add(.gpu, "gpu\(place)") }
    graph.gpus = own.count
    var counts = (cpu: 0, bridge: 0, card: 0, other: 0)
    for place in elements.indices where devices[place] < 0 {
      switch elements[place].name {
      case "cpu":
        devices[place] = graph.add(.cpu, "cpu\(counts.cpu)")
        counts.cpu += 1
      case "pci":
        switch kind(place) {
        case .gpu: break
        case .bridge:
          devices[place] = graph.add(.pcieSwitch, "pcie\(counts.bridge)")
          counts.bridge += 1
        case .card:
          devices[place] = graph.add(.card, "nic\(counts.card)")
          counts.card += 1
        case .other:
          devices[place] = graph.add(.other, "device\(counts.other)")
          counts.other += 1
        }
      default: break
      }
    }
    if counts.other > 0 {
      graph.notes.append("\(counts.other) PCIe devices have no class: what they are is not recorded")
    }
  }

  /// The cable from each device up to the one it stands in.
  private func addTree(to graph: inout FabricGraph) throws {
    for place in elements.indices where elements[place].name == "pci" {
      let parent = elements[place].parent
      try graph.connect(
        devices[place], devices[parent], .pcie, try pcieRate(place), latency: .zero,
        path: "line \(elements[place].line)")
    }
  }

  private func pcieRate(_ element: Int) throws -> BytesPerSecond {
    // Virtual machines record nothing; NCCL takes sixteen lanes of the third generation.
    let text = elements[element].attribute("link_speed") ?? ""
    let digits = text.prefix { $0.isNumber || $0 == "." }
    let speed = digits.isEmpty ? 8 : Double(digits) ?? -1
    let isUnknown = text.isEmpty || text.hasPrefix("Unknown")
    guard let row = rates.pcie.first(where: { $0.speed == (isUnknown ? 8 : speed) }) else {
      throw error(
        element, "the speed is none of PCIe's", found: "link_speed=\"\(text)\"",
        allowed: rates.pcie.map { "\(shortNumber($0.speed)) GT/s" }.joined(separator: ", "))
    }
    let lanes = try number(element, "link_width", in: 0...255, else: 16)
    guard lanes == 0 || lanes == 255 || [1, 2, 4, 8, 12, 16, 32].contains(lanes) else {
      throw error(
        element, "the width is none of PCIe's", found: "\(lanes) lanes", allowed: "1, 2, 4, 8, 12, 16, 32")
    }
    return row.rate * (Double(lanes == 0 || lanes == 255 ? 16 : lanes) / 16)
  }

  /// Every socket reaches every other.
  private func addSockets(to graph: inout FabricGraph) throws {
    let sockets = elements.indices.filter { elements[$0].name == "cpu" }
    guard sockets.count <= 64 else {
      throw error(
        sockets[64], "a node has too many sockets", found: "\(sockets.count)", allowed: "at most 64")
    }
    for (place, one) in sockets.enumerated() {
      let vendor = elements[one].attribute("vendor") ?? ""
      let name = vendor == "GenuineIntel" ? "intel" : vendor == "AuthenticAMD" ? "amd" : "other"
      guard let row = rates.sockets.first(where: { $0.vendor == name }) else { continue }
      for other in sockets[(place + 1)...] {
        try graph.connect(devices[one], devices[other], .socket, row.rate, latency: .zero)
      }
    }
  }

  /// NVLink and xGMI: links between GPUs, and those to NVSwitches taken together.
  private func addLinks(to graph: inout FabricGraph) throws {
    var toSwitch: [Int: Int] = [:]
    var between: [[Int]: (count: Int, line: Int)] = [:]
    var order: [[Int]] = []
    var own = 0
    var pairs: Set<[String]> = []
    for place in elements.indices where ["nvlink", "xgmi"].contains(elements[place].name) {
      let gpu = Int(devices[elements[elements[place].parent].parent])
      let target = elements[place].attribute("target") ?? ""
      let count = try number(place, "count", in: 1...64)
      guard pairs.insert(["\(gpu)", target]).inserted else {
        throw error(place, "a GPU's links to one target stand twice", found: target)
      }
      let code = elements[place].attribute("tclass") ?? ""
      if code.hasPrefix("0x0680") {
        toSwitch[gpu, default: 0] += count
        continue
      }
      guard let element = byBus[target], devices[element] >= 0, Int(devices[element]) < graph.gpus else {
        throw error(place, "a link leads to a GPU that is not there", found: "target=\"\(target)\"")
      }
      let other = Int(devices[element])
      if other == gpu {
        own += count
        continue
      }
      let key = [min(gpu, other), max(gpu, other)]
      if let known = between[key] {
        guard known.count == count else {
          throw error(
            place, "the two ends of a link disagree", found: "\(count) links",
            allowed: "\(known.count), as on line \(known.line)")
        }
      } else {
        between[key] = (count, elements[place].line)
        order.append(key)
      }
    }
    for key in order {
      guard let link = between[key] else { continue }
      try graph.connect(
        Int32(key[0]), Int32(key[1]), .nvlink, linkRate(of: key[0]) * Double(link.count), latency: .zero)
    }
    if !toSwitch.isEmpty {
      let nvswitch = graph.add(.nvswitch, "nvswitch")
      for gpu in 0..<graph.gpus {
        if let count = toSwitch[gpu] {
          try graph.connect(Int32(gpu), nvswitch, .nvlink, linkRate(of: gpu) * Double(count), latency: .zero)
        }
      }
    }
    if own > 0 { graph.notes.append("\(own) links that lead back to their own GPU are left out") }
  }

  /// The rate of one link of a GPU: the newest generation that is not newer than it.
  private func linkRate(of gpu: Int) -> BytesPerSecond {
    let element = devices.firstIndex(of: Int32(gpu)).flatMap { children(of: $0, "gpu").first }
    let attribute = { (name: String) in element.flatMap { elements[$0].attribute(name) } ?? "" }
    let architecture = attribute("gcn")
    if !architecture.isEmpty {
      // gfx906, gfx90a, gfx942; RCCL takes the second for 910.
      let text = architecture.replacing("gfx", with: "")
      let version = text == "90a" ? 910 : Int(text) ?? 906
      return (rates.xgmi.last { $0.version <= version } ?? rates.xgmi[0]).rate
    }
    let version = Int(attribute("sm")) ?? 80
    // 8.6 is a chip of its own, not a step towards 9.0.
    if version == 86, let row = rates.nvlink.first(where: { $0.version == 86 }) { return row.rate }
    return (rates.nvlink.last { $0.version <= version && $0.version != 86 } ?? rates.nvlink[0]).rate
  }
}
