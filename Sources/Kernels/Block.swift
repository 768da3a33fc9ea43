/// A piece of a model that turns a micro-batch's rows into rows, with its three passes as separate calls.
///
/// All tensors are row-major float32. Buffers belong to the caller and do not overlap unless a call says so; no call
/// allocates. What a later pass needs and is not handed to it lies in `saved`, `savedCount` floats of one micro-batch
/// that the caller keeps from forward to weight gradient. `scratch` has `scratchCount` floats that live for one call.
/// Weight gradients are added to what the gradient buffer holds.
public protocol Block {
  /// The tensors of the block, in the order of its flat parameter and gradient buffers.
  var parameters: ParameterLayout { get }
  var savedCount: Int { get }
  var scratchCount: Int { get }
}

/// A block from rows to rows of one width, residual connection included: the attention half of a layer, or its dense
/// feed-forward half.
public protocol LayerBlock: Block {
  /// `output = input + f(norm(input))`, all `[tokens, hidden]`.
  func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>)

  /// The gradient of the input; keeps in `saved` what the weight gradient needs.
  ///
  /// `inputGradient` may be `outputGradient` itself.
  func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>)

  /// Adds the gradients of the parameters; may run long after the input gradient.
  func weightGradient(
    parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>)
}
