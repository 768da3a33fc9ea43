import Units

/// A number with a fixed count of decimals, always with a point, never in exponent form.
///
/// Halves round to even. A negative number that rounds to zero loses its sign.
///
/// - Precondition: The number is finite and has at most 15 digits at this precision.
public func fixed(_ number: Double, decimals: Int) -> String {
  precondition(number.isFinite, "a report shows only finite numbers")
  var scale = 1
  for _ in 0..<decimals { scale *= 10 }
  let scaled = (number * Double(scale)).rounded(.toNearestOrEven)
  precondition(abs(scaled) < 9e15, "\(number) is too large to be shown with \(decimals) decimals")
  let digits = Int(abs(scaled))
  let sign = scaled < 0 ? "-" : ""
  guard decimals > 0 else { return sign + String(digits) }
  let fraction = String(digits % scale)
  return sign + String(digits / scale) + "." + String(repeating: "0", count: decimals - fraction.count)
    + fraction
}

/// A number with a count of significant digits, at most six decimals: `19.93`, `127.4`, `0.004210`.
public func significant(_ number: Double, digits: Int) -> String {
  func decimals(below magnitude: Double) -> Int {
    var decimals = digits - 1
    var limit = 10.0
    while magnitude >= limit && decimals > 0 {
      decimals -= 1
      limit *= 10
    }
    limit = 1
    while magnitude < limit && decimals < 6 {
      decimals += 1
      limit /= 10
    }
    return decimals
  }
  guard number != 0 else { return "0" }
  let first = decimals(below: abs(number))
  // Rounding can carry into a new digit: 9.9996 is 10.00, not 10.000.
  var step = 1.0
  for _ in 0..<first { step *= 10 }
  let rounded = (abs(number) * step).rounded(.toNearestOrEven) / step
  return fixed(number, decimals: min(first, decimals(below: rounded)))
}

/// A whole number with a comma between thousands: `2,664,000`.
public func grouped(_ number: Int) -> String {
  let digits = Array(String(number.magnitude))
  var text = number < 0 ? "-" : ""
  for (index, digit) in digits.enumerated() {
    if index > 0 && (digits.count - index) % 3 == 0 { text.append(",") }
    text.append(digit)
  }
  return text
}

/// A number with a decimal prefix, four significant digits and a unit: `385.1 TFLOPS`, `671.0 B` for a list
/// of prefixes that counts in billions.
///
/// - Parameter prefixes: One for each power of a thousand, from 1 upwards.
public func scaled(
  _ number: Double, unit: String, digits: Int = 4, prefixes: [String] = ["", "k", "M", "G", "T", "P", "E"]
) -> String {
  var value = number
  var index = 0
  // 999.95 would be shown as 1000 with the lower prefix.
  let limit = 1000.0 - 0.5 / [1, 10, 100, 1000][max(0, min(3, digits - 3))]
  while abs(value) >= limit && index < prefixes.count - 1 {
    value /= 1000
    index += 1
  }
  let suffix = prefixes[index] + unit
  let text =
    index == 0 && value.rounded() == value ? fixed(value, decimals: 0) : significant(value, digits: digits)
  return suffix.isEmpty ? text : text + " " + suffix
}

/// A large count in thousands, millions, billions (10⁹) and trillions: `671.0 B`, `14.80 T`.
public func counted(_ count: Double, digits: Int = 4) -> String {
  scaled(count, unit: "", digits: digits, prefixes: ["", "K", "M", "B", "T"])
}

/// A ratio as a percentage with one decimal: `38.9 %`.
public func percent(_ ratio: Double, decimals: Int = 1) -> String {
  fixed(ratio * 100, decimals: decimals) + " %"
}

/// A relative error with its sign: `+1.2 %`.
public func signedPercent(_ ratio: Double) -> String {
  let text = percent(ratio)
  return text.hasPrefix("-") ? text : "+" + text
}

/// Days of a run: `54.1 days`, `13.2 hours` below one day.
public func days(_ days: Double) -> String {
  days < 1 ? fixed(days * 24, decimals: 1) + " hours" : fixed(days, decimals: 1) + " days"
}

extension Span {
  /// With the unit that fits, four significant digits: `19.93 s`, `127.4 ms`, `5.200 µs`.
  public var shown: String {
    let magnitude = abs(picoseconds)
    if magnitude == 0 { return "0 s" }
    if magnitude >= 999_950_000_000 { return significant(exactSeconds, digits: 4) + " s" }
    if magnitude >= 999_950_000 { return significant(Double(picoseconds) / 1e9, digits: 4) + " ms" }
    if magnitude >= 999_950 { return significant(Double(picoseconds) / 1e6, digits: 4) + " µs" }
    return significant(Double(picoseconds) / 1e3, digits: 4) + " ns"
  }

  /// In the unit that suits a longer time, with the decimals that line up below it: 26 ms of 19.93 s is
  /// `0.026 s`.
  public func shown(beside whole: Span) -> String {
    let magnitude = abs(whole.picoseconds)
    if magnitude >= 999_950_000_000 { return fixed(exactSeconds, decimals: 3) + " s" }
    if magnitude >= 999_950_000 { return fixed(Double(picoseconds) / 1e9, decimals: 2) + " ms" }
    return fixed(Double(picoseconds) / 1e6, decimals: 2) + " µs"
  }

  /// Seconds as the nearest `Double`, so that 1.13 s is written 1.13.
  var exactSeconds: Double { Double(picoseconds) / 1e12 }
}

extension Bytes {
  /// In binary units, as memory is counted: `65.2 GiB`.
  public var shown: String {
    var value = Double(count)
    var index = 0
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while abs(value) >= 1023.95 && index < units.count - 1 {
      value /= 1024
      index += 1
    }
    return fixed(value, decimals: index == 0 ? 0 : 1) + " " + units[index]
  }
}

extension Dollars {
  /// Three significant digits above a thousand: `$5.33 M`, `$238 K`, `$12.40`.
  public var shown: String {
    guard abs(value) >= 999.995 else { return (value < 0 ? "-$" : "$") + fixed(abs(value), decimals: 2) }
    return (value < 0 ? "-$" : "$") + counted(abs(value), digits: 3)
  }
}

extension GPUHours {
  /// `2.664 M GPU-hours`.
  public var shown: String { counted(value) + " GPU-hours" }
}

extension FLOPs {
  public var shown: String { scaled(value, unit: "FLOP") }
}

extension FLOPsPerSecond {
  public var shown: String { scaled(value, unit: "FLOPS") }
}
