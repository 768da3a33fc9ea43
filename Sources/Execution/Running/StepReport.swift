/// What came of one training step, the same on every rank.
public struct StepReport: Hashable, Sendable {
  /// Steps done before it.
  public var step: Int
  /// Cross-entropy of each micro-batch of the step, the mean over its tokens on all ranks.
  public var crossEntropies: [Double]
  /// The prediction modules' cross-entropy, the mean over modules; zeros without modules.
  public var predictions: [Double]
  /// The balance loss, summed over layers.
  public var balances: [Double]
  /// Of all gradients together, before clipping.
  public var gradientNorm: Double
  /// Weight of the prediction modules in the loss.
  public var predictionWeight: Double

  public var crossEntropy: Double { mean(crossEntropies) }
  public var prediction: Double { mean(predictions) }
  public var balance: Double { mean(balances) }
  public var loss: Double { crossEntropy + predictionWeight * prediction + balance }

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
}
