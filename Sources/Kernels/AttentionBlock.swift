/// The kind and widths of an attention block.
public enum AttentionConfiguration: Hashable, Sendable {
  /// Multi-head latent attention; without a query rank the queries are projected in one step.
  case latent(
    heads: Int, queryRank: Int?, keyValueRank: Int, contentDimension: Int, rotaryDimension: Int,
    valueDimension: Int)
  /// Grouped-query attention; `normalizesQueryKey` norms each head's query and key before rotation (Qwen3).
  case grouped(
    queryHeads: Int, keyValueHeads: Int, headDimension: Int, hasProjectionBias: Bool, hasOutputBias: Bool,
    normalizesQueryKey: Bool)
}

/// The attention half of a layer: `y = x + attention(norm(x))`, causal within each sequence.
public struct AttentionBlock: LayerBlock {
  /// Boxed once: calls go through it without an allocation.
  private let block: any LayerBlock & Sendable

  public var parameters: ParameterLayout { block.parameters }
  public var savedCount: Int { block.savedCount }
  public var scratchCount: Int { block.scratchCount }

  /// - Parameters:
  ///   - sequences: Sequences of a micro-batch on this rank, each of `length` tokens.
  ///   - epsilon: Of the input norm and of query and key norms; the norms inside latent attention always have 1e-6.
  ///   - rotary: For at least `length` positions of the rotated width.
  public init(
    _ configuration: AttentionConfiguration, hidden: Int, sequences: Int, length: Int, epsilon: Float,
    rotary: RotaryTable
  ) {
    precondition(rotary.length >= length, "positions for \(rotary.length) of \(length) tokens")
    switch configuration {
    case .latent(let heads, let queryRank, let rank, let content, let rotaryDimension, let value):
      precondition(
        rotary.dimension == rotaryDimension, "a table of \(rotary.dimension) for \(rotaryDimension)")
      block = LatentAttention(
        heads: heads, queryRank: queryRank, keyValueRank: rank, content: content, valueWidth: value,
        hidden: hidden, sequences: sequences, length: length, epsilon: epsilon, rotary: rotary)
    case .grouped(
      let queryHeads, let keyValueHeads, let width, let projectionBias, let outputBias, let normalizes):
      precondition(rotary.dimension == width, "a table of \(rotary.dimension) for heads of \(width)")
      block = GroupedAttention(
        queryHeads: queryHeads, keyValueHeads: keyValueHeads, headWidth: width,
        hasProjectionBias: projectionBias, hasOutputBias: outputBias, normalizes: normalizes, hidden: hidden,
        sequences: sequences, length: length, epsilon: epsilon, rotary: rotary)
    }
  }

  public func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    block.forward(input: input, parameters: parameters, saved: saved, scratch: scratch, output: output)
  }

  public func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>
  ) {
    block.inputGradient(
      outputGradient: outputGradient, parameters: parameters, saved: saved, scratch: scratch,
      inputGradient: inputGradient)
  }

  public func weightGradient(
    parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>
  ) {
    block.weightGradient(parameters: parameters, saved: saved, scratch: scratch, gradients: gradients)
  }
}
