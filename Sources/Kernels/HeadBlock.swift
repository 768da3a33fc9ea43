import CKernels

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

  private let norm: RMSNorm
  private let saving: Saving

  /// Offsets in `saved`.
  private struct Saving: Hashable, Sendable {
    /// `[tokens, hidden]`; the input, and the same after the norm.
    var input: Int
    var normed: Int
    /// `[tokens]`; the norm's inverses.
    var inverse: Int
    /// `[tokens, vocabulary]`; the gradient of the logits.
    var logits: Int
    /// `[hidden]`; the gradient of the norm's weight.
    var normGradient: Int
    var count: Int

    init(hidden: Int, vocabulary: Int, tokens: Int) {
      var cursor = Cursor()
      input = cursor.take(tokens * hidden)
      normed = cursor.take(tokens * hidden)
      inverse = cursor.take(tokens)
      logits = cursor.take(tokens * vocabulary)
      normGradient = cursor.take(hidden)
      count = cursor.count
    }
  }

  /// - Parameter ownsProjection: False for prediction modules and tied embeddings.
  public init(hidden: Int, vocabulary: Int, tokens: Int, epsilon: Float, ownsProjection: Bool = true) {
    self.hidden = hidden
    self.vocabulary = vocabulary
    self.tokens = tokens
    norm = RMSNorm(width: hidden, epsilon: epsilon)
    var layout = ParameterLayout()
    layout.append("norm.weight", [hidden])
    if ownsProjection { layout.append("lm_head.weight", [vocabulary, hidden]) }
    parameters = layout
    saving = Saving(hidden: hidden, vocabulary: vocabulary, tokens: tokens)
    savedCount = saving.count
    scratchCount = tokens * hidden
  }

  /// Where the projection lies in the block's parameters; nil where it owns none.
  public var projectionOffset: Int? { parameters.entries.count > 1 ? parameters.entries[1].offset : nil }

  /// The normed rows of the last forward pass, `[tokens, hidden]`, which a prediction module starts from.
  public func normedRows(saved: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
    saved + saving.normed
  }

  /// `scale * sum over tokens of cross-entropy`; all gradients are of this value.
  ///
  /// - Parameters:
  ///   - labels: `[tokens]`, each below `vocabulary`.
  ///   - norm: `[hidden]`.
  ///   - projection: `[vocabulary, hidden]`.
  public func forward(
    input: UnsafePointer<Float>, labels: UnsafePointer<Int32>, scale: Double,
    norm weight: UnsafePointer<Float>, projection: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) -> Double {
    for token in 0..<tokens {
      precondition(
        labels[token] >= 0 && labels[token] < vocabulary,
        "label \(labels[token]) of a vocabulary of \(vocabulary)")
    }
    (saved + saving.input).update(from: input, count: tokens * hidden)
    norm.forward(
      input: input, pitch: hidden, rows: tokens, weight: weight, inverse: saved + saving.inverse,
      output: saved + saving.normed, outputPitch: hidden)
    MatrixProduct.multiply(
      saved + saving.normed, projection, bTransposed: true, into: saved + saving.logits, rows: tokens,
      columns: vocabulary, depth: hidden)
    return scale * ck_cross_entropy(saved + saving.logits, tokens, vocabulary, labels, Float(scale))
  }

  /// - Parameter normedGradient: What others found for the normed rows, added before the norm's own pass.
  public func inputGradient(
    normedGradient: UnsafePointer<Float>? = nil, norm weight: UnsafePointer<Float>,
    projection: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, inputGradient: UnsafeMutablePointer<Float>
  ) {
    MatrixProduct.multiply(
      saved + saving.logits, projection, into: scratch, rows: tokens, columns: hidden, depth: vocabulary)
    if let normedGradient { ck_axpy(1, normedGradient, scratch, tokens * hidden) }
    (saved + saving.normGradient).update(repeating: 0, count: hidden)
    norm.gradient(
      outputGradient: scratch, gradientPitch: hidden, input: saved + saving.input, pitch: hidden,
      rows: tokens, weight: weight, inverse: saved + saving.inverse, inputGradient: inputGradient,
      inputGradientPitch: hidden, weightGradient: saved + saving.normGradient)
  }

  public func weightGradient(
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    normGradient: UnsafeMutablePointer<Float>, projectionGradient: UnsafeMutablePointer<Float>
  ) {
    ck_axpy(1, saved + saving.normGradient, normGradient, hidden)
    MatrixProduct.multiply(
      saved + saving.logits, aTransposed: true, saved + saving.normed, into: projectionGradient,
      rows: vocabulary, columns: hidden, depth: tokens, accumulate: true)
  }
}
