/// Final norm, output projection and cross-entropy.
///
/// The projection has pointers of its own: prediction modules and tied embeddings share it.
public struct HeadBlock: Block {
  public let hidden: Int
  public let vocabulary: Int
  public let tokens: Int
  /// `norm.weight`, and `lm_head.weight` after it where the block owns its projection.
  public let parameters: ParameterLayout
  public let savedCount: Int
  public let scratchCount: Int

  /// - Parameter ownsProjection: False for prediction modules and tied embeddings.
  public init(hidden: Int, vocabulary: Int, tokens: Int, epsilon: Float, ownsProjection: Bool = true) {
    fatalError()
  }

  /// Where the projection lies in the block's parameters; nil where it owns none.
  public var projectionOffset: Int? { parameters.entries.count > 1 ? parameters.entries[1].offset : nil }

  /// The normed rows of the last forward pass, `[tokens, hidden]`, which a prediction module starts from.
  public func normedRows(saved: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
    fatalError()
  }

  /// `scale * sum over tokens of cross-entropy`; all gradients are of this value.
  ///
  /// - Parameters:
  ///   - labels: `[tokens]`, each below `vocabulary`.
  ///   - norm: `[hidden]`.
  ///   - projection: `[vocabulary, hidden]`.
  public func forward(
    input: UnsafePointer<Float>, labels: UnsafePointer<Int32>, scale: Double, norm: UnsafePointer<Float>,
    projection: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) -> Double {
    fatalError()
  }

  /// - Parameter normedGradient: What others found for the normed rows, added before the norm's own pass.
  public func inputGradient(
    normedGradient: UnsafePointer<Float>? = nil, norm: UnsafePointer<Float>, projection: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }

  public func weightGradient(
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    normGradient: UnsafeMutablePointer<Float>, projectionGradient: UnsafeMutablePointer<Float>
  ) {
    fatalError()
  }
}
