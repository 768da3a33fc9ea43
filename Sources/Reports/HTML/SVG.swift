/// Builds one SVG element as text: escaped, numbers with fixed precision, attributes in a fixed order.
///
/// The width is whatever the page gives; horizontal positions are shares of it, so that text keeps its size
/// while bars stretch.
public struct SVG: Sendable {
  /// A horizontal place or extent.
  public enum Length: Hashable, Sendable {
    case pixels(Double)
    /// 0...1 of the element's width.
    case share(Double)

    var text: String {
      switch self {
      case .pixels(let pixels): SVG.number(pixels, decimals: 2)
      case .share(let share): SVG.number(share * 100, decimals: 3) + "%"
      }
    }
  }

  /// Which end of a text its position is.
  public enum Anchor: String, Sendable {
    case start, middle, end
  }

  private var body = ""
  private let opening: String

  /// An image with a name and a description for those who cannot see it.
  ///
  /// - Parameter identifier: Unique in the page.
  public init(height: Double, identifier: String, title: String, description: String) {
    let id = SVG.escaped(identifier)
    opening =
      "<svg width=\"100%\" height=\"\(SVG.number(height))\" role=\"img\" aria-labelledby=\"\(id)-t \(id)-d\">"
      + "<title id=\"\(id)-t\">\(SVG.escaped(title))</title><desc id=\"\(id)-d\">\(SVG.escaped(description))</desc>\n"
  }

  /// An element that repeats what another one says, and is silent to screen readers.
  public init(height: Double) {
    opening = "<svg width=\"100%\" height=\"\(SVG.number(height))\" aria-hidden=\"true\">\n"
  }

  /// The whole element.
  public var text: String { opening + body + "</svg>\n" }

  public mutating func rectangle(
    x: Length, y: Double, width: Length, height: Double, class name: String, title: String? = nil
  ) {
    body +=
      "<rect class=\"\(SVG.escaped(name))\" x=\"\(x.text)\" y=\"\(SVG.number(y))\" width=\"\(width.text)\" "
      + "height=\"\(SVG.number(height))\""
    body += title.map { "><title>\(SVG.escaped($0))</title></rect>\n" } ?? "/>\n"
  }

  public mutating func line(x1: Length, y1: Double, x2: Length, y2: Double, class name: String) {
    body +=
      "<line class=\"\(SVG.escaped(name))\" x1=\"\(x1.text)\" y1=\"\(SVG.number(y1))\" x2=\"\(x2.text)\" "
      + "y2=\"\(SVG.number(y2))\"/>\n"
  }

  /// - Parameter y: Of the baseline.
  public mutating func label(
    _ text: String, x: Length, y: Double, anchor: Anchor = .start, shift: Double = 0, class name: String
  ) {
    let offset = shift == 0 ? "" : " dx=\"\(SVG.number(shift))\""
    body +=
      "<text class=\"\(SVG.escaped(name))\" x=\"\(x.text)\" y=\"\(SVG.number(y))\"\(offset) "
      + "text-anchor=\"\(anchor.rawValue)\">\(SVG.escaped(text))</text>\n"
  }

  /// A box with a text that it clips, and a title that a pointer over it shows.
  public mutating func box(
    _ text: String?, x: Length, y: Double, width: Length, height: Double, class name: String, title: String
  ) {
    let style = SVG.escaped(name)
    body +=
      "<svg x=\"\(x.text)\" y=\"\(SVG.number(y))\" width=\"\(width.text)\" height=\"\(SVG.number(height))\">"
      + "<title>\(SVG.escaped(title))</title>"
      + "<rect class=\"boxed \(style)\" width=\"100%\" height=\"100%\"/>"
    if let text {
      let baseline = SVG.number(height / 2 + 3.5)
      body += "<text class=\"on \(style)\" x=\"3\" y=\"\(baseline)\">\(SVG.escaped(text))</text>"
    }
    body += "</svg>\n"
  }

  /// A raster of `columns` by `height` stretched over the whole width: bars given in columns, one path for
  /// each class.
  ///
  /// - Parameter bars: In drawing order; bars of one class are gathered at the place of its first.
  public mutating func raster(columns: Int, height: Double, bars: [Bar]) {
    body +=
      "<svg width=\"100%\" height=\"\(SVG.number(height))\" viewBox=\"0 0 \(columns) \(SVG.number(height))\" "
      + "preserveAspectRatio=\"none\">\n"
    var order: [String] = []
    var paths: [String: String] = [:]
    for bar in bars {
      if paths[bar.class] == nil { order.append(bar.class) }
      let width = bar.columns.count
      paths[bar.class, default: ""] +=
        "M\(bar.columns.lowerBound) \(SVG.number(bar.y))h\(width)v\(SVG.number(bar.height))h-\(width)z"
    }
    for name in order { body += "<path class=\"\(SVG.escaped(name))\" d=\"\(paths[name] ?? "")\"/>\n" }
    body += "</svg>\n"
  }

  /// One bar of a stacked picture.
  public struct Bar: Hashable, Sendable {
    public var columns: Range<Int>
    public var y: Double
    public var height: Double
    public var `class`: String

    public init(columns: Range<Int>, y: Double, height: Double, class name: String) {
      self.columns = columns
      self.y = y
      self.height = height
      self.class = name
    }
  }

  /// At most so many decimals, without trailing zeros.
  static func number(_ number: Double, decimals: Int = 2) -> String {
    var text = Substring(fixed(number, decimals: decimals))
    guard decimals > 0 else { return String(text) }
    while text.last == "0" { text.removeLast() }
    if text.last == "." { text.removeLast() }
    return String(text)
  }

  /// Text that is safe within an element and within a quoted attribute.
  public static func escaped(_ text: String) -> String {
    var escaped = ""
    escaped.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      // XML has no place for other control characters, not even escaped.
      case _ where scalar.value < 0x20 && scalar != "\n" && scalar != "\t": escaped += " "
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}
