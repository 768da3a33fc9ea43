/// A decoder-only transformer: one description for every family that is read.
public struct Model: Hashable, Sendable {
  public var name: String
  /// Where the configuration was published, or the file it was read from.
  public var source: String
  public var family: Family
  /// Width of the residual stream.
  public var hidden: Int
  /// Decoder layers, multi-token-prediction layers not counted.
  public var layers: Int
  public var vocabulary: Int
  /// Positions the model was made for; the number of learned positions where ``Family/learnsPositions``.
  public var maximumSequence: Int
  /// Whether the output projection is the input embedding.
  public var tiedEmbeddings: Bool
  public var attention: AttentionShape
  /// The feed-forward half of the layers without a mixture.
  public var feedForward: FeedForward
  /// Nil where every layer is dense.
  public var mixture: Mixture?
  /// Extra modules that each predict one token further ahead; each has a layer of its own.
  public var multiTokenPredictionDepth: Int
  /// What the kernels compute with; times do not depend on it.
  public var numerics: Numerics

  public init(
    name: String, source: String, family: Family, hidden: Int, layers: Int, vocabulary: Int,
    maximumSequence: Int,
    tiedEmbeddings: Bool, attention: AttentionShape, feedForward: FeedForward, mixture: Mixture? = nil,
    multiTokenPredictionDepth: Int = 0, numerics: Numerics = Numerics()
  ) {
    self.name = name
    self.source = source
    self.family = family
    self.hidden = hidden
    self.layers = layers
    self.vocabulary = vocabulary
    self.maximumSequence = maximumSequence
    self.tiedEmbeddings = tiedEmbeddings
    self.attention = attention
    self.feedForward = feedForward
    self.mixture = mixture
    self.multiTokenPredictionDepth = multiTokenPredictionDepth
    self.numerics = numerics
  }

  /// Whether a layer's feed-forward half is a mixture of experts.
  ///
  /// - Parameter index: From 0; the layers of multi-token prediction follow the decoder's.
  public func isMixtureLayer(_ index: Int) -> Bool {
    mixture?.isMixture(layer: index) ?? false
  }

  public var mixtureLayers: Int { (0..<layers).count(where: isMixtureLayer) }
}

/// A model family, by the `model_type` of its `config.json`.
public enum Family: String, CaseIterable, Codable, Sendable {
  case deepseekV3 = "deepseek_v3"
  case deepseekV2 = "deepseek_v2"
  case llama
  case mixtral
  case qwen2
  case qwen3
  case qwen3MoE = "qwen3_moe"
  /// Dense GPT as Megatron trains it: LayerNorm, biases, GELU, learned positions.
  case gpt

  public var learnsPositions: Bool { self == .gpt }

  /// Elements of one norm's parameters for each channel: scale, and shift for LayerNorm.
  var normParameters: Int { self == .gpt ? 2 : 1 }
}

/// How a layer attends.
public enum AttentionShape: Hashable, Sendable {
  /// Multi-head latent attention.
  case latent(LatentAttention)
  /// Multi-head, grouped-query and multi-query attention.
  case grouped(GroupedAttention)

  public var queryHeads: Int {
    switch self {
    case .latent(let latent): latent.heads
    case .grouped(let grouped): grouped.queryHeads
    }
  }

  /// Heads of the keys and values that the core sees; latent attention expands them to every head when
  /// training.
  public var keyValueHeads: Int {
    switch self {
    case .latent(let latent): latent.heads
    case .grouped(let grouped): grouped.keyValueHeads
    }
  }

  public var queryKeyDimension: Int {
    switch self {
    case .latent(let latent): latent.queryKeyDimension
    case .grouped(let grouped): grouped.headDimension
    }
  }

  public var valueDimension: Int {
    switch self {
    case .latent(let latent): latent.valueDimension
    case .grouped(let grouped): grouped.headDimension
    }
  }
}

/// Multi-head latent attention: queries and keys/values pass through a low rank.
///
/// Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.
public struct LatentAttention: Hashable, Sendable {
  public var heads: Int
  /// Nil where the queries are projected in one step (V2-Lite).
  public var queryRank: Int?
  public var keyValueRank: Int
  /// Width of a head's query and key without position.
  public var contentDimension: Int
  /// Width of a head's rotated part; the rotated key is shared by all heads.
  public var rotaryDimension: Int
  public var valueDimension: Int

  public init(
    heads: Int, queryRank: Int?, keyValueRank: Int, contentDimension: Int, rotaryDimension: Int,
    valueDimension: Int
  ) {
    self.heads = heads
    self.queryRank = queryRank
    self.keyValueRank = keyValueRank
    self.contentDimension = contentDimension
    self.rotaryDimension = rotaryDimension
    self.valueDimension = valueDimension
  }

  public var queryKeyDimension: Int { contentDimension + rotaryDimension }
}

/// Attention whose query heads share key and value heads in groups.
public struct GroupedAttention: Hashable, Sendable {
  public var queryHeads: Int
  public var keyValueHeads: Int
  public var headDimension: Int
  public var hasProjectionBias: Bool
  public var hasOutputBias: Bool
  /// Norms on each head's query and key (Qwen3).
  public var normalizesQueryKey: Bool

