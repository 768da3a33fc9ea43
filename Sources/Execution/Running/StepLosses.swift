/// The losses of one step on one rank, `[micro-batch of the step]`, each already divided as the step's mean asks.
final class StepLosses {
  var crossEntropy: [Double]
  /// Of all prediction modules, without their weight; summed over modules.
  var prediction: [Double]
  /// Of all layers.
  var balance: [Double]

  init(batches: Int) {
    crossEntropy = Array(repeating: 0, count: batches)
    prediction = crossEntropy
    balance = crossEntropy
  }

  func clear() {
    for batch in crossEntropy.indices {
      crossEntropy[batch] = 0
      prediction[batch] = 0
      balance[batch] = 0
    }
  }
}
