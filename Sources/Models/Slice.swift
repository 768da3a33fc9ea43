import Operators

/// How one GPU's share of a layer is cut.
///
/// Attention, dense layers, embedding and head are cut by ``tensor`` and ``context``; routed experts by
/// ``expert`` and ``expertTensor``. Every degree divides what it cuts: a plan's validation proves it.
public struct Slice: Hashable, Sendable {
  /// Tensor-parallel degree of everything but the routed experts; shared experts included.
  public var tensor: Int
  /// Whether norms, residuals and dropout are cut along the sequence by ``tensor``.
  public var sequenceParallel: Bool
  /// A GPU has `1 / context` of the queries of each sequence, and all keys; causal work is balanced.
  public var context: Int
  /// A GPU has `1 / expert` of the routed experts.
  public var expert: Int
  /// Each routed expert is cut in so many.
  public var expertTensor: Int
  /// Rows (token and chosen expert) that arrive at this GPU's experts in one micro-batch; nil when balanced.
  public var expertRows: Double?

  public init(
    tensor: Int = 1, sequenceParallel: Bool = false, context: Int = 1, expert: Int = 1, expertTensor: Int = 1,
    expertRows: Double? = nil
  ) {
    self.tensor = tensor
    self.sequenceParallel = sequenceParallel
    self.context = context
    self.expert = expert
    self.expertTensor = expertTensor
    self.expertRows = expertRows
  }

  /// The whole layer on one GPU.
  public static let whole = Slice()
}

/// One micro-batch.
public struct Batch: Hashable, Sendable {
  public var sequences: Int
  /// Tokens of each sequence.
  public var sequence: Int

  public init(sequences: Int, sequence: Int) {
    self.sequences = sequences
    self.sequence = sequence
  }

  public var tokens: Int { sequences * sequence }
}

/// Formats of the operator classes.
public struct Precision: Hashable, Sendable {
  /// Projections of attention; dense, shared and routed experts.
  public var linear: Format
  /// Scores, softmax, values.
  public var attention: Format
  public var head: Format
  public var router: Format
  /// The residual stream and whatever passes between kernels.
  public var residual: Format

  public init(
    linear: Format, attention: Format, head: Format, router: Format, residual: Format = .bfloat16
  ) {
    self.residual = residual
    self.linear = linear
    self.attention = attention
    self.head = head
    self.router = router
  }

  public static let bfloat16 = Precision(
    linear: .bfloat16, attention: .bfloat16, head: .bfloat16, router: .bfloat16)

  /// Linear layers in FP8 with tile scales, all else in bfloat16.
  ///
  /// Source: DeepSeek-V3, arXiv 2412.19437, section 3.3.1.
  public static let float8 = Precision(
    linear: .float8, attention: .bfloat16, head: .bfloat16, router: .bfloat16)
}

/// How the implementation runs what the model leaves open.
public struct OperatorOptions: Hashable, Sendable {
  /// False: scores are written to memory and softmax is a pass of its own, as before FlashAttention.
  public var fusedAttention: Bool
  /// Each token attends to its past. Unfused attention computes all scores nonetheless and masks them.
  public var causal: Bool
  /// Dropout of attention probabilities and of both halves' outputs.
  public var dropout: Bool
  /// False: the logits are converted to float32, and softmax and loss are passes over them that keep them.
  public var fusedCrossEntropy: Bool
  /// False: routed experts multiply by their gate and their up projection one after the other, as CPU ranks do.
  public var fusedExpertGate: Bool

  public init(
    fusedAttention: Bool = true, causal: Bool = true, dropout: Bool = false, fusedCrossEntropy: Bool = true,
    fusedExpertGate: Bool = true
  ) {
    self.fusedExpertGate = fusedExpertGate
    self.fusedAttention = fusedAttention
    self.causal = causal
    self.dropout = dropout
    self.fusedCrossEntropy = fusedCrossEntropy
  }
}
