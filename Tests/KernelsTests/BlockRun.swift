import TestSupport
import Testing

@testable import Kernels

/// What the three passes of a block from rows to rows gave.
struct BlockRun {
  var output: [Float]
  var inputGradient: [Float]
  var gradients: [Float]

  /// Runs the passes with memory that holds nothing at first, and nothing of the last call in `scratch`.
  init(_ block: some LayerBlock, input: [Float], parameters: [Float], outputGradient: [Float]) {
    var saved = [Float](repeating: .nan, count: block.savedCount)
    var output = [Float](repeating: .nan, count: input.count)
    func scratch() -> [Float] { .init(repeating: .nan, count: block.scratchCount) }
    var memory = scratch()
    block.forward(input: input, parameters: parameters, saved: &saved, scratch: &memory, output: &output)
    memory = scratch()
    // In place, which is the harder case.
    var gradient = outputGradient
    gradient.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      block.inputGradient(
        outputGradient: base, parameters: parameters, saved: &saved, scratch: &memory, inputGradient: base)
    }
    memory = scratch()
    var gradients = [Float](repeating: 0, count: parameters.count)
    block.weightGradient(parameters: parameters, saved: &saved, scratch: &memory, gradients: &gradients)
    self.output = output
    inputGradient = gradient
    self.gradients = gradients
  }
}

/// Random parameters of a block: norms about one, biases and weights such that outputs stay near one.
func randomParameters(_ layout: ParameterLayout, using generator: inout SeededGenerator) -> [Float] {
  layout.entries.flatMap { entry -> [Float] in
    if entry.name.contains("norm") { return generator.floats(entry.count, scale: 0.3).map { 1 + $0 } }
    let fanIn = Float(entry.shape.count > 1 ? entry.shape[1] : 4)
    return generator.floats(entry.count, scale: 1.7 / fanIn.squareRoot())
  }
}

/// Compares a gradient with central differences of `loss` along random directions.
///
/// - Parameter loss: Of the values at a point, in double precision.
func checkGradient(
  _ gradient: some Collection<Float>, at point: [Double], range: Range<Int>,
  using generator: inout SeededGenerator, what: String, loss: ([Double]) -> Double
) {
  let truth = gradient.map(Double.init)
  for _ in 0..<3 {
    let direction = generator.floats(range.count).map(Double.init)
    let step = 1e-5
    func moved(_ by: Double) -> [Double] {
      var values = point
      for (index, change) in zip(range, direction) { values[index] += by * change }
      return values
    }
    let difference = (loss(moved(step)) - loss(moved(-step))) / (2 * step)
    let size = (dot(truth, truth) * dot(direction, direction)).squareRoot()
    let distance = abs(dot(truth, direction) - difference)
    #expect(distance <= 1e-5 * size, "\(what): \(dot(truth, direction)) for \(difference)")
  }
}

/// Compares a block's three passes with a reference forward in double precision and its finite differences.
func check(
  _ block: some LayerBlock, hidden: Int, tokens: Int, using generator: inout SeededGenerator,
  reference: (_ input: [Double], _ reference: Reference) -> [Double]
) {
  let parameters = randomParameters(block.parameters, using: &generator)
  let input = generator.floats(tokens * hidden, scale: 1.5)
  let outputGradient = generator.floats(tokens * hidden)
  let run = BlockRun(block, input: input, parameters: parameters, outputGradient: outputGradient)
  let x = input.map(Double.init)
  let dy = outputGradient.map(Double.init)
  let weights = parameters.map(Double.init)
  func output(_ x: [Double], _ weights: [Double]) -> [Double] {
    reference(x, Reference(layout: block.parameters, parameters: weights))
  }
  #expect(relativeError(run.output, output(x, weights)) < 2e-6)
  checkGradient(run.inputGradient, at: x, range: 0..<x.count, using: &generator, what: "input") {
    dot(dy, output($0, weights))
  }
  for entry in block.parameters.entries {
    let range = entry.offset..<entry.offset + entry.count
    checkGradient(run.gradients[range], at: weights, range: range, using: &generator, what: entry.name) {
      dot(dy, output(x, $0))
    }
  }
}

/// The largest difference over the largest expected magnitude.
func relativeError(_ values: some Sequence<Float>, _ expected: some Sequence<Double>) -> Double {
  relativeError(Array(values), expected.map(Float.init))
}

func relativeError(_ values: some Sequence<Float>, _ expected: some Sequence<Float>) -> Double {
  relativeError(Array(values), Array(expected))
}
