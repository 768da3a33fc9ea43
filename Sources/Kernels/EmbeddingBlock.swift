import CKernels

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
    for token in 0..<tokens {
      let id = checked(ids[token])
      (output + token * hidden).update(from: parameters + id * hidden, count: hidden)
    }
  }

  /// Adds each row's gradient to that of its token, in the order of the rows.
  public func weightGradient(
    ids: UnsafePointer<Int32>, outputGradient: UnsafePointer<Float>, gradients: UnsafeMutablePointer<Float>
  ) {
    for token in 0..<tokens {
      let row = gradients + checked(ids[token]) * hidden
      ck_axpy(1, outputGradient + token * hidden, row, hidden)
    }
  }

  private func checked(_ id: Int32) -> Int {
    precondition(id >= 0 && id < vocabulary, "token \(id) of a vocabulary of \(vocabulary)")
    return Int(id)
  }
}
