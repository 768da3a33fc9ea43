extension Model {
  /// Parameters of the model by module, as a checkpoint stores them.
  ///
  /// The router's selection bias counts. A module of multi-token prediction counts its layer, its two norms
  /// and projection, its last norm, and its own copies of embedding and head: the published checkpoint has
  /// both.
  ///
  /// - Complexity: O(layers).
  public var parameters: ParameterCount {
    let mixtures = mixtureLayers
    let dense = layers - mixtures
    let attention = layers * attentionParameters
    let norms =
      layers * 2 * hidden * family.normParameters + layers * attentionNorms + hidden * family.normParameters
    let positions = family.learnsPositions ? maximumSequence * hidden : 0
    let matrix = vocabulary * hidden
    let feedForward = dense * denseParameters
    let router = mixtures * (mixture?.routerParameters(hidden: hidden) ?? 0)
    let shared = mixtures * (mixture.map { 3 * hidden * $0.sharedIntermediate } ?? 0)
    let expert = mixtures * (mixture.map { 3 * hidden * $0.expertIntermediate } ?? 0)
    let prediction = multiTokenPredictionParameters
    let rows: [(ParameterCount.Module, Int, Int)] = [
      (.embedding, matrix + positions, 0),
      (.attention, attention, attention),
      (.norms, norms, norms),
      (.router, router, router),
      (.head, tiedEmbeddings ? 0 : matrix, matrix),
      (.denseFeedForward, feedForward, feedForward),
      (.sharedExperts, shared, shared),
      (.routedExperts, expert * (mixture?.routedExperts ?? 0), expert * (mixture?.topK ?? 0)),
      (
        .multiTokenPrediction, multiTokenPredictionDepth * prediction.total,
        multiTokenPredictionDepth * prediction.active
      ),
    ]
    return ParameterCount(rows: rows.map { .init(module: $0.0, total: $0.1, active: $0.2) })
  }
}

extension Model {
  /// One layer's projections, biases included, norms not.
  private var attentionParameters: Int {
    switch attention {
    case .latent(let latent): latent.parameters(hidden: hidden)
    case .grouped(let grouped): grouped.parameters(hidden: hidden)
    }
  }

  /// One layer's norms within attention: of the ranks, or of each head's query and key.
  private var attentionNorms: Int {
    switch attention {
    case .latent(let latent): latent.keyValueRank + (latent.queryRank ?? 0)
    case .grouped(let grouped): grouped.normalizesQueryKey ? 2 * grouped.headDimension : 0
    }
  }

  private var denseParameters: Int {
    let width = feedForward.intermediate
    let biases = feedForward.hasBias ? (feedForward.isGated ? 2 : 1) * width + hidden : 0
    return (feedForward.isGated ? 3 : 2) * hidden * width + biases
  }

  /// One module's parameters, and those that one token meets; the embedding's copy is not met, the head's is.
  private var multiTokenPredictionParameters: (total: Int, active: Int) {
    let join = 2 * hidden * hidden + 3 * hidden
    let halves = attentionParameters + attentionNorms + 2 * hidden
    let matrix = vocabulary * hidden
    guard let mixture, isMixtureLayer(layers) else {
      return (join + halves + denseParameters + 2 * matrix, join + halves + denseParameters + matrix)
    }
    let one = 3 * hidden * mixture.expertIntermediate
    let every = mixture.routerParameters(hidden: hidden) + mixture.sharedExperts * one
    return (
      join + halves + every + mixture.routedExperts * one + 2 * matrix,
      join + halves + every + mixture.topK * one + matrix
    )
  }
}

extension LatentAttention {
  fileprivate func parameters(hidden: Int) -> Int {
    let queries = heads * queryKeyDimension
    let query = queryRank.map { hidden * $0 + $0 * queries } ?? hidden * queries
    let compressed = hidden * (keyValueRank + rotaryDimension)
    let expanded = keyValueRank * heads * (contentDimension + valueDimension)
    return query + compressed + expanded + heads * valueDimension * hidden
  }
}

extension GroupedAttention {
  fileprivate func parameters(hidden: Int) -> Int {
    (hidden + (hasProjectionBias ? 1 : 0)) * projectionColumns
      + queryHeads * headDimension * hidden + (hasOutputBias ? hidden : 0)
  }
}

extension Mixture {
  fileprivate func routerParameters(hidden: Int) -> Int {
    routedExperts * (hidden + (hasSelectionBias ? 1 : 0))
  }
}
