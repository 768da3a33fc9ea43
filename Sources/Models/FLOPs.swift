import Units

extension Model {
  /// Model FLOPs of one token's forward and backward, nothing recomputed, averaged over a sequence.
  ///
  /// The rule: 6 × (active parameters without the input embedding), plus attention's two products of `heads ×
  /// (query-key + value width)` with every key, counted three times (backward is twice the forward, the
  /// scores that a fused backward computes again left out). Causal attention counts half of the keys.
  /// Multi-token prediction is left out. DeepSeek-V3 at 4,096 tokens: 250.5 GFLOP causal, 281.2 full.
  ///
  /// Source: accounting of arXiv 2505.09343, Tables 2 and 4, and of arXiv 2001.08361, section 2.1.
  public func flopsPerToken(sequence: Int, causal: Bool) -> FLOPs {
    let widths = attention.queryHeads * (attention.queryKeyDimension + attention.valueDimension)
    let keys = Double(sequence) * (causal ? 0.5 : 1)
    return FLOPs(6 * Double(parameters.active) + 6 * keys * Double(widths) * Double(layers))
  }

  /// FLOPs of one step of a GPT model by Megatron's rule: matrix products only, full attention.
  ///
  /// Without recomputation `72 B s l h² (1 + s/6h + V/12lh)`: the model FLOPs of arXiv 2205.05198 and of
  /// Megatron's H100 table. With full recomputation `96 B s l h² (1 + s/6h + V/16lh)`: the hardware FLOPs of
  /// arXiv 2104.04473, equation 3, whose tables divide by it. The logits are not recomputed, hence the two
  /// denominators.
  public func megatronFLOPsPerStep(sequences: Int, sequence: Int, fullRecompute: Bool) -> FLOPs {
    let h = Double(hidden)
    let l = Double(layers)
    let s = Double(sequence)
    let layerPasses: Double = fullRecompute ? 4 : 3
    let tokens = Double(sequences) * s
    let layerForward = 24 * tokens * l * h * h * (1 + s / (6 * h))
    return FLOPs(layerPasses * layerForward + 6 * tokens * h * Double(vocabulary))
  }
}
