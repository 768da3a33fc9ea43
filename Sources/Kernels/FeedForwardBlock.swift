import CKernels

/// The dense feed-forward half of a layer: `y = x + down(silu(gate(n)) * up(n))` with `n = norm(x)`.
public struct FeedForwardBlock: LayerBlock {
  public let parameters: ParameterLayout
  public let savedCount: Int
  public let scratchCount: Int

  private let hidden: Int
  private let intermediate: Int
  private let tokens: Int
  private let norm: RMSNorm
  private let projection: Int
  private let down: Int
  private let saving: Saving

  /// Offsets in `saved`.
  private struct Saving: Hashable, Sendable {
    /// `[tokens, hidden]`; the input.
    var input: Int
    /// `[tokens]`; the norm's inverses.
    var inverse: Int
    /// `[tokens, 2, intermediate]`; gate and up, after the input gradient their gradients.
    var gateUp: Int
    /// `[tokens, intermediate]`; what enters the down projection.
    var inner: Int
    /// `[tokens, hidden]`; the output gradient.
    var outputGradient: Int
    /// `[hidden]`; the gradient of the norm's weight.
    var normGradient: Int
    var count: Int

    init(hidden: Int, intermediate: Int, tokens: Int) {
      var cursor = Cursor()
      input = cursor.take(tokens * hidden)
      inverse = cursor.take(tokens)
      gateUp = cursor.take(tokens * 2 * intermediate)
      inner = cursor.take(tokens * intermediate)
      outputGradient = cursor.take(tokens * hidden)
      normGradient = cursor.take(hidden)
      count = cursor.count
    }
  }

  public init(hidden: Int, intermediate: Int, tokens: Int, epsilon: Float) {
    self.hidden = hidden
    self.intermediate = intermediate
    self.tokens = tokens
    norm = RMSNorm(width: hidden, epsilon: epsilon)
    var layout = ParameterLayout()
    layout.append("post_attention_layernorm.weight", [hidden])
    // Gate and up lie one after the other, so that one product reads both.
    projection = layout.append("mlp.gate_proj.weight", [intermediate, hidden])
    layout.append("mlp.up_proj.weight", [intermediate, hidden])
    down = layout.append("mlp.down_proj.weight", [hidden, intermediate])
    parameters = layout
    saving = Saving(hidden: hidden, intermediate: intermediate, tokens: tokens)
    savedCount = saving.count
    scratchCount = tokens * max(hidden, intermediate)
  }

  public func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    (saved + saving.input).update(from: input, count: tokens * hidden)
    norm.forward(
      input: input, pitch: hidden, rows: tokens, weight: parameters, inverse: saved + saving.inverse,
      output: scratch, outputPitch: hidden)
    MatrixProduct.multiply(
      scratch, parameters + projection, bTransposed: true, into: saved + saving.gateUp, rows: tokens,
      columns: 2 * intermediate, depth: hidden)
    for token in 0..<tokens {
      let gate = saved + saving.gateUp + token * 2 * intermediate
      ck_swiglu(gate, gate + intermediate, saved + saving.inner + token * intermediate, intermediate)
    }
    output.update(from: input, count: tokens * hidden)
    MatrixProduct.multiply(
      saved + saving.inner, parameters + down, bTransposed: true, into: output, rows: tokens, columns: hidden,
      depth: intermediate, accumulate: true)
  }

  public func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>
  ) {
    (saved + saving.outputGradient).update(from: outputGradient, count: tokens * hidden)
    MatrixProduct.multiply(
      outputGradient, parameters + down, into: scratch, rows: tokens, columns: intermediate, depth: hidden)
    for token in 0..<tokens {
      let gate = saved + saving.gateUp + token * 2 * intermediate
      ck_swiglu_gradient(
        gate, gate + intermediate, scratch + token * intermediate, gate, gate + intermediate, intermediate)
    }
    MatrixProduct.multiply(
      saved + saving.gateUp, parameters + projection, into: scratch, rows: tokens, columns: hidden,
      depth: 2 * intermediate)
    (saved + saving.normGradient).update(repeating: 0, count: hidden)
    norm.gradient(
      outputGradient: scratch, gradientPitch: hidden, input: saved + saving.input, pitch: hidden,
      rows: tokens, weight: parameters, inverse: saved + saving.inverse,
      residual: saved + saving.outputGradient, inputGradient: inputGradient, inputGradientPitch: hidden,
      weightGradient: saved + saving.normGradient)
  }

  public func weightGradient(
    parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>
  ) {
    MatrixProduct.multiply(
      saved + saving.outputGradient, aTransposed: true, saved + saving.inner, into: gradients + down,
      rows: hidden, columns: intermediate, depth: tokens, accumulate: true)
    norm.again(
      input: saved + saving.input, pitch: hidden, rows: tokens, weight: parameters,
      inverse: saved + saving.inverse, output: scratch, outputPitch: hidden)
    MatrixProduct.multiply(
      saved + saving.gateUp, aTransposed: true, scratch, into: gradients + projection, rows: 2 * intermediate,
      columns: hidden, depth: tokens, accumulate: true)
    ck_axpy(1, saved + saving.normGradient, gradients, hidden)
  }
}
