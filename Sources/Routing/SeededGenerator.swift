/// SplitMix64: small, fast, and the same everywhere, so that a seed names one stream of numbers for good.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// - Parameter stream: Names a sub-stream, so that drawing more of one thing leaves another unchanged.
  public init(seed: UInt64, stream: String) {
    // FNV-1a over the name.
    let hash = stream.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    state = seed ^ hash
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Uniform in (0, 1).
  public mutating func nextUnit() -> Double { (Double(next() >> 11) + 0.5) * 0x1p-53 }
}