  public init(
    queryHeads: Int, keyValueHeads: Int, headDimension: Int, hasProjectionBias: Bool = false,
    hasOutputBias: Bool = false, normalizesQueryKey: Bool = false
  ) {
    self.queryHeads = queryHeads
    self.keyValueHeads = keyValueHeads
    self.headDimension = headDimension
    self.hasProjectionBias = hasProjectionBias
    self.hasOutputBias = hasOutputBias
    self.normalizesQueryKey = normalizesQueryKey
  }

  /// Columns of the fused query, key and value projection.
  public var projectionColumns: Int { (queryHeads + 2 * keyValueHeads) * headDimension }
}

/// A dense feed-forward network.
public struct FeedForward: Hashable, Sendable {
  public var intermediate: Int
  /// Three matrices (SwiGLU) instead of two (GELU).
  public var isGated: Bool
  public var hasBias: Bool

  public init(intermediate: Int, isGated: Bool = true, hasBias: Bool = false) {
    self.intermediate = intermediate
    self.isGated = isGated
    self.hasBias = hasBias
  }
}

/// A mixture of experts in place of the dense feed-forward network.
public struct Mixture: Hashable, Sendable {
  /// What turns a router's logits into scores.
  public enum Scoring: String, CaseIterable, Codable, Sendable { case softmax, sigmoid }

  public var routedExperts: Int
  /// Experts that every token passes through, computed as one of their summed width.
  public var sharedExperts: Int
  /// Routed experts each token chooses.
  public var topK: Int
  public var expertIntermediate: Int
  /// Groups of routed experts, and how many of them one token may choose from; 1 of 1 where routing is not
  /// limited.
  public var groups: Int
  public var limitedGroups: Int
  public var scoring: Scoring
  /// A correction for each expert, added to scores only to choose (loss-free balancing).
  public var hasSelectionBias: Bool
  /// Leading layers without a mixture.
  public var firstDenseLayers: Int
  /// One layer in so many has a mixture: layer `i` where `(i + layerOffset)` is divisible by it.
  public var layerFrequency: Int
  public var layerOffset: Int
  /// Further layers without a mixture, ascending.
  public var denseLayers: [Int]

  public init(
    routedExperts: Int, sharedExperts: Int = 0, topK: Int, expertIntermediate: Int, groups: Int = 1,
    limitedGroups: Int = 1, scoring: Scoring = .softmax, hasSelectionBias: Bool = false,
    firstDenseLayers: Int = 0,
    layerFrequency: Int = 1, layerOffset: Int = 0, denseLayers: [Int] = []
  ) {
    self.routedExperts = routedExperts
    self.sharedExperts = sharedExperts
    self.topK = topK
    self.expertIntermediate = expertIntermediate
    self.groups = groups
    self.limitedGroups = limitedGroups
    self.scoring = scoring
    self.hasSelectionBias = hasSelectionBias
    self.firstDenseLayers = firstDenseLayers
    self.layerFrequency = layerFrequency
    self.layerOffset = layerOffset
    self.denseLayers = denseLayers
  }

  func isMixture(layer: Int) -> Bool {
    layer >= firstDenseLayers && (layer + layerOffset) % layerFrequency == 0 && !denseLayers.contains(layer)
  }

  /// Width of all shared experts together.
  public var sharedIntermediate: Int { sharedExperts * expertIntermediate }

  /// How many of `ranks` one token is sent to on average, when every choice of groups and then of experts
  /// within them is equally likely; without groups `R (1 - C(E - E/R, K) / C(E, K))`.
  ///
  /// A token whose experts share a rank travels there once. Experts are divided evenly among the ranks, in
  /// order, so that groups and ranks nest.
  /// - Complexity: O(topK × groups of a rank).
  public func distinctRanks(of ranks: Int) -> Double {
    let pool = Double(routedExperts * limitedGroups) / Double(groups)
    let groupsOfRank = max(1, groups / ranks)
    let expertsOfGroup = min(Double(routedExperts) / Double(ranks), Double(routedExperts) / Double(groups))
    var missed = 0.0
    for open in max(0, limitedGroups + groupsOfRank - groups)...min(groupsOfRank, limitedGroups) {
      let others = combinations(groups - groupsOfRank, limitedGroups - open)
      let chance = combinations(groupsOfRank, open) * others / combinations(groups, limitedGroups)
      missed += chance * missing(Double(open) * expertsOfGroup, of: pool)
    }
    return Double(ranks) * (1 - missed)
  }

  /// The chance that none of a token's choices from `pool` experts falls on `local` of them.
  private func missing(_ local: Double, of pool: Double) -> Double {
    (0..<topK).reduce(1.0) { $0 * max(0, pool - Double($1) - local) / (pool - Double($1)) }
  }
}

/// Ways to choose `k` of `n`.
private func combinations(_ n: Int, _ k: Int) -> Double {
  guard k >= 0, k <= n else { return 0 }
  return (0..<k).reduce(1.0) { $0 * Double(n - $1) / Double($1 + 1) }
}
