import Documents

/// Defaults are those of Hugging Face's configuration classes (transformers 5).
func readNumerics(_ node: Node, family: Family, maximumSequence: Int) throws -> Numerics {
  // Newer files gather everything about rotation in one mapping, older ones have theta beside it.
  let rope = try node.optional("rope_parameters") ?? node.optional("rope_scaling")
  let theta = try rope?.optional("rope_theta") ?? node.optional("rope_theta")
  return Numerics(
    normEpsilon: try node.optional(family == .gpt ? "layernorm_epsilon" : "rms_norm_eps")?.positive()
      ?? family.defaultEpsilon,
    ropeTheta: try theta?.positive() ?? (family == .mixtral ? 1_000_000 : 10_000),
    ropeScaling: try rope.map { try readScaling($0, maximumSequence: maximumSequence) } ?? .none,
    normalizesTopK: family == .mixtral
      ? true : try node.optional("norm_topk_prob")?.bool() ?? (family == .deepseekV3),
    routedScaling: try node.optional("routed_scaling_factor")?.positive()
      ?? (family == .deepseekV3 ? 2.5 : 1),
    balanceLoss: try node.optional("aux_loss_alpha")?.notNegative() ?? family.defaultBalanceLoss)
}

extension Family {
  fileprivate var defaultEpsilon: Double { self == .mixtral || self == .gpt ? 1e-5 : 1e-6 }

  /// Mixtral and Qwen3 balance over a batch, and only when a run asks for it; DeepSeek-V2's is its class's default.
  fileprivate var defaultBalanceLoss: Double {
    switch self {
    case .deepseekV3: TrainingDefaults.balanceLoss
    case .deepseekV2: 0.001
    case .llama, .mixtral, .qwen2, .qwen3, .qwen3MoE, .gpt: 0
    }
  }
}

private func readScaling(_ node: Node, maximumSequence: Int) throws -> RopeScaling {
  let kind = try (node.optional("rope_type") ?? node.optional("type"))?.text() ?? "default"
  func originalLength() throws -> Int {
    try node.optional("original_max_position_embeddings")?.integer(in: 1...(1 << 30)) ?? maximumSequence
  }
  switch kind {
  case "default": return .none
  case "linear": return .linear(factor: try node.required("factor").positive())
  case "yarn":
    return .yarn(
      RopeScaling.Yarn(
        factor: try node.required("factor").positive(), originalLength: try originalLength(),
        betaFast: try node.optional("beta_fast")?.positive() ?? 32,
        betaSlow: try node.optional("beta_slow")?.positive() ?? 1,
        mscale: try node.optional("mscale")?.notNegative() ?? 0,
        mscaleAllDimensions: try node.optional("mscale_all_dim")?.notNegative() ?? 0))
  case "llama3":
    let low = try node.required("low_freq_factor").positive()
    let high = try node.required("high_freq_factor")
    guard try high.positive() > low else {
      throw high.error("the high-frequency factor must be above the low one", allowed: "more than \(low)")
    }
    return .llama3(
      RopeScaling.Llama3(
        factor: try node.required("factor").positive(), lowFrequencyFactor: low,
        highFrequencyFactor: try high.positive(), originalLength: try originalLength()))
  default: return .other(kind)
  }
}

extension Node {
  fileprivate func positive() throws -> Double {
    let value = try number()
    guard value > 0 else { throw error("a positive number is needed here", allowed: "more than 0") }
    return value
  }

  fileprivate func notNegative() throws -> Double {
    let value = try number()
    guard value >= 0 else { throw error("a number below zero has no meaning here", allowed: "0 or more") }
    return value
  }
}
