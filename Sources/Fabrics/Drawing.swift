import Documents
import Networks

/// Where devices stand on a drawing.
struct FabricDrawing {
  /// Devices that are drawn; the others stand for more of the same.
  var devices: [Int]
  var x: [Double]
  var y: [Double]
  var width: Double
  var height: Double
  /// What was left out, as a sentence.
  var note: String?

  static let limit = 400
  static let nodeLimit = 64
}

extension FabricDrawing {
  /// Trees in layers, switches that are all alike on a circle or grid, a node's devices below its switches.
  ///
  /// Of many planes the first is drawn, of many nodes the first of each leaf, so that shape can be seen at any size.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with status `usage` where more than ``limit`` switches would be left.
  init(_ graph: FabricGraph) throws {
    let layered = (graph.tiers.max() ?? 0) > 1 || graph.layout == nil || graph.count(.networkSwitch) <= 2
    var notes: [String] = []
    let planes = Int(graph.planes.max() ?? 0) + 1
    let isLarge = graph.devices > Self.limit
    var switches = graph.kinds.indices.filter { graph.kinds[$0] == .networkSwitch }
    if isLarge && planes > 1 {
      switches = switches.filter { graph.planes[$0] == 0 }
      notes.append("the first of \(planes) planes, all alike")
    }
    guard switches.count <= Self.limit else {
      throw Diagnostic(
        .usage, "the fabric has too many switches to be drawn", path: "--format",
        found: grouped(switches.count),
        allowed: "at most \(Self.limit)", hint: "draw a smaller one of the same kind, or use --format json")
    }
    var others = graph.kinds.indices.filter { graph.kinds[$0] != .networkSwitch }
    if isLarge, let layout = graph.layout {
      // Cards alone stand for their nodes: those of the first plane, as many as there is room for.
      let shown = Set(switches.map(Int32.init))
      let cards = layout.leaves.indices.filter { shown.contains(layout.leaves[$0]) }
      others = []
      if layered && cards.count <= 256 {
        others = cards.map { layout.firstCard + $0 }
        notes.append("\(grouped(cards.count)) cards; GPUs and NVLink are left out")
      } else {
        notes.append("\(grouped(graph.gpus)) GPUs and their cards are left out")
      }
    } else if isLarge && others.count > Self.limit {
      others = []
      notes.append("\(grouped(graph.gpus)) GPUs and their cards are left out")
    }
    devices = switches + others
    note = notes.isEmpty ? nil : notes.joined(separator: "; ")
    (x, y, width, height) = ([], [], 0, 0)
    if layered { placeInLayers(graph, switches, others) } else { placeOnCircle(graph, switches, others) }
  }

  private static func layer(_ kind: DeviceKind) -> Int {
    switch kind {
    case .networkSwitch: 0
    case .card: 1
    case .cpu: 1
    case .pcieSwitch: 2
    case .gpu, .other: 3
    case .nvswitch: 4
    }
  }

  private mutating func placeInLayers(_ graph: FabricGraph, _ switches: [Int], _ others: [Int]) {
    let top = Int(graph.tiers.max() ?? 0)
    func layer(_ device: Int) -> Int {
      graph.kinds[device] == .networkSwitch
        ? top - Int(graph.tiers[device]) : top + Self.layer(graph.kinds[device])
    }
    let layers = Dictionary(grouping: devices, by: layer)
    let most = layers.values.map(\.count).max() ?? 1
    width = max(360, Double(most) * 82) + 40
    let used = layers.keys.sorted()
    height = Double(used.count) * 110
    for device in devices {
      let own = layer(device)
      let peers = layers[own] ?? []
      let place = peers.firstIndex(of: device) ?? 0
      x.append(20 + (width - 40) * (Double(place) + 0.5) / Double(peers.count))
      y.append(70 + Double(used.firstIndex(of: own) ?? 0) * 110)
    }
  }

