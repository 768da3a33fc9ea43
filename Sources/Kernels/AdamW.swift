import CKernels
import Foundation

/// Adam with decoupled weight decay and bias correction.
///
/// Source: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, in PyTorch's form.
public struct AdamW: Hashable, Sendable {
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  public var weightDecay: Double

  /// - Parameters: Defaults are those of DeepSeek-V3's pre-training (arXiv 2412.19437, section 4.2).
  public init(beta1: Double = 0.9, beta2: Double = 0.95, epsilon: Double = 1e-8, weightDecay: Double = 0.1) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
  }

  /// One step over `count` elements, or a shard of them.
  ///
  /// - Parameters:
  ///   - step: From 1.
  ///   - gradientScale: Multiplies every gradient first (clipping).
  ///   - firstMoments: Zero before the first step, as `secondMoments`.
  public func update(
    parameters: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>,
    firstMoments: UnsafeMutablePointer<Float>, secondMoments: UnsafeMutablePointer<Float>, count: Int,
    step: Int, learningRate: Double, gradientScale: Double = 1
  ) {
    let correction1 = 1 - pow(beta1, Double(step))
    let correction2 = 1 - pow(beta2, Double(step))
    ck_adamw(
      parameters, gradients, firstMoments, secondMoments, count,
      ck_adamw_constants(
        beta1: Float(beta1), beta2: Float(beta2), epsilon: Float(epsilon),
        decay: Float(1 - learningRate * weightDecay), step: Float(learningRate / correction1),
        correction: Float(1 / correction2.squareRoot()), gradient_scale: Float(gradientScale)))
  }
}

/// The sum of squares in double precision, in an order that depends on `count` alone.
public func sumOfSquares(_ values: UnsafePointer<Float>, count: Int) -> Double {
  ck_sum_of_squares(values, count)
}
