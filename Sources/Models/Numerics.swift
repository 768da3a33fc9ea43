/// The numbers of a model that shape no tensor: what its kernels compute with, beside the weights.
public struct Numerics: Hashable, Sendable {
  /// Of every norm; the norms inside latent attention have an epsilon of their own.
  public var normEpsilon: Double
  public var ropeTheta: Double
  public var ropeScaling: RopeScaling
  /// Whether the weights of a token's chosen experts are divided by their sum.
  public var normalizesTopK: Bool
  /// What the weights of routed experts are multiplied with, after that.
  public var routedScaling: Double

  // MARK: Choices of the run that trains the model

  /// Factor of the sequence-wise balance loss; `alpha` in DeepSeek-V3's report.
  public var balanceLoss: Double
  /// What a step adds to or takes from an expert's selection bias; `gamma`.
  public var biasUpdateSpeed: Double
  /// Factor of the mean loss of the prediction modules; `lambda`.
  public var predictionWeight: Double

  public init(
    normEpsilon: Double = 1e-6, ropeTheta: Double = 10_000, ropeScaling: RopeScaling = .none,
    normalizesTopK: Bool = true, routedScaling: Double = 1,
    balanceLoss: Double = TrainingDefaults.balanceLoss,
    biasUpdateSpeed: Double = TrainingDefaults.biasUpdateSpeed,
    predictionWeight: Double = TrainingDefaults.predictionWeight
  ) {
    self.normEpsilon = normEpsilon
    self.ropeTheta = ropeTheta
    self.ropeScaling = ropeScaling
    self.normalizesTopK = normalizesTopK
    self.routedScaling = routedScaling
    self.balanceLoss = balanceLoss
    self.biasUpdateSpeed = biasUpdateSpeed
    self.predictionWeight = predictionWeight
  }
}

/// What a run takes where the configuration leaves its own choices open.
///
/// Source: DeepSeek-V3, arXiv 2412.19437, section 4.2: `alpha` 0.0001; `gamma` 0.001 for the first 14.3 T tokens;
/// `lambda` 0.3 for the first 10 T tokens.
public enum TrainingDefaults {
  public static let balanceLoss = 0.0001
  public static let biasUpdateSpeed = 0.001
  public static let predictionWeight = 0.3
}

/// How rotary frequencies are stretched beyond the context of the pre-training.
public enum RopeScaling: Hashable, Sendable {
  case none
  case linear(factor: Double)
  case yarn(Yarn)
  case llama3(Llama3)
  /// A kind that is read but not executed, by its name.
  case other(String)

  /// Source: arXiv 2309.00071; keys as in Hugging Face's `rope_scaling`.
  public struct Yarn: Hashable, Sendable {
    public var factor: Double
    public var originalLength: Int
    public var betaFast: Double
    public var betaSlow: Double
    /// Zero where absent.
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

  /// Source: keys as in Hugging Face's `rope_scaling` of Llama 3.1.
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
}
