import Units

/// The part of a model that an operator belongs to: what precision rules, recomputation and reports speak of.
public enum Component: String, CaseIterable, Codable, Sendable {
  case embedding
  /// Norms, projections, rotary embedding.
  case attentionProjection = "attention_projection"
  /// Scores, softmax, values.
  case attentionCore = "attention_core"
  case denseFeedForward = "dense_feed_forward"
  case router
  case sharedExpert = "shared_expert"
  case routedExperts = "routed_experts"
  case multiTokenPrediction = "multi_token_prediction"
  /// Final norm, output projection, cross-entropy.
  case head
}

/// One step of a layer on one GPU: its kernels for each pass, its parameters, and what it keeps for the
/// backward.
public struct Operator: Hashable, Sendable {
  /// Path within the layer, as in checkpoints: `self_attn.q_a_proj`, `mlp.experts.gate_up_proj`.
  public var name: String
  public var component: Component
  public var forward: [Kernel]
  public var inputGradient: [Kernel]
  public var weightGradient: [Kernel]
  /// Parameters held by this GPU.
  public var parameters: Int
  /// Bytes kept from forward to the input gradient and weight gradient when nothing is recomputed.
  public var savedBytes: Double
  /// Recomputation units this operator belongs to (`norm`, `mla_up`, `swiglu`, `attention_core`): a plan that
  /// recomputes one of them keeps nothing here and runs ``forward`` again before the input gradient.
  public var recomputeUnit: String?

  public init(
    name: String, component: Component, forward: [Kernel], inputGradient: [Kernel],
    weightGradient: [Kernel] = [],
    parameters: Int = 0, savedBytes: Double = 0, recomputeUnit: String? = nil
  ) {
    self.name = name
    self.component = component
    self.forward = forward
    self.inputGradient = inputGradient
    self.weightGradient = weightGradient
    self.parameters = parameters
    self.savedBytes = savedBytes
    self.recomputeUnit = recomputeUnit
  }

  public func kernels(_ pass: Pass) -> [Kernel] {
    switch pass {
    case .forward: forward
    case .inputGradient: inputGradient
    case .weightGradient: weightGradient
    }
  }
}
