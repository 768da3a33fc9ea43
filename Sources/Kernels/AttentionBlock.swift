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
  public let parameters: ParameterLayout
  public let savedCount: Int
  public let scratchCount: Int

  /// - Parameters:
  ///   - sequences: Sequences of a micro-batch on this rank, each of `length` tokens.
  ///   - epsilon: Of the input norm and of query and key norms; the norms inside latent attention always have 1e-6.
  ///   - rotary: For at least `length` positions of the rotated width.
  public init(
    _ configuration: AttentionConfiguration, hidden: Int, sequences: Int, length: Int, epsilon: Float,
    rotary: RotaryTable
  ) {
    fatalError()
  }

  public func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }

  public func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, inputGradient: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }

  public func weightGradient(
    parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    gradients: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }
}
