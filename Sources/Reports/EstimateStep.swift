import Units

extension Estimate {
  /// One training step: its length and where the time goes.
  public struct Step: Hashable, Sendable {
    public var length: Span
    public var tokens: Int
    /// Mean over ranks.
    public var parts: Parts
    /// One pipeline rank each, mean over the GPUs of that rank.
    public var ranks: [Parts]
    /// Communication that no computation hides, mean over ranks.
    public var exposedCommunication: [Contribution]
    /// The chain of tasks that sets the step's length, summed by kind; shares are of ``length``.
    public var criticalPath: [Contribution]

    public init(
      length: Span, tokens: Int, parts: Parts, ranks: [Parts], exposedCommunication: [Contribution],
      criticalPath: [Contribution]
    ) {
      self.length = length
      self.tokens = tokens
      self.parts = parts
      self.ranks = ranks
      self.exposedCommunication = exposedCommunication
      self.criticalPath = criticalPath
    }
  }

  /// A step's time cut into the parts that the ISCA'25 paper reports.
  ///
  /// Source: Insights into DeepSeek-V3 (arXiv 2505.09343), Table 4.
  public struct Parts: Hashable, Sendable {
    /// Forward chunks that run alone (1F).
    public var forward: Span
    /// Input gradients that run alone (1B).
    public var backwardInput: Span
    /// Weight gradients that run alone (1W).
    public var backwardWeight: Span
    /// A forward chunk and a backward chunk woven together (1F1B).
    public var overlapped: Span
    public var bubble: Span
    public var optimizer: Span

    public init(
      forward: Span, backwardInput: Span, backwardWeight: Span, overlapped: Span, bubble: Span,
      optimizer: Span
    ) {
      self.forward = forward
      self.backwardInput = backwardInput
      self.backwardWeight = backwardWeight
      self.overlapped = overlapped
      self.bubble = bubble
      self.optimizer = optimizer
    }

    public var sum: Span { forward + backwardInput + backwardWeight + overlapped + bubble + optimizer }
  }

  /// What one kind of work adds to a sum of times.
  public struct Contribution: Hashable, Sendable {
    /// `dispatch`, `combine`, `pipeline transfer`, `forward`, …
    public var kind: String
    public var time: Span

    public init(kind: String, time: Span) {
      self.kind = kind
      self.time = time
    }
  }

  /// Rates of the whole cluster and of one GPU.
  public struct Throughput: Hashable, Sendable {
    public var tokensPerSecond: Double
    public var tokensPerSecondPerGPU: Double
    public var tokensPerDay: Double
    public var perGPUCausal: FLOPsPerSecond
    public var perGPUFull: FLOPsPerSecond
    /// Model FLOPs utilisation, attention counted causally.
    public var utilisationCausal: Ratio
    public var utilisationFull: Ratio
    /// The rule that counts the FLOPs: `model FLOPs, no recompute, no MTP`.
    public var numerator: String
    /// The peak they are divided by: `BF16 dense peak 989.4 TFLOPS`.
    public var denominator: String

    public init(
      tokensPerSecond: Double, tokensPerSecondPerGPU: Double, tokensPerDay: Double,
      perGPUCausal: FLOPsPerSecond,
      perGPUFull: FLOPsPerSecond, utilisationCausal: Ratio, utilisationFull: Ratio, numerator: String,
      denominator: String
    ) {
      self.tokensPerSecond = tokensPerSecond
      self.tokensPerSecondPerGPU = tokensPerSecondPerGPU
      self.tokensPerDay = tokensPerDay
      self.perGPUCausal = perGPUCausal
      self.perGPUFull = perGPUFull
      self.utilisationCausal = utilisationCausal
      self.utilisationFull = utilisationFull
      self.numerator = numerator
      self.denominator = denominator
    }
  }
}
