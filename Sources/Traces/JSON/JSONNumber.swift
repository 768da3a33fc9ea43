/// A JSON number as its digits, so that times of 1.7e15 microseconds keep every fraction.
struct JSONNumber: Hashable {
  var isNegative = false
  var isFinite = true
  /// Digits before the point, up to 19 of them.
  var whole: UInt64 = 0
  /// Digits behind the point, up to 18 of them.
  var fraction: UInt64 = 0
  var fractionDigits = 0
  var exponent = 0
  /// Digits before the point beyond the 19th: too large for any use here.
  var isHuge = false

  static let notFinite: JSONNumber = {
    var number = JSONNumber()
    number.isFinite = false
    return number
  }()

  private init() {}

  /// Reads a number and moves past it; nil, unmoved, where none begins. The bytes must end with one that is no digit.
  init?(_ cursor: inout UnsafePointer<UInt8>) {
    var here = cursor
    if here.pointee == UInt8(ascii: "-") {
      isNegative = true
      here += 1
    }
    let first = here
    var digit = here.pointee &- 48
    guard digit < 10 else { return nil }
    repeat {
      whole = whole &* 10 &+ UInt64(digit)
      here += 1
      digit = here.pointee &- 48
    } while digit < 10
    if here - first > 1, first.pointee == 48 { return nil }
    isHuge = here - first > 19
    if here.pointee == UInt8(ascii: ".") {
      here += 1
      digit = here.pointee &- 48
      guard digit < 10 else { return nil }
      repeat {
        if fractionDigits < 18 {
          fraction = fraction * 10 + UInt64(digit)
          fractionDigits += 1
        }
        here += 1
        digit = here.pointee &- 48
      } while digit < 10
    }
    if here.pointee | 0x20 == UInt8(ascii: "e") {
      guard let end = readExponent(here + 1) else { return nil }
      here = end
    }
    cursor = here
  }

  private mutating func readExponent(_ start: UnsafePointer<UInt8>) -> UnsafePointer<UInt8>? {
    var here = start
    let isDown = here.pointee == UInt8(ascii: "-")
    if isDown || here.pointee == UInt8(ascii: "+") { here += 1 }
    guard here.pointee &- 48 < 10 else { return nil }
    while here.pointee &- 48 < 10 {
      exponent = min(exponent * 10 + Int(here.pointee &- 48), 1_000_000)
      here += 1
    }
    if isDown { exponent.negate() }
    return here
  }

  /// The number times ten to `power`, rounded half away from zero; nil where it is not finite or has more than 37
  /// digits.
  func scaled(by power: Int) -> Int128? {
    guard isFinite else { return nil }
    if whole == 0, fraction == 0, !isHuge { return 0 }
    if isHuge { return nil }
    var value = UInt128(whole) * UInt128(Self.powers[fractionDigits]) + UInt128(fraction)
    let shift = exponent + power - fractionDigits
    if value == 0 { return 0 }
    if shift >= 0 {
      for _ in 0..<shift {
        guard value < UInt128(Int128.max) / 10 else { return nil }
        value *= 10
      }
    } else if shift < -38 {
      value = 0
    } else {
      var divisor: UInt128 = 1
      for _ in 0..<(-shift) { divisor *= 10 }
      value = value / divisor + (value % divisor >= divisor / 2 + divisor % 2 ? 1 : 0)
    }
    return isNegative ? -Int128(value) : Int128(value)
  }

  /// The value where it is whole and fits.
  var integer: Int64? {
    if exponent == 0, fraction == 0, isFinite, !isHuge {
      return isNegative
        ? (whole <= UInt64(Int64.max) + 1 ? Int64(truncatingIfNeeded: 0 &- whole) : nil)
        : Int64(exactly: whole)
    }
    guard let thousandfold = scaled(by: 3), thousandfold % 1000 == 0 else { return nil }
    return Int64(exactly: thousandfold / 1000)
  }

  /// The nearest double, to within one unit of its last place.
  var double: Double {
    guard isFinite else { return .nan }
    guard !isHuge else { return isNegative ? -.infinity : .infinity }
    guard let value = scaled(by: 0), exponent == 0, fractionDigits == 0 else {
      let digits = Double(whole) + Double(fraction) / Double(Self.powers[fractionDigits])
      return (isNegative ? -digits : digits) * pow10(exponent)
    }
    return Double(value)
  }

  private func pow10(_ exponent: Int) -> Double {
    var result = 1.0
    for _ in 0..<min(abs(exponent), 700) { result *= 10 }
    return exponent < 0 ? 1 / result : result
  }

  private static let powers: [UInt64] = (0...18).map { count in
    (0..<count).reduce(1) { power, _ in power * 10 }
  }
}
