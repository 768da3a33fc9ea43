import CKernels

/// Root-mean-square normalisation of rows: `y = x / sqrt(mean(x²) + epsilon) * weight`.
///
/// Rows may be part of wider ones: pitches are elements from one row to the next.
public struct RMSNorm: Hashable, Sendable {
  /// Elements of a row that are normalised together.
  public var width: Int
  public var epsilon: Float

  public init(width: Int, epsilon: Float) {
    self.width = width
    self.epsilon = epsilon
  }

  /// - Parameters:
  ///   - inverse: `[rows]`, receives `1 / sqrt(mean(x²) + epsilon)`; the other passes read it.
  ///   - output: May be `input`.
  public func forward(
    input: UnsafePointer<Float>, pitch: Int, rows: Int, weight: UnsafePointer<Float>,
    inverse: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>, outputPitch: Int
  ) {
    ck_rms_norm(input, pitch, rows, width, weight, epsilon, inverse, output, outputPitch)
  }

  /// The output of the forward pass once more, from the inverse it left.
  public func again(
    input: UnsafePointer<Float>, pitch: Int, rows: Int, weight: UnsafePointer<Float>,
    inverse: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, outputPitch: Int
  ) {
    ck_rms_norm_again(input, pitch, rows, width, weight, inverse, output, outputPitch)
  }

  /// The gradient of the input, and this call's gradient of the weight added to `weightGradient`.
  ///
  /// - Parameters:
  ///   - residual: Added to the result where given, `[rows, width]` with the pitch of `inputGradient`.
  ///   - inputGradient: May be `outputGradient` or `residual`.
  ///   - weightGradient: `[width]`.
  public func gradient(
    outputGradient: UnsafePointer<Float>, gradientPitch: Int, input: UnsafePointer<Float>, pitch: Int,
    rows: Int, weight: UnsafePointer<Float>, inverse: UnsafePointer<Float>,
    residual: UnsafePointer<Float>? = nil, inputGradient: UnsafeMutablePointer<Float>,
    inputGradientPitch: Int, weightGradient: UnsafeMutablePointer<Float>
  ) {
    ck_rms_norm_gradient(
      outputGradient, gradientPitch, input, pitch, rows, width, weight, inverse, residual, inputGradient,
      inputGradientPitch, weightGradient)
  }
}
