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

  public struct Llama3: Hashable, Sendable {
    public var factor: Double
    public var lowFrequencyFactor: Double
    public var highFrequencyFactor: Double
    public var originalLength: Int

    public init(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalLength: Int) {
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
    fatalError()
  }
}
