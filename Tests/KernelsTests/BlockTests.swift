import Foundation
import TestSupport
import Testing

@testable import Kernels

@Suite struct BlockTests {
  @Test(arguments: [(5, 3, 7), (16, 24, 9), (33, 50, 1), (8, 1, 4)])
  func `the dense feed-forward half agrees with plain loops and finite differences`(shape: (Int, Int, Int)) {
    let (hidden, intermediate, tokens) = shape
    var generator = SeededGenerator(seed: UInt64(hidden))
    check(
      FeedForwardBlock(hidden: hidden, intermediate: intermediate, tokens: tokens, epsilon: 1e-5),
      hidden: hidden, tokens: tokens, using: &generator
    ) { input, reference in
      reference.feedForward(input, hidden: hidden, intermediate: intermediate, epsilon: 1e-5)
    }
  }

  @Test(arguments: [(5, 3, 7), (16, 19, 9), (9, 2051, 2), (3, 1, 1)], [false, true])
  func `the head's loss and gradients agree with plain loops and finite differences`(
    shape: (Int, Int, Int), isShared: Bool
  ) {
    let (hidden, vocabulary, tokens) = shape
    var generator = SeededGenerator(seed: UInt64(vocabulary))
    let owner = HeadBlock(hidden: hidden, vocabulary: vocabulary, tokens: tokens, epsilon: 1e-5)
    let block = HeadBlock(
      hidden: hidden, vocabulary: vocabulary, tokens: tokens, epsilon: 1e-5, ownsProjection: !isShared)
    #expect(block.parameters.entries.count == (isShared ? 1 : 2))
    let parameters = randomParameters(owner.parameters, using: &generator)
    let norm = Array(parameters[..<hidden])
    let projection = Array(parameters[hidden...])
    let input = generator.floats(tokens * hidden, scale: 2)
    let labels = (0..<tokens).map { _ in Int32(generator.below(vocabulary)) }
    let further = generator.floats(tokens * hidden)
    let scale = 0.25
    var saved = [Float](repeating: .nan, count: block.savedCount)
    var scratch = [Float](repeating: .nan, count: block.scratchCount)
    let loss = block.forward(
      input: input, labels: labels, scale: scale, norm: norm, projection: projection, saved: &saved,
      scratch: &scratch)
    let normed = saved.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.map {
        Array(UnsafeBufferPointer(start: block.normedRows(saved: $0), count: input.count))
      }
    }
    scratch = scratch.map { _ in .nan }
    var inputGradient = [Float](repeating: .nan, count: input.count)
    block.inputGradient(
      normedGradient: further, norm: norm, projection: projection, saved: &saved, scratch: &scratch,
      inputGradient: &inputGradient)
    var gradients = [Float](repeating: 0, count: parameters.count)
    gradients.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      block.weightGradient(
        saved: &saved, scratch: &scratch, normGradient: base, projectionGradient: base + hidden)
    }
    let x = input.map(Double.init)
    let weights = parameters.map(Double.init)
    func truth(_ x: [Double], _ weights: [Double]) -> (loss: Double, normed: [Double]) {
      Reference(layout: owner.parameters, parameters: weights).head(
        x, labels: labels, hidden: hidden, vocabulary: vocabulary, epsilon: 1e-5)
    }
    #expect(abs(loss - scale * truth(x, weights).loss) <= 1e-6 * abs(loss) + 1e-9)
    #expect(relativeError(normed ?? [], truth(x, weights).normed) < 1e-6)
    func total(_ x: [Double], _ weights: [Double]) -> Double {
      let (loss, normed) = truth(x, weights)
      return scale * loss + dot(normed, further.map(Double.init))
    }
    checkGradient(inputGradient, at: x, range: 0..<x.count, using: &generator, what: "input") {
      total($0, weights)
    }
    checkGradient(gradients[..<hidden], at: weights, range: 0..<hidden, using: &generator, what: "norm") {
      total(x, $0)
    }
    // With one word there is nothing to learn.
    guard vocabulary > 1 else { return }
    checkGradient(
      gradients[hidden...], at: weights, range: hidden..<weights.count, using: &generator, what: "projection"
    ) { total(x, $0) }
  }

  @Test(arguments: [(5, 3), (16, 9), (1, 1)])
  func `what leads into a prediction layer agrees with plain loops and finite differences`(shape: (Int, Int))
  {
    let (hidden, tokens) = shape
    var generator = SeededGenerator(seed: UInt64(hidden))
    let block = PredictionBlock(hidden: hidden, tokens: tokens, epsilon: 1e-2)
    let parameters = randomParameters(block.parameters, using: &generator)
    let inputs = generator.floats(2 * tokens * hidden)
    let normed = Array(inputs[..<(tokens * hidden)])
    let embedded = Array(inputs[(tokens * hidden)...])
    let outputGradient = generator.floats(tokens * hidden)
    var saved = [Float](repeating: .nan, count: block.savedCount)
    var scratch = [Float](repeating: .nan, count: block.scratchCount)
    var output = [Float](repeating: .nan, count: tokens * hidden)
    block.forward(
      normed: normed, embedded: embedded, parameters: parameters, saved: &saved, scratch: &scratch,
      output: &output)
    scratch = scratch.map { _ in .nan }
    var normedGradient = output
    var embeddedGradient = output
    block.inputGradient(
      outputGradient: outputGradient, parameters: parameters, saved: &saved, scratch: &scratch,
      normedGradient: &normedGradient, embeddedGradient: &embeddedGradient)
    scratch = scratch.map { _ in .nan }
    var gradients = [Float](repeating: 0, count: parameters.count)
    block.weightGradient(parameters: parameters, saved: &saved, scratch: &scratch, gradients: &gradients)
    let x = inputs.map(Double.init)
    let weights = parameters.map(Double.init)
    func truth(_ x: [Double], _ weights: [Double]) -> [Double] {
      Reference(layout: block.parameters, parameters: weights).prediction(
        Array(x[..<(tokens * hidden)]), embedded: Array(x[(tokens * hidden)...]), hidden: hidden,
        epsilon: 1e-2)
    }
    let dy = outputGradient.map(Double.init)
    #expect(relativeError(output, truth(x, weights)) < 2e-6)
    checkGradient(
      normedGradient + embeddedGradient, at: x, range: 0..<x.count, using: &generator, what: "inputs"
    ) { dot(dy, truth($0, weights)) }
    for entry in block.parameters.entries {
      let range = entry.offset..<entry.offset + entry.count
      checkGradient(gradients[range], at: weights, range: range, using: &generator, what: entry.name) {
        dot(dy, truth(x, $0))
      }
    }
  }

  @Test func `a head with logits far beyond the range of exp has a finite loss and gradient`() {
    let block = HeadBlock(hidden: 2, vocabulary: 3, tokens: 2, epsilon: 0)
    let norm: [Float] = [1, 1]
    // Logits of both rows: 1000, -1000 and 0 times a half.
    let projection: [Float] = [1_000, 0, -1_000, 0, 0, 0]
    let input: [Float] = [0.5, 0.5, 0.5, 0.5]
    var saved = [Float](repeating: .nan, count: block.savedCount)
    var scratch = [Float](repeating: .nan, count: block.scratchCount)
    let loss = block.forward(
      input: input, labels: [0, 1], scale: 1, norm: norm, projection: projection, saved: &saved,
      scratch: &scratch)
    #expect(loss == 2_000)
    var gradient = [Float](repeating: .nan, count: 4)
    block.inputGradient(
      norm: norm, projection: projection, saved: &saved, scratch: &scratch, inputGradient: &gradient)
    #expect(gradient[0] == 0 && gradient[1] == 0 && gradient[2] > 0 && gradient[2].isFinite)
  }

  @Test func `an embedding takes rows and adds their gradients, repeated tokens too`() {
    let block = EmbeddingBlock(hidden: 3, vocabulary: 4, tokens: 5)
    var generator = SeededGenerator(seed: 1)
    let table = generator.floats(12)
    let ids: [Int32] = [2, 0, 2, 3, 2]
    var output = [Float](repeating: .nan, count: 15)
    block.forward(ids: ids, parameters: table, output: &output)
    let gradient = generator.floats(15)
    let before = generator.floats(12)
    var gradients = before
    var expected = before
    block.weightGradient(ids: ids, outputGradient: gradient, gradients: &gradients)
    for (token, id) in ids.enumerated() {
      for i in 0..<3 {
        #expect(output[token * 3 + i] == table[Int(id) * 3 + i])
        expected[Int(id) * 3 + i] += gradient[token * 3 + i]
      }
    }
    #expect(gradients == expected)
  }

  @Test func `AdamW follows the published algorithm, with clipping and decoupled decay`() {
    let count = 21
    var generator = SeededGenerator(seed: 2)
    let optimizer = AdamW(beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1)
    var parameters = generator.floats(count)
    var truth = parameters.map(Double.init)
    var moments = (first: [Float](repeating: 0, count: count), second: [Float](repeating: 0, count: count))
    var exact = (first: [Double](repeating: 0, count: count), second: [Double](repeating: 0, count: count))
    for step in 1...20 {
      let gradients = generator.floats(count, scale: 3)
      let rate = 0.01 / Double(step)
      optimizer.update(
        parameters: &parameters, gradients: gradients, firstMoments: &moments.first,
        secondMoments: &moments.second, count: count, step: step, learningRate: rate, gradientScale: 0.5)
      for i in 0..<count {
        let g = 0.5 * Double(gradients[i])
        exact.first[i] = 0.9 * exact.first[i] + 0.1 * g
        exact.second[i] = 0.95 * exact.second[i] + 0.05 * g * g
        let first = exact.first[i] / (1 - pow(0.9, Double(step)))
        let second = exact.second[i] / (1 - pow(0.95, Double(step)))
        truth[i] -= rate * 0.1 * truth[i]
        truth[i] -= rate * first / (second.squareRoot() + 1e-8)
      }
    }
    #expect(relativeError(parameters, truth) < 2e-6)
    #expect(relativeError(moments.first, exact.first) < 2e-6)
    #expect(relativeError(moments.second, exact.second) < 2e-6)
  }

  @Test func `a shard is updated as the whole is`() {
    var generator = SeededGenerator(seed: 5)
    let optimizer = AdamW()
    let gradients = generator.floats(37)
    var whole = generator.floats(37)
    var parts = whole
    var moments = (first: [Float](repeating: 0, count: 37), second: [Float](repeating: 0, count: 37))
    optimizer.update(
      parameters: &whole, gradients: gradients, firstMoments: &moments.first, secondMoments: &moments.second,
      count: 37, step: 1, learningRate: 0.01)
    for range in [0..<5, 5..<30, 30..<37] {
      var shard = Array(parts[range])
      var first = [Float](repeating: 0, count: range.count)
      var second = first
      optimizer.update(
        parameters: &shard, gradients: Array(gradients[range]), firstMoments: &first, secondMoments: &second,
        count: range.count, step: 1, learningRate: 0.01)
      parts.replaceSubrange(range, with: shard)
    }
    #expect(parts == whole)
  }

  @Test(arguments: [0, 1, 7, 8, 9, 1000])
  func `a sum of squares is that of double precision`(count: Int) {
    var generator = SeededGenerator(seed: UInt64(count))
    let values = generator.floats(count, scale: 100)
    let truth = values.reduce(0.0) { $0 + Double($1) * Double($1) }
    #expect(abs(sumOfSquares(values, count: count) - truth) <= 1e-14 * truth)
  }
}
