import Units

extension PipelinePicture {
  /// The picture as an SVG image: rows of rounded cells, a legend, a time axis.
  ///
  /// Overlapped cells show their two halves one above the other. The background is left transparent, and
  /// colours are chosen to be read on light and dark pages; class names begin with `pp-`, so that it can
  /// stand inside a page.
  ///
  /// - Parameter width: In pixels; default: wide enough to label most cells, between 760 and 2,400.
  public func svg(width: Double? = nil) -> String {
    let layout = VectorLayout(self, width: width)
    var out = VectorWriter()
    out.open(layout, title: title)
    out.heading(self, layout)
    out.axis(self, layout)
    for (index, row) in rows.enumerated() { out.row(row, index, layout) }
    out.close()
    return out.text
  }
}

/// Where things stand, in pixels.
private struct VectorLayout {
  let width: Double
  let plotLeft: Double
  let plotTop = 76.0
  let plotWidth: Double
  let rowHeight = 28.0
  let rowPitch = 33.0
  let rowCount: Int
  private let pixelsPerPicosecond: Double

  init(_ picture: PipelinePicture, width: Double?) {
    let length = max(1, Double(picture.length.picoseconds))
    let cells = length / Double(picture.medianCell.picoseconds)
    plotLeft = 22 + 6.6 * Double(picture.rows.map(\.label.count).max() ?? 0)
    let wanted = width ?? min(2400, max(760, plotLeft + 16 + cells * 25))
    self.width = max(wanted, plotLeft + 160)
    plotWidth = self.width - plotLeft - 16
    pixelsPerPicosecond = plotWidth / length
    rowCount = picture.rows.count
  }

  var plotHeight: Double { Double(rowCount) * rowPitch }
  var height: Double { plotTop + plotHeight + 40 }

  func x(_ instant: Instant) -> Double { plotLeft + Double(instant.picoseconds) * pixelsPerPicosecond }
  func y(_ row: Int) -> Double { plotTop + Double(row) * rowPitch }
}

/// Writes the elements.
private struct VectorWriter {
  private(set) var text = ""

  private mutating func line(_ element: String) { text += element + "\n" }

  private func p(_ value: Double) -> String { decimal(value, places: 2) }

