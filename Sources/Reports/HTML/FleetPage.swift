import Units

/// A simulated step of a whole cluster, as a page shows it.
public struct FleetPicture: Sendable {
  /// A number with its name and what it is measured by.
  public struct Tile: Sendable {
    public var name: String
    public var value: String
    public var note: String

    public init(_ name: String, _ value: String, _ note: String) {
      self.name = name
      self.value = value
      self.note = note
    }
  }

  /// One value of every GPU, node by node.
  public struct Heat: Sendable {
    public var title: String
    public var note: String
    /// Of the palette: `blue`, `red`, `green`.
    public var colour: String
    /// `[rank]`.
    public var values: [Double]
    /// A value as its legend and its tooltip write it.
    public var shown: @Sendable (Double) -> String

    public init(
      _ title: String, note: String, colour: String, values: [Double],
      shown: @escaping @Sendable (Double) -> String
    ) {
      self.title = title
      self.note = note
      self.colour = colour
      self.values = values
      self.shown = shown
    }
  }

  /// Shares of a link over the step.
  public struct Series: Sendable {
    public var name: String
    public var colour: String
    public var shares: [Double]

    public init(_ name: String, colour: String, shares: [Double]) {
      self.name = name
      self.colour = colour
      self.shares = shares
    }
  }

  /// Rows of text under headings; the first column is text, the others are numbers.
  public struct Table: Sendable {
    public var title: String
    public var heads: [String]
    public var rows: [[String]]

    public init(_ title: String, heads: [String], rows: [[String]]) {
      self.title = title
      self.heads = heads
      self.rows = rows
    }
  }

  public var title: String
  public var sentence: String
  public var gpusPerNode: Int
  public var tiles: [Tile] = []
  public var heats: [Heat] = []
  public var series: [Series] = []
  /// Time from the left to the right end of ``series``.
  public var span = Span.zero
  public var tables: [Table] = []
  public var inputs: [String] = []

  public init(title: String, sentence: String, gpusPerNode: Int) {
    self.title = title
    self.sentence = sentence
    self.gpusPerNode = gpusPerNode
  }
}

/// The step as one page that needs no other file and no network.
///
/// - Throws: A `Diagnostic` with status `internal` when the page's template is missing or broken.
public func html(_ picture: FleetPicture) throws -> String {
  let context: [String: Any] = [
    "palette": try resource("palette", "css"), "title": picture.title, "sentence": picture.sentence,
    "tiles": picture.tiles.map { ["name": $0.name, "value": $0.value, "note": $0.note] },
    "heats": picture.heats.map { heat in
      [
        "title": heat.title, "note": heat.note,
        "drawing": drawing(of: heat, gpusPerNode: picture.gpusPerNode),
        "colour": heat.colour, "least": heat.shown(heat.values.min() ?? 0),
        "most": heat.shown(heat.values.max() ?? 0),
      ]
    },
    "use": drawing(of: picture.series, span: picture.span),
    "series": picture.series.map { ["name": $0.name, "colour": $0.colour] },
    "tables": picture.tables.map { table -> [String: Any] in
      [
        "title": table.title,
        "heads": table.heads.enumerated().map { ["text": $1, "class": $0 == 0 ? "" : "n"] },
        "rows": table.rows.map { row in
          ["cells": row.enumerated().map { ["text": $1, "class": $0 == 0 ? "" : "n"] }]
        },
      ]
    },
    "inputs": picture.inputs.map { ["text": $0] },
  ]
  return try template(named: "fleet").render(context)
}

/// Nodes from left to right, GPUs of a node from top to bottom; as many bands as the nodes need.
private func drawing(of heat: FleetPicture.Heat, gpusPerNode: Int) -> String {
  let nodes = (heat.values.count + gpusPerNode - 1) / max(1, gpusPerNode)
  let each = min(128, max(1, nodes))
  let (width, left) = (1000.0, 44.0)
  let cell = min(24, width / Double(each))
  let height = max(4, min(12, cell))
  let band = Double(gpusPerNode) * height + 18
  let bands = (nodes + each - 1) / each
  let (least, most) = (heat.values.min() ?? 0, heat.values.max() ?? 0)
  var text =
    "<svg viewBox=\"0 0 \(short(width + left)) \(short(band * Double(bands)))\" role=\"img\">"
  for number in 0..<bands {
    let first = number * each
    text += "<text class=\"axis\" x=\"0\" y=\"\(short(band * Double(number) + 10))\">node \(first)</text>"
    for node in first..<min(nodes, first + each) {
      for gpu in 0..<gpusPerNode where node * gpusPerNode + gpu < heat.values.count {
        let value = heat.values[node * gpusPerNode + gpu]
        let share = most > least ? (value - least) / (most - least) : 0
        text += "<rect x=\"\(short(left + Double(node - first) * cell))\" "
        text += "y=\"\(short(band * Double(number) + Double(gpu) * height))\" "
        text += "width=\"\(short(cell * 0.94))\" height=\"\(short(height * 0.94))\" "
        text += "style=\"fill:var(--\(heat.colour));fill-opacity:\(short(0.06 + 0.94 * share))\">"
        text += "<title>GPU \(node * gpusPerNode + gpu): \(heat.shown(value))</title></rect>"
      }
    }
  }
  return text + "</svg>"
}

/// Lines over time, shares of links from 0 to 100 %.
private func drawing(of series: [FleetPicture.Series], span: Span) -> String {
  let (left, width, height) = (44.0, 1000.0, 180.0)
  var text =
    "<svg viewBox=\"0 0 \(short(left + width)) \(short(height + 24))\" role=\"img\">"
  for percent in [0, 50, 100] {
    let y = 6 + (height - 12) * (1 - Double(percent) / 100)
    text +=
      "<line class=\"tick\" x1=\"\(short(left))\" x2=\"\(short(left + width))\" "
    text += "y1=\"\(short(y))\" y2=\"\(short(y))\"/>"
    text += "<text class=\"axis\" x=\"0\" y=\"\(short(y + 4))\">\(percent) %</text>"
  }
  for quarter in 0...4 {
    let x = left + width * Double(quarter) / 4
    let seconds = fixed(span.seconds * Double(quarter) / 4, decimals: 2)
    let anchor = quarter == 0 ? "start" : quarter == 4 ? "end" : "middle"
    text +=
      "<text class=\"axis\" x=\"\(short(x))\" y=\"\(short(height + 18))\" "
    text += "text-anchor=\"\(anchor)\">\(seconds) s</text>"
  }
  for one in series where !one.shares.isEmpty {
    let points = one.shares.enumerated().map { place, share in
      let x = left + width * (Double(place) + 0.5) / Double(one.shares.count)
      return "\(short(x)),\(short(6 + (height - 12) * (1 - min(1, max(0, share)))))"
    }
    text += "<polyline points=\"\(points.joined(separator: " "))\" "
    text += "style=\"fill:none;stroke:var(--\(one.colour));stroke-width:1.6\"/>"
  }
  return text + "</svg>"
}

private func short(_ value: Double) -> String { fixed(value, decimals: 2) }
