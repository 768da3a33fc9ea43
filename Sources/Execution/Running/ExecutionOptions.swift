/// How a run trains, besides its plan.
public struct ExecutionOptions: Hashable, Sendable {
  /// Of the model's first parameters.
  public var seed: UInt64 = 1
  public var learningRate = 1e-3
  /// Steps over which the learning rate rises to its value.
  public var warmUp = 5
  public var weightDecay = 0.1
  /// The norm that all gradients together are scaled down to. Source: DeepSeek-V3, arXiv 2412.19437, section 4.2.
  public var clip = 1.0
  /// False leaves gradients, parameters and biases as a step's backward left them.
  public var updates = true

  public init() {}

  /// - Parameter step: From 0.
  func learningRate(step: Int) -> Double { learningRate * min(1, Double(step + 1) / Double(max(1, warmUp))) }
}
