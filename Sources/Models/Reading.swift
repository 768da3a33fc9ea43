import Documents

/// Reads a model from a Hugging Face `config.json`, as published.
///
/// Keys that describe neither a shape nor the arithmetic are ignored. A GPT model is described with
/// `model_type: gpt` and Megatron's names.
///
/// - Throws: A ``Diagnostic`` naming the key when the file does not exist or does not parse, the `model_type`
///   is not known, or a number is missing, ill-typed, out of range, or at odds with another.
public func readModel(at path: String) throws -> (model: Model, hash: String) {
  let document = try readDocument(at: path)
  let model = try Model(configuration: document.root, name: modelName(ofFile: path), source: path)
  return (model, document.hash)
}

/// `config.json` says nothing; the folder it lies in does.
private func modelName(ofFile path: String) -> String {
  let parts = path.split(separator: "/").map(String.init)
  guard let file = parts.last else { return path }
  if file == "config.json", parts.count > 1 { return parts[parts.count - 2] }
  return file.hasSuffix(".json") ? String(file.dropLast(5)) : file
}

/// Ranges far beyond any model that exists, so that a slip is caught and arithmetic cannot overflow.
private enum Limit {
  static let width = 1...(1 << 18)
  static let intermediate = 1...(1 << 22)
  static let layers = 1...(1 << 13)
  static let heads = 1...(1 << 13)
  static let headDimension = 1...(1 << 14)
  static let experts = 1...(1 << 14)
  static let vocabulary = 1...(1 << 26)
  static let positions = 1...(1 << 30)
  static let depth = 0...64
  /// Parameters.
  static let size = 1e15
}

extension Model {
  /// - Throws: A ``Diagnostic`` as ``readModel(at:)``.
  public init(configuration node: Node, name: String, source: String) throws {
    let family = try node.required("model_type").oneOf(Family.self)
    let hidden = try node.required("hidden_size").integer(in: Limit.width)
    let attention = try readAttention(node, family: family, hidden: hidden)
    let layers = try node.required(family == .gpt ? "num_layers" : "num_hidden_layers").integer(
      in: Limit.layers)
    let maximumSequence = try readMaximumSequence(node, family: family)
    self.init(
      name: name, source: source, family: family, hidden: hidden, layers: layers,
      vocabulary: try node.required("vocab_size").integer(in: Limit.vocabulary),
      maximumSequence: maximumSequence,
      tiedEmbeddings: try node.optional("tie_word_embeddings")?.bool() ?? (family == .gpt),
      attention: attention,
      feedForward: try readFeedForward(node, family: family, hidden: hidden),
      mixture: try readMixture(node, family: family, layers: layers),
      multiTokenPredictionDepth: family == .deepseekV3
        ? try node.optional("num_nextn_predict_layers")?.integer(in: Limit.depth) ?? 0 : 0,
      numerics: try readNumerics(node, family: family, maximumSequence: maximumSequence))
    try requireCountable(node)
  }

  /// Each number alone may be in range and their product still be absurd.
  private func requireCountable(_ node: Node) throws {
    let experts = Double(mixture.map { ($0.routedExperts + $0.sharedExperts) * $0.expertIntermediate } ?? 0)
    let heads = Double(attention.queryHeads + 2 * attention.keyValueHeads)
    let width = experts + Double(feedForward.intermediate) + heads * Double(attention.queryKeyDimension)
    let size = 3 * Double(layers + multiTokenPredictionDepth) * Double(hidden) * width
    guard size < Limit.size else {
      throw node.error(
        "the model is too large to be one", found: "about \(Int(size / 1e12)) T parameters",
        allowed: "less than 1000 T", hint: "look at layers, experts and widths together")
    }
  }
}

private func readMaximumSequence(_ node: Node, family: Family) throws -> Int {
  if family == .gpt, let positions = try node.optional("seq_length") {
    return try positions.integer(in: Limit.positions)
  }
  return try node.required("max_position_embeddings").integer(in: Limit.positions)
}

// MARK: Attention

private func readAttention(_ node: Node, family: Family, hidden: Int) throws -> AttentionShape {
  switch family {
  case .deepseekV3, .deepseekV2:
    return .latent(
      LatentAttention(
        heads: try node.required("num_attention_heads").integer(in: Limit.heads),
        queryRank: try node.optional("q_lora_rank")?.integer(in: Limit.width),
        keyValueRank: try node.required("kv_lora_rank").integer(in: Limit.width),
        contentDimension: try node.required("qk_nope_head_dim").integer(in: Limit.headDimension),
        rotaryDimension: try node.required("qk_rope_head_dim").integer(in: Limit.headDimension),
        valueDimension: try node.required("v_head_dim").integer(in: Limit.headDimension)))
  case .llama, .mixtral, .qwen2, .qwen3, .qwen3MoE, .gpt:
    return .grouped(try readGroupedAttention(node, family: family, hidden: hidden))
  }
}

