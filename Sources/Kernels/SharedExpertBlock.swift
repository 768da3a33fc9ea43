import CKernels

/// The shared expert of a mixture-of-experts layer: `y = down(silu(gate(x)) * up(x))` over all tokens, without norm
/// and residual connection.
public struct SharedExpertBlock: Block, Sendable {
  public let hidden: Int
  /// Of all shared experts together.
  public let intermediate: Int
  public let tokens: Int
  public let parameters: ParameterLayout
  public let savedCount: Int
  public let scratchCount: Int

  private let downOffset: Int

  public init(hidden: Int, intermediate: Int, tokens: Int) {
    self.hidden = hidden
    self.intermediate = intermediate
    self.tokens = tokens
    var layout = ParameterLayout()
    layout.append("mlp.shared_experts.gate_proj.weight", [intermediate, hidden])
    layout.append("mlp.shared_experts.up_proj.weight", [intermediate, hidden])
    downOffset = layout.append("mlp.shared_experts.down_proj.weight", [hidden, intermediate])
    parameters = layout
    savedCount = 3 * tokens * intermediate
    scratchCount = tokens * intermediate
  }

  /// `[tokens, hidden]` to `[tokens, hidden]`; `saved` then holds rows of gate and up, `[tokens, 2 * intermediate]`,
  /// and the activations, `[tokens, intermediate]`.
  public func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    output: UnsafeMutablePointer<Float>
  ) {
    let activations = saved + 2 * tokens * intermediate
    // Gate and up lie one after the other: one product gives both.
    MatrixProduct.multiply(
      input, parameters, bTransposed: true, into: saved, rows: tokens, columns: 2 * intermediate,
      depth: hidden)
    shareParts(tokens, work: tokens * intermediate) { part in
      for token in part {
        let row = saved + token * 2 * intermediate
        ck_swiglu(row, row + intermediate, activations + token * intermediate, intermediate)
      }
    }
    MatrixProduct.multiply(
      activations, parameters + downOffset, bTransposed: true, into: output, rows: tokens, columns: hidden,
      depth: intermediate)
  }

  /// The gradient of the input, added to `inputGradient` where accumulating; turns gate and up in `saved` into their
  /// gradients.
  public func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>, accumulate: Bool = false
  ) {
    MatrixProduct.multiply(
      outputGradient, parameters + downOffset, into: scratch, rows: tokens, columns: intermediate,
      depth: hidden)
    shareParts(tokens, work: tokens * intermediate) { part in
      for token in part {
        let row = saved + token * 2 * intermediate
        ck_swiglu_gradient(
          row, row + intermediate, scratch + token * intermediate, row, row + intermediate, intermediate)
      }
    }
    MatrixProduct.multiply(
      saved, parameters, into: inputGradient, rows: tokens, columns: hidden, depth: 2 * intermediate,
      accumulate: accumulate)
  }

  /// Adds the gradients of the weights, from the input and the output's gradient of the passes before.
  public func weightGradient(
    input: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>, saved: UnsafePointer<Float>,
    gradients: UnsafeMutablePointer<Float>, accumulate: Bool = true
  ) {
    MatrixProduct.multiply(
      saved, aTransposed: true, input, into: gradients, rows: 2 * intermediate, columns: hidden,
      depth: tokens,
      accumulate: accumulate)
    MatrixProduct.multiply(
      outputGradient, aTransposed: true, saved + 2 * tokens * intermediate, into: gradients + downOffset,
      rows: hidden,
      columns: intermediate, depth: tokens, accumulate: accumulate)
  }
}
