/// What leads into a multi-token-prediction layer: `z = eh_proj [enorm(embedded); hnorm(normed)]`.
///
/// `normed` are hidden rows after the final norm of the model (or of the module before), `embedded` the embeddings
/// of the labels.
/// Source: DeepSeek-V3, arXiv 2412.19437, section 2.2; order and norm as the released weights have them.
public struct PredictionBlock: Block {
  public let hidden: Int
  public let tokens: Int
  public let parameters: ParameterLayout
  public let savedCount: Int
  public let scratchCount: Int

  public init(hidden: Int, tokens: Int, epsilon: Float) {
    fatalError()
  }

  public func forward(
    normed: UnsafePointer<Float>, embedded: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }

  /// - Parameters:
  ///   - normedGradient: `[tokens, hidden]`, overwritten.
  ///   - embeddedGradient: `[tokens, hidden]`, overwritten.
  public func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, normedGradient: UnsafeMutablePointer<Float>,
    embeddedGradient: UnsafeMutablePointer<Float>
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
