import Units

extension PipelinePicture {
  /// The picture in characters: one line a row, time to the right, cells as wide as they last.
  ///
  /// Times are drawn exactly where a column can stand for a common divisor of them, rounded to columns
  /// where it cannot; when cells would be narrower than a column the middle is cut out. The last lines say
  /// which.
  ///
  /// - Parameters:
  ///   - width: Columns of the terminal.
  ///   - color: Whether ANSI colours may be used; without, letters tell the cells apart.
  /// - Complexity: O(columns of the uncut picture x rows)
  public func terminal(width: Int = 80, color: Bool = false) -> String {
    let gutter = (rows.map(\.label.count).max() ?? 0) + 1
    let scale = ColumnScale(self, columns: max(24, width - gutter))
    var lines = [title]
    for row in rows {
      var line = TerminalLine(scale: scale, color: color)
      for cell in row.cells { line.paint(cell) }
      let blank = String(repeating: " ", count: gutter - row.label.count)
      lines.append(row.label + blank + line.text)
    }
    lines.append(String(repeating: " ", count: gutter) + scale.axis(unit))
    lines.append(contentsOf: wrapped(legend(color: color), width: width))
    lines.append(contentsOf: wrapped([summary] + scale.notes(unit, gutter: gutter), width: width))
    return lines.joined(separator: "\n") + "\n"
  }

  private func legend(color: Bool) -> [String] {
    var entries = usedTones.map { tone, shades in
      guard color else { return "\(tone.letter) \(tone.name)" }
      let swatch = (0..<shades).map { shade in TerminalLine.paint("  ", tone, shade) }.joined()
      return "\(swatch) \(tone.name)"
    }
    if hasOverlap { entries.append(color ? "two colours: overlapped" : "F.B. one cell: overlapped") }
    if !color {
      entries.append(". idle")
    }
    if shadeNames.count > 1 {
      let mark = color ? "lighter" : "marked '"
      let names = shadeNames.count == 2 ? shadeNames[1] : "later stages"
      entries.append("\(mark): \(names)")
    }
    return entries
  }

  /// Joins entries by two blanks and breaks lines at the width, not counting colour codes.
  private func wrapped(_ entries: [String], width: Int) -> [String] {
    func columns(_ text: String) -> Int {
      var isCode = false
      var count = 0
      for character in text {
        if character == "\u{1B}" { isCode = true }
        if !isCode { count += 1 }
        if character == "m" { isCode = false }
      }
      return count
    }
    var lines: [String] = []
    for entry in entries {
      if let last = lines.last, columns(last) + 2 + columns(entry) <= width {
        lines[lines.count - 1] = last + "  " + entry
      } else {
        lines.append(entry)
      }
    }
    return lines
  }
}

/// Which column an instant falls on, and which columns are shown.
private struct ColumnScale {
  enum Kind { case exact, rounded, cut }

  let kind: Kind
  /// Columns for each `span` picoseconds.
  private let factor: Int64
  private let span: Int64
  private let length: Span
  /// Columns of the whole picture.
  let total: Int
  /// Columns shown before and after the cut.
  let head: Int
  let tail: Int

  static let mark = "~~"

  init(_ picture: PipelinePicture, columns: Int) {
    length = picture.length
    let divisor = Self.commonDivisor(picture)
    let median = picture.medianCell.picoseconds
    let ticks = length.picoseconds / max(1, divisor)
    if ticks <= Int64(columns) {
      (kind, factor, span) = (.exact, ticks == 0 ? 1 : Int64(columns) / ticks, max(1, divisor))
    } else if median * Int64(columns) >= length.picoseconds {
      (kind, factor, span) = (.rounded, Int64(columns), length.picoseconds)
    } else {
      // A divisor far below the cells' length is chance, and would cut nearly everything.
      (kind, factor, span) = (.cut, 1, divisor * 4 >= median ? divisor : median)
    }
    total = Self.column(length.picoseconds, factor, span)
    if kind == .cut && total > columns {
      head = (columns - Self.mark.count) / 2
      tail = columns - Self.mark.count - head
    } else {
      head = total
      tail = 0
    }
  }

  func column(_ instant: Instant) -> Int { Self.column(instant.picoseconds, factor, span) }

  private static func column(_ time: Int64, _ factor: Int64, _ span: Int64) -> Int {
    // Whole spans first, so that the product cannot overflow.
    Int(time / span * factor + (time % span * factor + span / 2) / span)
  }

  private func time(ofColumn column: Int) -> Span {
    Span(picoseconds: Int64(Double(column) * Double(span) / Double(factor)))
  }

