import Units

/// What a cell of a picture shows, and so its colour.
public enum PictureTone: Int, CaseIterable, Hashable, Sendable {
  case forward, backward, backwardInput, backwardWeight, communication, optimizer, other

  /// How pictures without colour mark it.
  public var letter: Character {
    switch self {
    case .forward: "F"
    case .backward: "B"
    case .backwardInput: "b"
    case .backwardWeight: "w"
    case .communication: "c"
    case .optimizer: "o"
    case .other: "x"
    }
  }

  /// What the legend calls it.
  public var name: String {
    switch self {
    case .forward: "forward"
    case .backward: "backward"
    case .backwardInput: "input gradient"
    case .backwardWeight: "weight gradient"
    case .communication: "communication"
    case .optimizer: "optimizer"
    case .other: "other"
    }
  }
}

/// A unit of time for the axis of a picture.
public struct PictureUnit: Hashable, Sendable {
  public var name: String
  public var span: Span

  public init(name: String, span: Span) {
    self.name = name
    self.span = span
  }

  /// Seconds, milliseconds or microseconds, whichever shows a length of time as a number between 1 and
  /// 1,000.
  public static func fitting(_ length: Span) -> PictureUnit {
    switch length.picoseconds {
    case 1_000_000_000_000...: PictureUnit(name: "s", span: Span(picoseconds: 1_000_000_000_000))
    case 1_000_000_000...: PictureUnit(name: "ms", span: Span(picoseconds: 1_000_000_000))
    default: PictureUnit(name: "us", span: Span(picoseconds: 1_000_000))
    }
  }

  /// A length of time with its unit, to three digits behind the point at most: `19.93 s`.
  func text(_ length: Span) -> String { name.isEmpty ? number(length) : "\(number(length)) \(name)" }

  func number(_ length: Span) -> String {
    let value = Double(length.picoseconds) / Double(max(1, span.picoseconds))
    let scale: Double = abs(value) >= 100 ? 10 : abs(value) >= 10 ? 100 : 1000
    return decimal((value * scale).rounded() / scale, places: 3)
  }
}

/// Rows of labelled intervals: a pipeline order with fixed times, a simulated step, a measured one.
///
/// It knows nothing of schedules; ``terminal(width:color:)`` and ``svg(width:)`` draw it.
public struct PipelinePicture: Hashable, Sendable {
  /// What one cell, or one half of a cell of two, says.
  public struct Face: Hashable, Sendable {
    public var tone: PictureTone
    /// 0 is the full colour; higher ones are lighter. Tells directions, halves and virtual stages apart.
    public var shade: Int
    /// Most often a micro-batch's number; empty for none.
    public var label: String

    public init(_ tone: PictureTone, shade: Int = 0, label: String = "") {
      self.tone = tone
      self.shade = shade
      self.label = label
    }
  }

  /// One interval of a row, in the picture's time.
  public struct Cell: Hashable, Sendable {
    public var start: Instant
    public var end: Instant
    public var face: Face
    /// What ran at the same time, overlapped with ``face``.
    public var overlapped: Face?

    public init(start: Instant, end: Instant, face: Face, overlapped: Face? = nil) {
      self.start = start
      self.end = end
      self.face = face
      self.overlapped = overlapped
    }
  }

  /// One rank's cells.
  public struct Row: Hashable, Sendable {
    public var label: String
    /// In ascending order and without overlap; a later cell covers an earlier one.
    public var cells: [Cell]

    public init(label: String, cells: [Cell]) {
      self.label = label
      self.cells = cells
    }
  }

  public var title: String
  public var rows: [Row]
  public var unit: PictureUnit
  /// What shades 0, 1, … stand for; empty where there is one shade.
  public var shadeNames: [String]

  /// - Parameter unit: Of the time axis; default: what fits the length of the picture.
  public init(title: String, rows: [Row], unit: PictureUnit? = nil, shadeNames: [String] = []) {
    self.title = title
    self.rows = rows
    self.shadeNames = shadeNames
    self.unit = .fitting(.zero)
    self.unit = unit ?? .fitting(length)
  }

  /// From the start to the end of the last cell.
  public var length: Span {
    rows.map { $0.cells.map(\.end).max() ?? .start }.max()?.sinceStart ?? .zero
  }

  /// The share of the rows' time in which nothing is drawn: the bubble.
  public var idleShare: Double {
    var busy = Span.zero
    for row in rows {
      for cell in row.cells { busy += cell.end - cell.start }
    }
    let whole = Double(length.picoseconds) * Double(rows.count)
    return whole > 0 ? 1 - Double(busy.picoseconds) / whole : 0
  }

  /// `makespan 66 F, idle 9.1 %`.
  var summary: String {
    "makespan \(unit.text(length)), idle \(decimal(idleShare * 100, places: 1)) %"
  }

  /// Tones in use, in the legend's order, each with its highest shade.
  var usedTones: [(tone: PictureTone, shades: Int)] {
    var shades = Array(repeating: 0, count: PictureTone.allCases.count)
    func note(_ face: Face) { shades[face.tone.rawValue] = max(shades[face.tone.rawValue], face.shade + 1) }
    for row in rows {
      for cell in row.cells {
        note(cell.face)
        if let overlapped = cell.overlapped { note(overlapped) }
      }
    }
    return PictureTone.allCases.filter { shades[$0.rawValue] > 0 }.map { ($0, shades[$0.rawValue]) }
  }

  var hasOverlap: Bool { rows.contains { $0.cells.contains { $0.overlapped != nil } } }

  /// The median length of the cells, which decides how finely time must be drawn.
  var medianCell: Span {
    let lengths = rows.flatMap { $0.cells.map { $0.end - $0.start } }.filter { $0 > .zero }.sorted()
    return lengths.isEmpty ? Span(picoseconds: 1) : lengths[lengths.count / 2]
  }
}

/// A number with up to `places` digits behind the point and no trailing zeros.
func decimal(_ value: Double, places: Int) -> String {
  let scale = (0..<places).reduce(1) { scale, _ in scale * 10 }
  let scaled = Int64((abs(value) * Double(scale)).rounded())
  let fraction = scaled % Int64(scale)
  let sign = value < 0 && scaled != 0 ? "-" : ""
  guard fraction != 0 else { return "\(sign)\(scaled / Int64(scale))" }
  var digits = String(fraction)
  digits = String(repeating: "0", count: places - digits.count) + digits
  while digits.hasSuffix("0") { digits.removeLast() }
  return "\(sign)\(scaled / Int64(scale)).\(digits)"
}
