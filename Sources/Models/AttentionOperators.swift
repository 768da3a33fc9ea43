import Operators

extension Model {
  /// Operators of a layer's attention half on one GPU, in the order of the forward.
  ///
  /// Every kept tensor is counted once: at the operator that makes it, or at the one that reads it where the
  /// maker belongs to a recompute unit that gives its result back (the attention core). FP8 casts are there
  /// only when `precision.linear` is FP8.
  ///
  /// Source: kernels and their order after the recorded DeepSeek-V3 training step (profile-data) for latent
  /// attention; Megatron-LM for the rest.
  ///
  /// - Parameter layer: From 0; layers of multi-token prediction follow the decoder's.
  public func attentionOperators(
    layer: Int, batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions
  ) -> [Operator] {
    let builder = OperatorBuilder(
      model: self, batch: batch, slice: slice, precision: precision, options: options)
    switch attention {
    case .latent(let latent): return builder.latentAttention(latent)
    case .grouped(let grouped): return builder.groupedAttention(grouped)
    }
  }
}

extension OperatorBuilder {
  // MARK: Core

  /// Softmax attention over this GPU's heads; two operators' worth of kernels more when it is not fused.
  func attentionCore() -> [Operator] {
    options.fusedAttention ? [fusedCore()] : unfusedCore()
  }

  private func fusedCore() -> Operator {
    let heads = model.attention.queryHeads / slice.tensor
    let kernel = { (isBackward: Bool) in
      Kernel.fusedAttention(
        FusedAttention(
          sequences: Double(batch.sequences), queries: batch.sequence / slice.context, keys: batch.sequence,
          queryHeads: heads, keyValueHeads: max(1, model.attention.keyValueHeads / slice.tensor),
          queryKeyDimension: model.attention.queryKeyDimension,
          valueDimension: model.attention.valueDimension,
          isCausal: options.causal, isBackward: isBackward, format: precision.attention))
    }
    let statistics = tokens * Double(heads) * Format.float32.bytesPerElement
    // The passes before and after the backward kernel (row sums, the float32 query gradient) belong to it: measured
    // and published rates count them in.
    return Operator(
      name: "self_attn.core_attention", component: .attentionCore, forward: [kernel(false)],
      inputGradient: [kernel(true)], savedBytes: statistics, recomputeUnit: "attention_core")
  }

  /// Scores in memory: two batched products with a scale-mask-softmax pass and dropout between them.
  ///
  /// Source: arXiv 2205.05198, section 4.1: of these the softmax's output, the mask and dropout's output are
  /// kept.
  private func unfusedCore() -> [Operator] {
    let heads = model.attention.queryHeads / slice.tensor
    let queries = batch.sequence / slice.context
    let keyDimension = model.attention.queryKeyDimension
    let valueDimension = model.attention.valueDimension
    let scores = Double(batch.sequences * heads) * Double(queries) * Double(batch.sequence)
    let product = { (rows: Int, columns: Int, depth: Int) in
      Kernel.matrixProduct(
        MatrixProduct(
          rows: Double(rows), columns: columns, depth: Double(depth), count: batch.sequences * heads,
          format: precision.attention))
    }
    let half = precision.attention.bytesPerElement
    func core(_ name: String, forward: [Kernel], inputGradient: [Kernel], saved: Double = 0) -> Operator {
      Operator(
        name: "self_attn.core_attention.\(name)", component: .attentionCore, forward: forward,
        inputGradient: inputGradient, savedBytes: saved, recomputeUnit: "attention_core")
    }
    let dropout = core(
      "dropout", forward: [pass(scores, read: half, write: half + 1)],
      inputGradient: [pass(scores, read: half + 1, write: half)], saved: scores * (half + 1))
    return [
      core(
        "scores", forward: [product(queries, batch.sequence, keyDimension)],
        inputGradient: [
          product(queries, keyDimension, batch.sequence), product(batch.sequence, keyDimension, queries),
        ]),
      core(
        "softmax", forward: [pass(scores, .softmax, read: half, write: half)],
        inputGradient: [pass(scores, .softmax, read: 2 * half, write: half)], saved: scores * half),
    ] + (options.dropout ? [dropout] : []) + [
      core(
        "values", forward: [product(queries, valueDimension, batch.sequence)],
        inputGradient: [
          product(queries, batch.sequence, valueDimension), product(batch.sequence, valueDimension, queries),
        ])
    ]
  }

  // MARK: Multi-head and grouped-query attention

  func groupedAttention(_ shape: GroupedAttention) -> [Operator] {
    let tensor = slice.tensor
    let queryWidth = shape.queryHeads * shape.headDimension / tensor
    // Fewer key-value heads than GPUs: each keeps a whole one.
    let keyWidth = max(1, shape.keyValueHeads / tensor) * shape.headDimension
    let columns = queryWidth + 2 * keyWidth
    var operators = [
      norm("input_layernorm", .attentionProjection, rows: residualTokens, width: model.hidden),
      projection(
        "self_attn.qkv_proj", .attentionProjection, rows: tokens, input: model.hidden, output: columns,
        hasBias: shape.hasProjectionBias, saved: tokens * Double(columns) * element),
    ]
    if shape.normalizesQueryKey {
      operators += [("q_norm", queryWidth), ("k_norm", keyWidth)].map { name, width in
        var norm = norm(
          "self_attn.\(name)", .attentionProjection, rows: tokens * Double(width / shape.headDimension),
          width: shape.headDimension, keeps: precision.attention)
        norm.recomputeUnit = "norm"
        return norm
      }
    }
    if !model.family.learnsPositions { operators.append(rotary(columns: queryWidth + keyWidth)) }
    operators += attentionCore()
    operators.append(
      projection(
        "self_attn.o_proj", .attentionProjection, rows: tokens, input: queryWidth, output: model.hidden,
        hasBias: shape.hasOutputBias, saved: tokens * Double(queryWidth) * linear.bytesPerElement))
    operators.append(
      model.family == .gpt
        ? biasDropoutAdd("self_attn.bias_dropout_add", .attentionProjection)
        : residual("self_attn.residual_add", .attentionProjection))
    return operators
  }

  private func rotary(columns: Int) -> Operator {
    let rotation = pass(tokens * Double(columns), .rotary, read: element, write: element)
    return Operator(
      name: "self_attn.rotary", component: .attentionProjection, forward: [rotation],
      inputGradient: [rotation])
  }
}
