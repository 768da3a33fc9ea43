import CKernels

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

  private let norm: RMSNorm
  private let hiddenNorm: Int
  private let projection: Int
  private let saving: Saving

  /// Offsets in `saved`.
  private struct Saving: Hashable, Sendable {
    /// `[tokens, 2, hidden]`; embedded rows and hidden rows before their norms.
    var inputs: Int
    /// `[2, tokens]`; the norms' inverses.
    var inverses: Int
    /// `[tokens, hidden]`; the output gradient.
    var outputGradient: Int
    /// `[2, hidden]`; the gradients of the norms' weights.
    var normGradients: Int
    var count: Int

    init(hidden: Int, tokens: Int) {
      var cursor = Cursor()
      inputs = cursor.take(tokens * 2 * hidden)
      inverses = cursor.take(2 * tokens)
      outputGradient = cursor.take(tokens * hidden)
      normGradients = cursor.take(2 * hidden)
      count = cursor.count
    }
  }

  public init(hidden: Int, tokens: Int, epsilon: Float) {
    self.hidden = hidden
    self.tokens = tokens
    norm = RMSNorm(width: hidden, epsilon: epsilon)
    var layout = ParameterLayout()
    layout.append("enorm.weight", [hidden])
    hiddenNorm = layout.append("hnorm.weight", [hidden])
    projection = layout.append("eh_proj.weight", [hidden, 2 * hidden])
    parameters = layout
    saving = Saving(hidden: hidden, tokens: tokens)
    savedCount = saving.count
    scratchCount = tokens * 2 * hidden
  }

  public func forward(
    normed: UnsafePointer<Float>, embedded: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    output: UnsafeMutablePointer<Float>
  ) {
    let inputs = saved + saving.inputs
    for token in 0..<tokens {
      (inputs + token * 2 * hidden).update(from: embedded + token * hidden, count: hidden)
      (inputs + (token * 2 + 1) * hidden).update(from: normed + token * hidden, count: hidden)
    }
    for half in 0..<2 {
      norm.forward(
        input: inputs + half * hidden, pitch: 2 * hidden, rows: tokens,
        weight: parameters + half * hiddenNorm, inverse: saved + saving.inverses + half * tokens,
        output: scratch + half * hidden, outputPitch: 2 * hidden)
    }
    MatrixProduct.multiply(
      scratch, parameters + projection, bTransposed: true, into: output, rows: tokens, columns: hidden,
      depth: 2 * hidden)
  }

  /// - Parameters:
  ///   - normedGradient: `[tokens, hidden]`, overwritten.
  ///   - embeddedGradient: `[tokens, hidden]`, overwritten.
  public func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    normedGradient: UnsafeMutablePointer<Float>, embeddedGradient: UnsafeMutablePointer<Float>
  ) {
    (saved + saving.outputGradient).update(from: outputGradient, count: tokens * hidden)
    MatrixProduct.multiply(
      outputGradient, parameters + projection, into: scratch, rows: tokens, columns: 2 * hidden, depth: hidden
    )
    (saved + saving.normGradients).update(repeating: 0, count: 2 * hidden)
    for half in 0..<2 {
      norm.gradient(
        outputGradient: scratch + half * hidden, gradientPitch: 2 * hidden,
        input: saved + saving.inputs + half * hidden, pitch: 2 * hidden, rows: tokens,
        weight: parameters + half * hiddenNorm, inverse: saved + saving.inverses + half * tokens,
        inputGradient: half == 0 ? embeddedGradient : normedGradient, inputGradientPitch: hidden,
        weightGradient: saved + saving.normGradients + half * hidden)
    }
  }

  public func weightGradient(
    parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>
  ) {
    for half in 0..<2 {
      norm.again(
        input: saved + saving.inputs + half * hidden, pitch: 2 * hidden, rows: tokens,
        weight: parameters + half * hiddenNorm, inverse: saved + saving.inverses + half * tokens,
        output: scratch + half * hidden, outputPitch: 2 * hidden)
    }
    MatrixProduct.multiply(
      saved + saving.outputGradient, aTransposed: true, scratch, into: gradients + projection, rows: hidden,
      columns: 2 * hidden, depth: tokens, accumulate: true)
    // The two norms are the first tensors of the block.
    ck_axpy(1, saved + saving.normGradients, gradients, 2 * hidden)
  }
}