  /// Where a column of the whole picture is shown, or nil where it is cut out.
  func shown(_ column: Int) -> Int? {
    if column < head { return column }
    let fromEnd = total - column
    return fromEnd <= tail && fromEnd > 0 ? head + Self.mark.count + tail - fromEnd : nil
  }

  var shownColumns: Int { tail == 0 ? head : head + Self.mark.count + tail }

  private static func commonDivisor(_ picture: PipelinePicture) -> Int64 {
    var divisor: Int64 = 0
    for row in picture.rows {
      for cell in row.cells {
        for var other in [cell.start.picoseconds, cell.end.picoseconds] {
          while other != 0 { (divisor, other) = (other, divisor % other) }
        }
      }
    }
    return divisor
  }

  /// `0` under the first column, the length under the last.
  func axis(_ unit: PictureUnit) -> String {
    let end = unit.text(length)
    let blank = max(1, shownColumns - 1 - end.count)
    return "0" + String(repeating: " ", count: blank) + end
  }

  func notes(_ unit: PictureUnit, gutter: Int) -> [String] {
    let column = "a column is \(unit.text(time(ofColumn: 1)))"
    switch kind {
    case .exact:
      return factor == 1 ? [column] : ["\(factor) columns are \(unit.text(Span(picoseconds: span)))"]
    case .rounded: return ["scaled: cells are rounded to columns", column]
    case .cut:
      guard tail > 0 else { return [column] }
      let from = unit.text(time(ofColumn: head))
      let to = unit.text(time(ofColumn: total - tail))
      return [
        "cut at \(Self.mark): \(from) to \(to) is not shown, \(total + gutter) columns show all", column,
      ]
    }
  }
}

/// One row being painted.
private struct TerminalLine {
  private struct Glyph {
    var character: Character
    var face: PipelinePicture.Face?
  }

  private let scale: ColumnScale
  private let color: Bool
  private var glyphs: [Glyph]

  init(scale: ColumnScale, color: Bool) {
    self.scale = scale
    self.color = color
    glyphs = Array(repeating: Glyph(character: color ? " " : "."), count: scale.shownColumns)
    guard scale.tail > 0 else { return }
    for (offset, character) in ColumnScale.mark.enumerated() {
      glyphs[scale.head + offset] = Glyph(character: character)
    }
  }

  mutating func paint(_ cell: PipelinePicture.Cell) {
    let first = scale.column(cell.start)
    let end = scale.column(cell.end)
    if let overlapped = cell.overlapped {
      let middle = first + (end - first) / 2
      paint(cell.face, first..<middle)
      paint(overlapped, middle..<end)
    } else {
      paint(cell.face, first..<end)
    }
  }

  private mutating func paint(_ face: PipelinePicture.Face, _ columns: Range<Int>) {
    let words = color ? [face.label, String(face.label.suffix(columns.count))] : plainWords(face)
    let word = Array(words.first { $0.count <= columns.count } ?? "")
    for (offset, column) in columns.enumerated() {
      guard let place = scale.shown(column) else { continue }
      let rest: Character = color ? " " : "-"
      glyphs[place] = Glyph(character: offset < word.count ? word[offset] : rest, face: face)
    }
  }

  /// What a cell says without colour, longest first.
  private func plainWords(_ face: PipelinePicture.Face) -> [String] {
    let marks = String(repeating: "'", count: min(face.shade, 3))
    let letter = String(face.tone.letter)
    return [letter + face.label + marks, letter + face.label, letter + marks, letter]
  }

  /// The line, runs of one face painted at once.
  var text: String {
    guard color else { return String(glyphs.map(\.character)) }
    var text = ""
    var run = ""
    var face: PipelinePicture.Face?
    func flush() {
      text += face.map { Self.paint(run, $0.tone, $0.shade) } ?? run
      run = ""
    }
    for glyph in glyphs {
      if glyph.face != face {
        flush()
        face = glyph.face
      }
      run.append(glyph.character)
    }
    flush()
    return text
  }

  /// Dark text on the tone's colour of the 256-colour palette.
  static func paint(_ text: String, _ tone: PictureTone, _ shade: Int) -> String {
    let backgrounds: [Int] =
      switch tone {
      case .forward: [75, 117, 153, 189]
      case .backward: [71, 114, 151, 194]
      case .backwardInput: [37, 80, 116, 159]
      case .backwardWeight: [214, 221, 223, 230]
      case .communication: [141, 183]
      case .optimizer: [203, 217]
      case .other: [247, 252]
      }
    return "\u{1B}[48;5;\(backgrounds[min(shade, backgrounds.count - 1)]);38;5;16m\(text)\u{1B}[0m"
  }
}
