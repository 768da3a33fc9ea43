import Units

/// Reads `160 GB/s` and the like: a number, a space, a unit.
///
/// Prefixes are decimal (`GB` is 10⁹ bytes) unless written binary (`GiB` is 2³⁰).
public protocol Quantity: Sendable {
  /// Unit names with what one of them is worth in the type's own unit.
  static var units: [(name: String, worth: Double)] { get }
  /// Amounts other than zero that the type can hold, in its own unit.
  static var representable: ClosedRange<Double> { get }
  init(quantity: Double)
}

extension Quantity {
  public static var representable: ClosedRange<Double> {
    Double.leastNormalMagnitude...Double.greatestFiniteMagnitude
  }
}

private let prefixes: [(name: String, worth: Double)] = [
  ("", 1), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15),
]

private func prefixed(_ unit: String, worth: Double = 1) -> [(name: String, worth: Double)] {
  prefixes.map { ($0.name + unit, $0.worth * worth) }
}

extension Quantity where Self: Measure {
  public init(quantity: Double) { self.init(quantity) }
}

extension BytesPerSecond: Quantity {
  public static let units: [(name: String, worth: Double)] = prefixed("B/s") + prefixed("b/s", worth: 0.125)
}
extension FLOPs: Quantity {
  public static let units: [(name: String, worth: Double)] = prefixed("FLOP")
}
extension FLOPsPerSecond: Quantity {
  public static let units: [(name: String, worth: Double)] = prefixed("FLOPS")
}
extension Hertz: Quantity {
  public static let units: [(name: String, worth: Double)] = prefixed("Hz")
}
extension Watts: Quantity {
  public static let units: [(name: String, worth: Double)] = prefixed("W")
}
extension Dollars: Quantity {
  public static let units: [(name: String, worth: Double)] = [("$", 1.0), ("k$", 1e3), ("M$", 1e6)]
}
extension DollarsPerGPUHour: Quantity {
  public static let units: [(name: String, worth: Double)] = [("$/GPU-hour", 1.0)]
}
extension Ratio: Quantity {
  public static let units: [(name: String, worth: Double)] = [("", 1.0), ("%", 0.01)]
}
extension Bytes: Quantity {
  public static let units: [(name: String, worth: Double)] =
    prefixed("B") + [("KiB", 0x1p10), ("MiB", 0x1p20), ("GiB", 0x1p30), ("TiB", 0x1p40)]
  /// From one byte to what 63 bits count.
  public static let representable = 1.0...9.2e18
  public init(quantity: Double) { self.init(rounding: quantity) }
}
extension Span: Quantity {
  public static let units: [(name: String, worth: Double)] = [
    ("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("ps", 1e-12),
  ]
  /// From a picosecond to a hundred days.
  public static let representable = 1e-12...8.6e6
  public init(quantity: Double) { self.init(seconds: quantity) }
}

extension Node {
  /// A quantity with its birthplace, written `{value: 160 GB/s, source: …, tag: published}`.
  ///
  /// - Throws: A ``Diagnostic`` when value, unit, source or tag is missing, or the amount is not positive
  /// (zero is
  ///   allowed where `allowingZero`).
  public func sourced<Amount: Quantity>(_ type: Amount.Type, allowingZero: Bool = false) throws -> Sourced<
    Amount
  > {
    guard case .mapping = value else {
      throw error(
        "a quantity needs its source", allowed: "{value: …, source: …, tag: …}",
        hint: "say where the number comes from, and whether it is "
          + Tag.allCases.map(\.rawValue).joined(separator: ", "))
    }
    try allowOnly(["value", "source", "tag", "note"])
    let amount = try required("value").quantity(type, allowingZero: allowingZero)
    let source = try required("source").text()
    guard !source.isEmpty else { throw try required("source").error("the source is empty") }
    return Sourced(amount, tag: try required("tag").oneOf(Tag.self), source: source)
  }

  /// A bare number with a unit, for command-line flags and for values whose source stands elsewhere.
  public func quantity<Amount: Quantity>(_ type: Amount.Type, allowingZero: Bool = false) throws -> Amount {
    let names = Amount.units.map(\.name).filter { !$0.isEmpty }
    let allowed = "a number and a unit: " + names.joined(separator: ", ")
    var magnitude: Double
    switch value {
    case .integer(let whole) where Amount.units.contains { $0.name.isEmpty }: magnitude = Double(whole)
    case .number(let number) where Amount.units.contains { $0.name.isEmpty }: magnitude = number
    case .integer, .number: throw error("a quantity needs a unit", allowed: allowed)
    case .text(let text):
      let parts = text.split(separator: " ", maxSplits: 1).map(String.init)
      guard let number = parts.first.flatMap(Double.init) else {
        throw error("a quantity starts with a number", allowed: allowed)
      }
      let unitName = parts.count == 2 ? parts[1] : ""
      guard let unit = Amount.units.first(where: { $0.name == unitName }) else {
        throw error(
          unitName.isEmpty ? "a quantity needs a unit" : "unknown unit", allowed: allowed,
          hint: nearest(to: unitName, in: names).map { "did you mean \($0)?" })
      }
      magnitude = number * unit.worth
    default: throw error("a quantity is needed here", allowed: allowed)
    }
    guard magnitude.isFinite else { throw error("the quantity is not finite", allowed: allowed) }
    guard magnitude > 0 || (allowingZero && magnitude == 0) else {
      throw error("the quantity must be positive", allowed: allowingZero ? "zero or more" : "more than zero")
    }
    guard magnitude == 0 || Amount.representable.contains(magnitude) else {
      throw error("the quantity is too small or too large", allowed: allowed)
    }
    return Amount(quantity: magnitude)
  }
}
