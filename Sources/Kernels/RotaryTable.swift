import CKernels
import Foundation

/// The angles of rotary position embedding, as cosines and sines of every position.
///
/// Source: RoFormer, arXiv 2104.09864; YaRN, arXiv 2309.00071; Llama 3's scaling as in Hugging Face's
/// `modeling_rope_utils`.
public struct RotaryTable: Hashable, Sendable {
  /// Which elements of a head turn together.
  public enum Pairing: Hashable, Sendable {
    /// `(0, 1), (2, 3), ...` (DeepSeek).
    case interleaved
    /// `(0, d/2), (1, d/2 + 1), ...` (Llama, Mixtral, Qwen).
    case halves
  }

  /// How frequencies are stretched for contexts beyond those of the pre-training.
  public enum Scaling: Hashable, Sendable {
    case none
    /// Every frequency divided by a factor.
    case linear(factor: Double)
    case yarn(Yarn)
    case llama3(Llama3)
  }

  /// Frequencies stretched by how often a pair turns within the original context.
  public struct Yarn: Hashable, Sendable {
    public var factor: Double
    public var originalLength: Int
    public var betaFast: Double
    public var betaSlow: Double
    /// Zero stands for absent, as in the published code.
    public var mscale: Double
    public var mscaleAllDimensions: Double

    public init(
      factor: Double, originalLength: Int, betaFast: Double = 32, betaSlow: Double = 1, mscale: Double = 0,
      mscaleAllDimensions: Double = 0
    ) {
      self.factor = factor
      self.originalLength = originalLength
      self.betaFast = betaFast
      self.betaSlow = betaSlow
      self.mscale = mscale
      self.mscaleAllDimensions = mscaleAllDimensions
    }
  }

  /// Frequencies stretched by their wavelength against the original context.
  public struct Llama3: Hashable, Sendable {
    public var factor: Double
    public var lowFrequencyFactor: Double
    public var highFrequencyFactor: Double
    public var originalLength: Int

    public init(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalLength: Int)
    {
      self.factor = factor
      self.lowFrequencyFactor = lowFrequencyFactor
      self.highFrequencyFactor = highFrequencyFactor
      self.originalLength = originalLength
    }
  }

  /// Elements of a head that are rotated; even.
  public let dimension: Int
  /// Positions.
  public let length: Int
  public let pairing: Pairing
  /// `[length, dimension / 2]`, YaRN's attention factor included.
  public let cosines: [Float]
  public let sines: [Float]
  /// What latent attention multiplies its softmax scale with: the square of YaRN's `mscale_all_dim` factor.
  public let softmaxFactor: Double

  public init(dimension: Int, length: Int, theta: Double, pairing: Pairing, scaling: Scaling = .none) {
    precondition(dimension % 2 == 0, "\(dimension) rotated elements make no pairs")
    self.dimension = dimension
    self.length = length
    self.pairing = pairing
    let (frequencies, attention) = scaling.frequencies(dimension: dimension, theta: theta)
    var cosines: [Float] = []
    var sines: [Float] = []
    cosines.reserveCapacity(length * dimension / 2)
    sines.reserveCapacity(length * dimension / 2)
    for position in 0..<length {
      for frequency in frequencies {
        cosines.append(Float(cos(Double(position) * frequency) * attention))
        sines.append(Float(sin(Double(position) * frequency) * attention))
      }
    }
    self.cosines = cosines
    self.sines = sines
    softmaxFactor = scaling.softmaxFactor
  }
}

extension RotaryTable {
  /// Turns the heads of rows in place; `backwards` gives the gradient's map.
  ///
  /// - Parameters:
  ///   - pitch: Elements from one token to the next; `headPitch` from one head to the next.
  ///   - sequenceLength: Tokens of a sequence; the first token is at position 0.
  func rotate(
    _ x: UnsafeMutablePointer<Float>, pitch: Int, tokens: Int, heads: Int, headPitch: Int,
    sequenceLength: Int, backwards: Bool = false
  ) {
    cosines.withUnsafeBufferPointer { cosines in
      sines.withUnsafeBufferPointer { sines in
        ck_rotate(
          x, pitch, tokens, heads, headPitch, sequenceLength, cosines.baseAddress, sines.baseAddress,
          dimension / 2, pairing == .interleaved ? 1 : 0, backwards ? 1 : 0)
      }
    }
  }
}

extension RotaryTable.Scaling {
  /// The frequency of each pair, and the factor of all cosines and sines.
  func frequencies(dimension: Int, theta: Double) -> (frequencies: [Double], attention: Double) {
    let plain = (0..<dimension / 2).map { 1 / pow(theta, Double(2 * $0) / Double(dimension)) }
    switch self {
    case .none: return (plain, 1)
    case .linear(let factor): return (plain.map { $0 / factor }, 1)
    case .llama3(let llama): return (plain.map(llama.scaled), 1)
    case .yarn(let yarn):
      return (yarn.scaled(plain, dimension: dimension, theta: theta), yarn.attentionFactor)
    }
  }

  var softmaxFactor: Double {
    guard case .yarn(let yarn) = self, yarn.mscaleAllDimensions != 0 else { return 1 }
    let factor = RotaryTable.Yarn.magnitude(yarn.factor, yarn.mscaleAllDimensions)
    return factor * factor
  }
}

extension RotaryTable.Yarn {
  static func magnitude(_ factor: Double, _ mscale: Double) -> Double {
    factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1
  }

  var attentionFactor: Double {
    guard mscale != 0, mscaleAllDimensions != 0 else {
      return Self.magnitude(factor, mscale == 0 ? 1 : mscale)
    }
    return Self.magnitude(factor, mscale) / Self.magnitude(factor, mscaleAllDimensions)
  }

  /// Fast pairs keep their frequency, slow ones are stretched by the whole factor, a ramp lies between.
  func scaled(_ frequencies: [Double], dimension: Int, theta: Double) -> [Double] {
    func pair(turning rotations: Double) -> Double {
      Double(dimension) * log(Double(originalLength) / (rotations * 2 * .pi)) / (2 * log(theta))
    }
    let low = max(pair(turning: betaFast).rounded(.down), 0)
    var high = min(pair(turning: betaSlow).rounded(.up), Double(dimension - 1))
    if low == high { high += 0.001 }
    return frequencies.enumerated().map { index, frequency in
      let ramp = min(max((Double(index) - low) / (high - low), 0), 1)
      return frequency / factor * ramp + frequency * (1 - ramp)
    }
  }
}

extension RotaryTable.Llama3 {
  func scaled(_ frequency: Double) -> Double {
    let wavelength = 2 * Double.pi / frequency
    let turns = Double(originalLength) / wavelength
    if turns < lowFrequencyFactor { return frequency / factor }
    if turns > highFrequencyFactor { return frequency }
    let smooth = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
    return (1 - smooth) * frequency / factor + smooth * frequency
  }
}