  private mutating func placeOnCircle(_ graph: FabricGraph, _ switches: [Int], _ others: [Int]) {
    let radius = max(140, Double(switches.count) * 9)
    let margin = others.isEmpty ? 60.0 : 200.0
    width = 2 * (radius + margin)
    height = width + 20
    var angles: [Int: Double] = [:]
    for (place, device) in switches.enumerated() {
      let angle = 2 * Double.pi * Double(place) / Double(switches.count)
      angles[device] = angle
      x.append(width / 2 + radius * sine(angle))
      y.append(height / 2 + 10 - radius * sine(angle + .pi / 2))
    }
    // What hangs on a switch stands outside it, a ring for each kind.
    var owner: [Int: Int] = [:]
    if let layout = graph.layout {
      for (card, leaf) in layout.leaves.enumerated() where leaf >= 0 {
        owner[layout.firstCard + card] = Int(leaf)
        owner[layout.gpu(besideCard: card)] = Int(leaf)
      }
      for device in others where owner[device] == nil {
        // NVSwitches and PCIe switches: beside the first GPU or card that has a place.
        owner[device] = graph.out(of: device).lazy.compactMap { owner[Int(graph.targets[Int($0)])] }.first
      }
    }
    let peers = Dictionary(grouping: others) { [owner[$0] ?? -1, Self.layer(graph.kinds[$0])] }
    for device in others {
      let key = [owner[device] ?? -1, Self.layer(graph.kinds[device])]
      let same = peers[key] ?? []
      let place = Double(same.firstIndex(of: device) ?? 0) - Double(same.count - 1) / 2
      let step = 2 * Double.pi / Double(max(1, switches.count)) / Double(max(2, same.count))
      let angle = (owner[device].flatMap { angles[$0] } ?? 0) + place * step
      let distance = radius + 42 * Double(key[1])
      x.append(width / 2 + distance * sine(angle))
      y.append(height / 2 + 10 - distance * sine(angle + .pi / 2))
    }
  }
}

/// The sine, by its series: the drawing must not depend on a platform's library.
private func sine(_ angle: Double) -> Double {
  let reduced = angle.remainder(dividingBy: 2 * .pi)
  var term = reduced
  var sum = reduced
  for order in 1..<14 {
    term *= -reduced * reduced / Double((2 * order) * (2 * order + 1))
    sum += term
  }
  return sum
}

extension FabricGraph {
  private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  /// Cables between drawn devices: parallel ones together, failed ones apart.
  private func drawnCables(_ devices: [Int]) -> [(a: Int, b: Int, cable: Int, count: Int)] {
    var places: [Int: Int] = [:]
    for (place, device) in devices.enumerated() { places[device] = place }
    var found: [(a: Int, b: Int, cable: Int, count: Int)] = []
    var known: [[Int]: Int] = [:]
    for cable in 0..<cables {
      guard let a = places[Int(sources[2 * cable])], let b = places[Int(targets[2 * cable])] else { continue }
      let key = [a, b, isUp[2 * cable] ? 1 : 0]
      if let place = known[key] {
        found[place].count += 1
      } else {
        known[key] = found.count
        found.append((a, b, cable, 1))
      }
    }
    return found
  }

  private static let fills: [DeviceKind: String] = [
    .gpu: "#76b7b2", .card: "#f1ce63", .nvswitch: "#b07aa1", .pcieSwitch: "#d4a6c8", .cpu: "#bab0ac",
    .networkSwitch: "#4e79a7", .other: "#dddddd",
  ]
  private static let strokes: [CableKind: String] = [
    .nvlink: "#b07aa1", .pcie: "#bab0ac", .network: "#4e79a7", .socket: "#79706e",
  ]

