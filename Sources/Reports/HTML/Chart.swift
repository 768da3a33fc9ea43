/// Rows of bars over one horizontal scale: labels left, bars in the middle, values right.
struct Chart {
  private(set) var labels: SVG
  private(set) var plot: SVG
  private(set) var values: SVG
  /// Height of everything above the axis.
  let height: Double

  static let axisHeight = 22.0

  init(height: Double, identifier: String, title: String, description: String, hasAxis: Bool = true) {
    let whole = height + (hasAxis ? Self.axisHeight : 0)
    self.height = height
    labels = SVG(height: whole)
    plot = SVG(height: whole, identifier: identifier, title: title, description: description)
    values = SVG(height: whole)
  }

  mutating func draw(_ body: (inout SVG) -> Void) { body(&plot) }

  /// - Parameter y: Of the row's middle.
  mutating func label(_ text: String, y: Double, class name: String = "label") {
    labels.label(text, x: .share(1), y: y + 4, anchor: .end, class: name)
  }

  mutating func value(_ text: String, y: Double, class name: String = "value") {
    values.label(text, x: .share(1), y: y + 4, anchor: .end, class: name)
  }

  /// Ticks at round numbers, with hair lines up through the plot.
  ///
  /// - Parameter range: In the unit that the labels show.
  mutating func axis(_ range: ClosedRange<Double>, unit: String) {
    let length = range.upperBound - range.lowerBound
    guard length > 0 else { return }
    let (step, decimals) = Self.tickStep(length)
    var tick = (range.lowerBound / step).rounded(.up)
    while tick * step <= range.upperBound + step * 1e-9 {
      let share = (tick * step - range.lowerBound) / length
      plot.line(x1: .share(share), y1: 0, x2: .share(share), y2: height + 4, class: "tick")
      let anchor: SVG.Anchor = share < 0.03 ? .start : share > 0.95 ? .end : .middle
      plot.label(
        fixed(tick * step, decimals: decimals) + " " + unit, x: .share(share), y: height + 17, anchor: anchor,
        class: "axis")
      tick += 1
    }
  }

  /// A step of 1, 2 or 5 times a power of ten that cuts a length into four to nine pieces, and the decimals
  /// to show.
  static func tickStep(_ length: Double) -> (step: Double, decimals: Int) {
    var power = 1.0
    var decimals = 0
    while power * 10 <= length { power *= 10 }
    while power > length {
      power /= 10
      decimals += 1
    }
    for factor in [2.0, 1.0, 0.5, 0.2] where length / (power * factor) >= 4 {
      return (power * factor, factor < 1 && power <= 1 ? decimals + 1 : decimals)
    }
    return (power * 0.1, power <= 1 ? decimals + 1 : decimals)
  }

  /// One file that needs no page around it.
  ///
  /// - Parameters:
  ///   - width: Pixels.
  ///   - style: The style sheet.
  func file(width: Double, style: String) -> String {
    let whole = SVG.number(height + Self.axisHeight + 16)
    let inner = SVG.number(width - 90)
    return """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(SVG.number(width))" height="\(whole)">
      <style>
      \(style)</style>
      <rect width="100%" height="100%" style="fill: var(--paper)"/>
      <svg x="8" y="8" width="60">
      \(labels.text)</svg>
      <svg x="76" y="8" width="\(inner)">
      \(plot.text)</svg>
      </svg>

      """
  }

  /// The three elements in a grid that the page's style lays out.
  var html: String {
    "<div class=\"chart\"><div>\(labels.text)</div><div>\(plot.text)</div><div>\(values.text)</div></div>\n"
  }
}
