/// Numbers that golden files name by seed and stream: uniform in -scale ..< scale; exact, so that every language makes
/// the same.
public func hashedFloats(seed: UInt64, stream: UInt64, count: Int, scale: Float = 1) -> [Float] {
  (0..<UInt64(count)).map { index in
    var s =
      seed &* 0xD134_2543_DE82_EF95 &+ stream &* 0xDABA_0B6E_B093_22E3
      &+ (index + 1) &* 0x9E37_79B9_7F4A_7C15
    s = (s ^ (s >> 30)) &* 0xBF58_476D_1CE4_E5B9
    s = (s ^ (s >> 27)) &* 0x94D0_49BB_1331_11EB
    s ^= s >> 31
    return (Float(s >> 40) * 0x1p-23 - 1) * scale
  }
}