private func readGroupedAttention(_ node: Node, family: Family, hidden: Int) throws -> GroupedAttention {
  let headsNode = try node.required("num_attention_heads")
  let heads = try headsNode.integer(in: Limit.heads)
  // Without the key Llama and GPT have a key and value head for each query head; the others' default is a
  // number.
  let groupsNode: Node? =
    family == .llama || family == .gpt
    ? try node.optional("num_key_value_heads") : try node.required("num_key_value_heads")
  let groups = try groupsNode?.integer(in: 1...heads) ?? heads
  if heads % groups != 0, let groupsNode {
    throw groupsNode.error(
      "key and value heads must divide the query heads", allowed: "a divisor of \(heads)")
  }
  let dimension: Int
  if let given = try node.optional("head_dim") {
    dimension = try given.integer(in: Limit.headDimension)
  } else {
    guard hidden % heads == 0 else {
      throw headsNode.error(
        "the heads must divide the hidden size", allowed: "a divisor of \(hidden)",
        hint: "or give head_dim")
    }
    dimension = hidden / heads
  }
  let bias =
    switch family {
    case .gpt, .qwen2: true
    default: try node.optional("attention_bias")?.bool() ?? false
    }
  return GroupedAttention(
    queryHeads: heads, keyValueHeads: groups, headDimension: dimension, hasProjectionBias: bias,
    hasOutputBias: bias && family != .qwen2, normalizesQueryKey: family == .qwen3 || family == .qwen3MoE)
}

// MARK: Feed-forward

private func readFeedForward(_ node: Node, family: Family, hidden: Int) throws -> FeedForward {
  guard family == .gpt else {
    return FeedForward(
      intermediate: try node.required("intermediate_size").integer(in: Limit.intermediate),
      hasBias: family == .llama ? try node.optional("mlp_bias")?.bool() ?? false : false)
  }
  let width = try node.optional("ffn_hidden_size")?.integer(in: Limit.intermediate)
  return FeedForward(intermediate: width ?? 4 * hidden, isGated: false, hasBias: true)
}

private func readMixture(_ node: Node, family: Family, layers: Int) throws -> Mixture? {
  switch family {
  case .llama, .qwen2, .qwen3, .gpt: return nil
  case .mixtral:
    let experts = try node.required("num_local_experts").integer(in: Limit.experts)
    return Mixture(
      routedExperts: experts, topK: try node.required("num_experts_per_tok").integer(in: 1...experts),
      expertIntermediate: try node.required("intermediate_size").integer(in: Limit.intermediate))
  case .qwen3MoE:
    let experts = try node.required("num_experts").integer(in: Limit.experts)
    let dense =
      try node.optional("mlp_only_layers")?.list().map { try $0.integer(in: 0...(layers - 1)) } ?? []
    return Mixture(
      routedExperts: experts, topK: try node.required("num_experts_per_tok").integer(in: 1...experts),
      expertIntermediate: try node.required("moe_intermediate_size").integer(in: Limit.intermediate),
      layerFrequency: try node.optional("decoder_sparse_step")?.integer(in: Limit.layers) ?? 1,
      layerOffset: 1,
      denseLayers: Set(dense).sorted())
  case .deepseekV3, .deepseekV2:
    // A DeepSeek model without experts is dense throughout.
    guard let expertsNode = try node.optional("n_routed_experts") else { return nil }
    return try readDeepSeekMixture(node, expertsNode: expertsNode, family: family, layers: layers)
  }
}

private func readDeepSeekMixture(
  _ node: Node, expertsNode: Node, family: Family, layers: Int
) throws -> Mixture {
  let experts = try expertsNode.integer(in: Limit.experts)
  let groupsNode = try node.optional("n_group")
  let groups = try groupsNode?.integer(in: 1...experts) ?? 1
  if experts % groups != 0, let groupsNode {
    throw groupsNode.error("groups must divide the routed experts", allowed: "a divisor of \(experts)")
  }
  let limited = try node.optional("topk_group")?.integer(in: 1...groups) ?? groups
  return Mixture(
    routedExperts: experts,
    sharedExperts: try node.optional("n_shared_experts")?.integer(in: 0...Limit.experts.upperBound) ?? 0,
    // No more can be chosen than the groups a token is limited to hold.
    topK: try node.required("num_experts_per_tok").integer(in: 1...(experts / groups * limited)),
    expertIntermediate: try node.required("moe_intermediate_size").integer(in: Limit.intermediate),
    groups: groups, limitedGroups: limited,
    scoring: try node.optional("scoring_func")?.oneOf(Mixture.Scoring.self)
      ?? (family == .deepseekV3 ? .sigmoid : .softmax),
    hasSelectionBias: try node.optional("topk_method")?.text() ?? (family == .deepseekV3 ? "noaux_tc" : "")
      == "noaux_tc",
    firstDenseLayers: try node.optional("first_k_dense_replace")?.integer(in: 0...layers) ?? 0,
    layerFrequency: try node.optional("moe_layer_freq")?.integer(in: Limit.layers) ?? 1)
}
