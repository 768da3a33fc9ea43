/// A table for a terminal: aligned columns, long cells folded at words, never wider than asked.
public struct TextTable: Sendable {
  /// How a column is headed and set.
  public struct Column: Hashable, Sendable {
    public var title: String
    public var alignment: Alignment
    /// Whether cells may fold onto further lines when the table is too wide.
    public var folds: Bool

    public init(_ title: String, _ alignment: Alignment = .left, folds: Bool = false) {
      self.title = title
      self.alignment = alignment
      self.folds = folds
    }
  }

  /// The side that a column's text stands on.
  public enum Alignment: Hashable, Sendable {
    case left, right
  }

  public var columns: [Column]
  public private(set) var rows: [[String]] = []
  /// Characters before the first column.
  public var indent: Int
  /// The most characters of a line.
  public var width: Int

  public init(_ columns: [Column], indent: Int = 0, width: Int = 80) {
    self.columns = columns
    self.indent = indent
    self.width = width
  }

  /// Cells may carry terminal colours; they count for nothing, and a cell that has to be cut or folded loses
  /// them.
  ///
  /// - Precondition: One cell for each column.
  public mutating func append(_ cells: [String]) {
    precondition(cells.count == columns.count, "a row has one cell for each column")
    rows.append(cells)
  }

  private static let gap = 2

  /// The lines, without trailing spaces; the titles and a rule first unless every title is empty.
  ///
  /// Columns that fold give up width, the widest first; when that is not enough, cells lose their ends to an
  /// ellipsis.
  public func lines() -> [String] {
    let hasTitles = columns.contains { !$0.title.isEmpty }
    let widths = columnWidths(hasTitles: hasTitles)
    var lines: [String] = []
    if hasTitles {
      lines += render(columns.map(\.title), widths)
      lines += render(widths.map { String(repeating: "─", count: $0) }, widths)
    }
    for row in rows { lines += render(row, widths) }
    return lines
  }

  private func columnWidths(hasTitles: Bool) -> [Int] {
    var widths = columns.indices.map { column in
      let titleWidth = hasTitles ? visibleWidth(columns[column].title) : 0
      return rows.reduce(titleWidth) { max($0, visibleWidth($1[column])) }
    }
    func excess() -> Int { indent + widths.reduce(0, +) + Self.gap * (columns.count - 1) - width }
    for (onlyFolding, least) in [(true, 8), (false, 8), (false, 1)] {
      while excess() > 0 {
        let candidates = columns.indices.filter { (!onlyFolding || columns[$0].folds) && widths[$0] > least }
        guard let widest = candidates.max(by: { (widths[$0], -$0) < (widths[$1], -$1) }) else { break }
        widths[widest] -= 1
      }
    }
    return widths
  }

  private func render(_ cells: [String], _ widths: [Int]) -> [String] {
    let folded = cells.indices.map { index -> [String] in
      if visibleWidth(cells[index]) <= widths[index] { return [cells[index]] }
      let plain = withoutColour(cells[index])
      return columns[index].folds
        ? fold(plain, width: widths[index]) : [String(plain.prefix(max(0, widths[index] - 1))) + "…"]
    }
    let height = folded.map(\.count).max() ?? 1
    return (0..<height).map { line in
      var text = String(repeating: " ", count: indent)
      for (index, parts) in folded.enumerated() {
        let part = line < parts.count ? parts[line] : ""
        let padding = String(repeating: " ", count: max(0, widths[index] - visibleWidth(part)))
        text += columns[index].alignment == .left ? part + padding : padding + part
        if index < folded.count - 1 { text += String(repeating: " ", count: Self.gap) }
      }
      return trimmingEnd(text)
    }
  }
}

/// Characters that a terminal shows of a text: colour sequences are skipped.
public func visibleWidth(_ text: String) -> Int { withoutColour(text).count }

/// A text as a terminal shows it, without its colour sequences.
func withoutColour(_ text: String) -> String {
  guard text.utf8.contains(0x1B) else { return text }
  var plain = ""
  var isSequence = false
  for character in text {
    if character == "\u{1B}" {
      isSequence = true
    } else if isSequence {
      if character.isLetter { isSequence = false }
    } else {
      plain.append(character)
    }
  }
  return plain
}

/// A text cut into lines at spaces; a word longer than a line is cut within.
///
/// - Precondition: `width` is positive.
public func fold(_ text: String, width: Int) -> [String] {
  precondition(width > 0, "a line needs room")
  var lines: [String] = []
  var line = ""
  for word in text.split(separator: " ", omittingEmptySubsequences: true) {
    var rest = word
    if !line.isEmpty && line.count + 1 + rest.count <= width {
      line += " " + rest
      continue
    }
    if !line.isEmpty { lines.append(line) }
    while rest.count > width {
      lines.append(String(rest.prefix(width)))
      rest = rest.dropFirst(width)
    }
    line = String(rest)
  }
  if !line.isEmpty || lines.isEmpty { lines.append(line) }
  return lines
}

func trimmingEnd(_ text: String) -> String {
  var text = Substring(text)
  while text.last == " " { text.removeLast() }
  return String(text)
}

extension String {
  /// Filled with spaces up to a visible width.
  func padded(to width: Int, _ alignment: TextTable.Alignment = .left) -> String {
    let padding = String(repeating: " ", count: max(0, width - visibleWidth(self)))
    return alignment == .left ? self + padding : padding + self
  }
}