  /// A drawing as SVG: switches above, nodes below; failed cables red and dashed.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with status `usage` for a fabric that is too large.
  public func svg() throws -> String {
    let drawing = try FabricDrawing(self)
    func fixed(_ value: Double) -> String { shortNumber((value * 10).rounded() / 10) }
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(fixed(drawing.width)) \(fixed(drawing.height))" \
      font-family="sans-serif" font-size="9" text-anchor="middle">
      <rect width="100%" height="100%" fill="white"/>
      <text x="20" y="20" font-size="14" text-anchor="start">\(escaped(name))</text>

      """
    if let note = drawing.note {
      text +=
        "<text x=\"20\" y=\"36\" font-size=\"11\" text-anchor=\"start\" fill=\"#555\">\(escaped(note))</text>\n"
    }
    for (a, b, cable, count) in drawnCables(drawing.devices) {
      let up = isUp[2 * cable]
      // A failed cable stands beside those that it failed among.
      let aside = up ? 0.0 : 5.0
      let stroke = up ? Self.strokes[cableKinds[cable]] ?? "black" : "#e15759"
      let width = up ? (count == 1 ? 0.8 : min(4, 0.8 + Double(count) * 0.3)) : 2
      text +=
        "<line x1=\"\(fixed(drawing.x[a] + aside))\" y1=\"\(fixed(drawing.y[a]))\""
      text += " x2=\"\(fixed(drawing.x[b] + aside))\" y2=\"\(fixed(drawing.y[b]))\""
      text += " stroke=\"\(stroke)\" stroke-width=\"\(fixed(width))\""
      text += (up ? "" : " stroke-dasharray=\"4 3\"")
      text += "><title>\(escaped(table.name(of: LinkID(2 * cable))))\(count > 1 ? " × \(count)" : ""), "
      text += "\(rateText(rate(of: LinkID(2 * cable))))\(up ? "" : ", failed")</title></line>\n"
    }
    let labelled = drawing.devices.count <= 160
    for (place, device) in drawing.devices.enumerated() {
      let (x, y) = (drawing.x[place], drawing.y[place])
      let isSwitch = kinds[device] == .networkSwitch
      let half = labelled ? 37.0 : 7.0
      text +=
        "<g><rect x=\"\(fixed(x - half))\" y=\"\(fixed(y - 9))\" width=\"\(fixed(2 * half))\" height=\"18\" rx=\"3\" "
      text +=
        "fill=\"\(Self.fills[kinds[device]] ?? "white")\"/><title>\(escaped(deviceNames[device]))</title>"
      if labelled {
        text += "<text x=\"\(fixed(x))\" y=\"\(fixed(y + 3))\"\(isSwitch ? " fill=\"white\"" : "")>"
        text +=
          escaped(deviceNames[device].count > 15 ? "…" + deviceNames[device].suffix(14) : deviceNames[device])
          + "</text>"
      }
      text += "</g>\n"
    }
    return text + "</svg>\n"
  }

  /// The same devices and cables for Graphviz.
  ///
  /// - Throws: A ``Documents/Diagnostic`` with status `usage` for a fabric that is too large.
  public func dot() throws -> String {
    let drawing = try FabricDrawing(self)
    func quoted(_ text: String) -> String {
      "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
    var text = "graph \(quoted(name)) {\n  node [shape=box, style=filled, fontsize=9];\n"
    if let note = drawing.note { text += "  label=\(quoted(note));\n" }
    for device in drawing.devices {
      text += "  \(quoted(deviceNames[device])) [fillcolor=\"\(Self.fills[kinds[device]] ?? "white")\"];\n"
    }
    for (a, b, cable, count) in drawnCables(drawing.devices) {
      let up = isUp[2 * cable]
      var label = rateText(rate(of: LinkID(2 * cable)))
      if count > 1 { label = "\(count) × \(label)" }
      text += "  \(quoted(deviceNames[drawing.devices[a]])) -- \(quoted(deviceNames[drawing.devices[b]])) "
      text += "[color=\"\(up ? Self.strokes[cableKinds[cable]] ?? "black" : "#e15759")\", "
      text += (up ? "" : "style=dashed, ") + "tooltip=\(quoted(label))];\n"
    }
    return text + "}\n"
  }
}
