/// Rows of a table, by token.
public struct EmbeddingBlock: Block {
  public let hidden: Int
  public let vocabulary: Int
  public let tokens: Int
  public let parameters: ParameterLayout
  public var savedCount: Int { 0 }
  public var scratchCount: Int { 0 }

  public init(hidden: Int, vocabulary: Int, tokens: Int) {
    self.hidden = hidden
    self.vocabulary = vocabulary
    self.tokens = tokens
    var layout = ParameterLayout()
    layout.append("embed_tokens.weight", [vocabulary, hidden])
    parameters = layout
  }

  /// - Parameter ids: `[tokens]`, each below `vocabulary`.
  public func forward(
    ids: UnsafePointer<Int32>, parameters: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }

  /// Adds each row's gradient to that of its token, in the order of the rows.
  public func weightGradient(
    ids: UnsafePointer<Int32>, outputGradient: UnsafePointer<Float>, gradients: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }
}
