/// A horizontal bar in eighths of a character, at least one eighth for anything above zero.
///
/// - Parameter share: Of the whole width; clamped to 0...1.
func bar(share: Double, width: Int) -> String {
  guard share > 0 else { return "" }
  let eighths = max(1, Int((min(1, share) * Double(width) * 8).rounded()))
  let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
  return String(repeating: "█", count: eighths / 8) + partial
}

/// Cuts a width into whole characters for consecutive amounts, by rounding the running total, so that errors
/// never add up.
///
/// - Parameter scale: The amount that fills the width.
func segments(_ amounts: [Double], scale: Double, width: Int) -> [Int] {
  var total = 0.0
  var drawn = 0
  return amounts.map { amount in
    total += amount
    let end = scale > 0 ? Int((total / scale * Double(width)).rounded()) : 0
    defer { drawn = max(drawn, end) }
    return max(0, end - drawn)
  }
}
