import Foundation

/// Numbers that depend on a seed, a tensor's name and an element's index alone, so that every plan starts from the same
/// model and no rank needs another to know its part.
struct NamedNumbers {
  private let start: UInt64

  init(seed: UInt64, name: String) {
    // FNV-1a over the name.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    start = seed &* 0xd134_2543_de82_ef95 &+ hash &* 0xdaba_0b6e_b093_22e3
  }

  /// 64 bits by index (splitmix64 as a function of its counter).
  private func bits(_ index: Int) -> UInt64 {
    var state = start &+ (UInt64(bitPattern: Int64(index)) &+ 1) &* 0x9e37_79b9_7f4a_7c15
    state = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
    state = (state ^ (state >> 27)) &* 0x94d0_49bb_1331_11eb
    return state ^ (state >> 31)
  }

  /// A draw from the normal distribution of mean 0 and deviation 1 (Box and Muller).
  func normal(_ index: Int) -> Double {
    let first = (Double(bits(2 * index) >> 11) + 1) * 0x1p-53
    let second = Double(bits(2 * index + 1) >> 11) * 0x1p-53
    return (-2 * log(first)).squareRoot() * cos(2 * .pi * second)
  }
}

extension TensorPlace {
  /// Fills the tensor as Hugging Face initialises it: norms with 1, biases with 0, matrices normally.
  ///
  /// - Parameter deviation: `initializer_range` of the model; 0.02 in DeepSeek-V3's code.
  func initialise(_ values: UnsafeMutablePointer<Float>, seed: UInt64, deviation: Double = 0.02) {
    let tensor = values + offset
    if name.hasSuffix("bias") {
      tensor.update(repeating: 0, count: count)
    } else if shape.count == 1 {
      tensor.update(repeating: 1, count: count)
    } else {
      let numbers = NamedNumbers(seed: seed, name: name)
      for index in 0..<count { tensor[index] = Float(deviation * numbers.normal(index)) }
    }
  }
}