  mutating func open(_ layout: VectorLayout, title: String) {
    line(
      #"<svg xmlns="http://www.w3.org/2000/svg" class="pp-picture" viewBox="0 0 \#(p(layout.width)) "#
        + #"\#(p(layout.height))" width="\#(p(layout.width))" height="\#(p(layout.height))" role="img" "#
        + #"aria-label="\#(escaped(title))" style="max-width:100%;height:auto">"#)
    line("<style>\(Self.style)</style>")
  }

  mutating func close() { line("</svg>") }

  private static let style = """
    .pp-picture{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\
    .pp-title{font-size:15px;font-weight:600;fill:#5a6a82}\
    .pp-note{font-size:12px;fill:#6f7c90}\
    .pp-rank{font-size:12px;fill:#6f7c90;text-anchor:end}\
    .pp-tick{font-size:11px;fill:#6f7c90;text-anchor:middle}\
    .pp-grid{stroke:#8b97a8;stroke-opacity:.22}\
    .pp-lane{fill:#8b97a8;fill-opacity:.10}\
    .pp-pair{fill:none;stroke:#4a5970;stroke-width:1.1}\
    .pp-n{font-size:11.5px;text-anchor:middle;fill:#0d1b2e;font-variant-numeric:tabular-nums}\
    .pp-s{font-size:9.2px}\
    @media(prefers-color-scheme:dark){.pp-title{fill:#dbe3ef}.pp-note,.pp-rank,.pp-tick{fill:#9aa7ba}\
    .pp-pair{stroke:#dbe3ef}}
    """

  // MARK: Heading and axis

  mutating func heading(_ picture: PipelinePicture, _ layout: VectorLayout) {
    line(#"<text class="pp-title" x="14" y="25">\#(escaped(picture.title))</text>"#)
    line(
      #"<text class="pp-note" x="\#(p(layout.width - 16))" y="25" text-anchor="end">"#
        + #"\#(escaped(picture.summary))</text>"#)
    var x = 14.0
    func advance(_ name: String) { x += 5.9 * Double(name.count) + 20 }
    for (tone, shades) in picture.usedTones {
      for shade in 0..<min(shades, 4) {
        line(
          #"<rect x="\#(p(x))" y="42" width="14" height="14" rx="2.5" "#
            + #"fill="\#(Self.fill(tone, shade))"/>"#)
        x += 15
      }
      line(#"<text class="pp-note" x="\#(p(x + 4))" y="53">\#(tone.name)</text>"#)
      advance(tone.name)
    }
    if picture.hasOverlap {
      line(#"<rect x="\#(p(x))" y="42" width="20" height="7" fill="\#(Self.fill(.forward, 0))"/>"#)
      line(#"<rect x="\#(p(x))" y="49" width="20" height="7" fill="\#(Self.fill(.backward, 0))"/>"#)
      line(#"<rect class="pp-pair" x="\#(p(x))" y="42" width="20" height="14" rx="2.5"/>"#)
      line(#"<text class="pp-note" x="\#(p(x + 25))" y="53">overlapped</text>"#)
      x += 20
      advance("overlapped")
    }
    line(#"<rect class="pp-lane" x="\#(p(x))" y="42" width="14" height="14" rx="2.5"/>"#)
    line(#"<text class="pp-note" x="\#(p(x + 19))" y="53">idle</text>"#)
    x += 15
    advance("idle")
    if picture.shadeNames.count > 1, let first = picture.shadeNames.first, let last = picture.shadeNames.last
    {
      line(
        #"<text class="pp-note" x="\#(p(x))" y="53">dark: \#(escaped(first)), light: \#(escaped(last))</text>"#
      )
    }
  }

  mutating func axis(_ picture: PipelinePicture, _ layout: VectorLayout) {
    let bottom = layout.plotTop + layout.plotHeight
    let unit = Double(max(1, picture.unit.span.picoseconds))
    let length = Double(picture.length.picoseconds) / unit
    let step = Self.step(length / max(2, min(14, layout.plotWidth / 90)))
    var index = 0
    while Double(index) * step <= length * 1.0001 {
      let value = Double(index) * step
      let x = layout.x(Instant(picoseconds: Int64((value * unit).rounded())))
      line(
        #"<line class="pp-grid" x1="\#(p(x))" y1="\#(p(layout.plotTop - 4))" x2="\#(p(x))" y2="\#(p(bottom + 2))"/>"#
      )
      let name = index == 0 ? "0" : decimal(value, places: 6) + " " + picture.unit.name
      line(#"<text class="pp-tick" x="\#(p(x))" y="\#(p(bottom + 18))">\#(escaped(name))</text>"#)
      index += 1
    }
  }

  /// The next of 1, 2, 5, 10, … that is not smaller.
  private static func step(_ least: Double) -> Double {
    guard least > 0, least.isFinite else { return 1 }
    var decade = 1.0
    while decade > least { decade /= 10 }
    while decade * 10 <= least { decade *= 10 }
    return [1, 2, 5, 10].first { decade * $0 >= least * 0.9999 }.map { decade * $0 } ?? decade * 10
  }

  // MARK: Rows

  mutating func row(_ row: PipelinePicture.Row, _ index: Int, _ layout: VectorLayout) {
    let y = layout.y(index)
    line(
      #"<text class="pp-rank" x="\#(p(layout.plotLeft - 8))" y="\#(p(y + 18.5))">\#(escaped(row.label))</text>"#
    )
    line(
      #"<rect class="pp-lane" x="\#(p(layout.plotLeft))" y="\#(p(y))" width="\#(p(layout.plotWidth))" "#
        + #"height="\#(p(layout.rowHeight))" rx="3"/>"#)
    for cell in row.cells where cell.end > cell.start {
      // Neighbours keep a gap, unless the cells are slivers.
      let left = layout.x(cell.start)
      let whole = layout.x(cell.end) - left
      let gap = whole > 5 ? 0.6 : 0
      let box = Box(x: left + gap, y: y, width: whole - 2 * gap, height: layout.rowHeight)
      if let overlapped = cell.overlapped {
        let upper = Box(x: box.x, y: y, width: box.width, height: layout.rowHeight / 2)
        let lower = Box(x: box.x, y: y + layout.rowHeight / 2, width: box.width, height: layout.rowHeight / 2)
        face(cell.face, upper, isHalf: true)
        face(overlapped, lower, isHalf: true)
        guard whole > 5 else { continue }
        line(
          #"<rect class="pp-pair" x="\#(p(box.x))" y="\#(p(y))" width="\#(p(box.width))" "#
            + #"height="\#(p(box.height))" rx="2.5"/>"#)
      } else {
        face(cell.face, box, isHalf: false)
      }
    }
  }

  private struct Box {
    var x, y, width, height: Double
  }

  private mutating func face(_ face: PipelinePicture.Face, _ box: Box, isHalf: Bool) {
    let corner = isHalf || box.width < 5 ? "" : #" rx="2.5""#
    line(
      #"<rect x="\#(p(box.x))" y="\#(p(box.y))" width="\#(p(box.width))" height="\#(p(box.height))"\#(corner) "#
        + #"fill="\#(Self.fill(face.tone, face.shade))"/>"#)
    let digits = Double(face.label.count)
    let small = isHalf || box.width < 6.7 * digits + 2
    guard digits > 0, !small || box.width >= 5.1 * digits + 0.2 else { return }
    let middle = box.y + box.height / 2 + (small ? 3.1 : 4.1)
    line(
      #"<text class="pp-n\#(small ? " pp-s" : "")" x="\#(p(box.x + box.width / 2))" y="\#(p(middle))">"#
        + #"\#(escaped(face.label))</text>"#)
  }

  /// Dark enough for a white page, light enough for dark text and a dark page.
  private static func fill(_ tone: PictureTone, _ shade: Int) -> String {
    let full: (Double, Double, Double) =
      switch tone {
      case .forward: (92, 154, 240)
      case .backward: (84, 184, 116)
      case .backwardInput: (38, 178, 178)
      case .backwardWeight: (240, 178, 72)
      case .communication: (160, 134, 226)
      case .optimizer: (232, 120, 120)
      case .other: (150, 160, 174)
      }
    // Each further shade closes half of the distance that is left to the palest one.
    let share = (0..<min(shade, 6)).reduce(1.0) { share, _ in share * 0.5 }
    func mixed(_ channel: Double) -> String {
      let value = Int((channel * share + (channel * 0.28 + 255 * 0.72) * (1 - share)).rounded())
      let digits = String(value, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }
    return "#" + mixed(full.0) + mixed(full.1) + mixed(full.2)
  }

  private func escaped(_ text: String) -> String {
    var out = ""
    for character in text {
      switch character {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      default: out.append(character)
      }
    }
    return out
  }
}
