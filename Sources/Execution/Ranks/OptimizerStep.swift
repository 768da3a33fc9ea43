import Kernels

/// The end of a step on one rank: clipping, AdamW on the rank's shards, selection biases.
final class OptimizerStep {
  private let state: ModelState
  private let options: ExecutionOptions
  private let adam: AdamW
  /// Of all gradients of the step just finished, before clipping.
  private(set) var gradientNorm = 0.0

  init(_ state: ModelState, options: ExecutionOptions) {
    self.state = state
    self.options = options
    adam = AdamW(weightDecay: options.weightDecay)
  }

  /// The squares of the gradients that this rank owns; each element of the model counts on one rank.
  func squaredNorm() -> Double {
    state.buckets.reduce(0) { sum, bucket in
      sum + sumOfSquares(bucket.gradients.pointer + bucket.answered.lowerBound, count: bucket.answered.count)
    }
  }

  /// - Parameter norm: The squared norm over all ranks; nil where this rank is alone.
  func run(step: Int, norm: Double?) {
    gradientNorm = (norm ?? squaredNorm()).squareRoot()
    guard options.updates, gradientNorm.isFinite else { return }
    let scale = gradientNorm > options.clip ? options.clip / gradientNorm : 1
    for bucket in state.buckets {
      for place in bucket.tensors { update(place, of: bucket, step: step, scale: scale) }
      bucket.gradients.clear()
    }
    for selection in state.selections {
      selection.update(speed: Float(state.plan.model.numerics.biasUpdateSpeed))
    }
  }

  /// Matrices decay, norms and biases do not.
  private func update(_ place: TensorPlace, of bucket: ParameterBucket, step: Int, scale: Double) {
    let range = place.range.clamped(to: bucket.updated)
    guard !range.isEmpty else { return }
    var adam = adam
    if place.shape.count < 2 { adam.weightDecay = 0 }
    let moment = range.lowerBound - bucket.updated.lowerBound
    adam.update(
      parameters: bucket.parameters.pointer + range.lowerBound,
      gradients: bucket.gradients.pointer + range.lowerBound,
      firstMoments: bucket.firstMoments.pointer + moment,
      secondMoments: bucket.secondMoments.pointer + moment, count: range.count, step: step + 1,
      learningRate: options.learningRate(step: step), gradientScale: scale)
  }
}
