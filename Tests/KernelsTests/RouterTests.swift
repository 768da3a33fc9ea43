import Foundation
import TestSupport
import Testing

@testable import Kernels

/// The plain definition of a router, in double precision, that the fast one is held against.
struct RouterReference {
  var router: Router

  func scores(_ logits: [Double]) -> [Double] {
    switch router.scoring {
    case .sigmoid: return logits.map { 1 / (1 + exp(-$0)) }
    case .softmax:
      let largest = logits.max() ?? 0
      let powers = logits.map { exp($0 - largest) }
      return powers.map { $0 / powers.reduce(0, +) }
    }
  }

  /// Indices by falling key, the lower one first among equals.
  private func ranked(_ keys: [Double]) -> [Int] {
    keys.indices.sorted { keys[$0] != keys[$1] ? keys[$0] > keys[$1] : $0 < $1 }
  }

  func choices(_ scores: [Double], _ bias: [Double]) -> [Int] {
    let keys = zip(scores, bias).map(+)
    let size = router.experts / router.groups
    let groups = (0..<router.groups).map { group in
      let members = keys[group * size..<(group + 1) * size].sorted(by: >)
      return router.groupScore == .topTwo ? members.prefix(2).reduce(0, +) : members[0]
    }
    let allowed = Set(ranked(groups).prefix(router.limitedGroups))
    let masked = keys.enumerated().map { allowed.contains($0 / size) ? $1 : -.infinity }
    return Array(ranked(masked).prefix(router.topK))
  }

  func weights(_ scores: [Double], _ choices: [Int]) -> [Double] {
    let sum = choices.reduce(0) { $0 + scores[$1] }
    return choices.map { router.scaling * (router.normalizes ? Float(scores[$0] / sum) : Float(scores[$0])) }
      .map(Double.init)
  }

  /// The sum of the weights times given numbers, as a function of the logits, for differences.
  func value(_ logits: [Double], _ choices: [Int], _ upstream: [Double]) -> Double {
    let scores = scores(logits)
    let sum = router.normalizes ? choices.reduce(0) { $0 + scores[$1] } : 1
    return zip(choices, upstream).reduce(0) { $0 + Double(router.scaling) * scores[$1.0] / sum * $1.1 }
  }
}

@Suite struct RouterTests {
  /// Mixtral and Qwen3, DeepSeek-V2, DeepSeek-V3, and what lies between.
  static let routers = [
    Router(experts: 8, topK: 2, scoring: .softmax),
    Router(experts: 16, topK: 4, scoring: .softmax, normalizes: false),
    Router(
      experts: 16, topK: 6, groups: 8, limitedGroups: 3, scoring: .softmax, groupScore: .largest,
      normalizes: false, scaling: 16),
    Router(experts: 16, topK: 4, groups: 4, limitedGroups: 2, scaling: 2.5),
    Router(experts: 9, topK: 3, groups: 3, limitedGroups: 1, normalizes: false),
    Router(experts: 1, topK: 1),
  ]

  @Test(arguments: routers)
  func `the choice, the weights and their gradient follow the definition`(router: Router) {
    let reference = RouterReference(router: router)
    var generator = SeededGenerator(seed: 11)
    let logits = generator.floats(20 * router.experts, scale: 3)
    let bias = generator.floats(router.experts, scale: 0.3)
    let scores = router.scores(logits)
    let indices = router.choices(scores, bias)
    let weights = router.weights(scores, indices)
    let upstream = generator.floats(indices.count)
    var gradients = [Float](repeating: 0, count: scores.count)
    router.addScoreGradient(
      weightGradients: upstream, scores: scores, indices: indices, tokens: 20, scoreGradients: &gradients)
    router.turnIntoLogitGradient(&gradients, scores: scores, tokens: 20)
    for token in 0..<20 {
      let row = token * router.experts..<(token + 1) * router.experts
      let slots = token * router.topK..<(token + 1) * router.topK
      let exact = logits[row].map(Double.init)
      let expected = reference.scores(exact)
      let choices = reference.choices(expected, bias.map(Double.init))
      #expect(indices[slots].map(Int.init) == choices)
      #expect(relativeError(Array(scores[row]), expected.map { Float($0) }) < 1e-6)
      let expectedWeights = reference.weights(expected, choices).map { Float($0) }
      #expect(relativeError(Array(weights[slots]), expectedWeights) < 1e-6)
      for expert in 0..<router.experts {
        var (above, below) = (exact, exact)
        above[expert] += 1e-5
        below[expert] -= 1e-5
        let slope =
          (reference.value(above, choices, upstream[slots].map(Double.init))
            - reference.value(below, choices, upstream[slots].map(Double.init))) / 2e-5
        #expect(abs(Double(gradients[row.lowerBound + expert]) - slope) < 1e-4)
      }
    }
  }

  @Test(arguments: [Router.Scoring.sigmoid, .softmax], [BalanceLoss.Variant.routed, .unbiased])
  func `the balance loss has the gradient of its differences`(
    scoring: Router.Scoring, variant: BalanceLoss.Variant
  ) {
    let router = Router(experts: 6, topK: 2, groups: 3, limitedGroups: 2, scoring: scoring)
    let (sequences, length) = (3, 5)
    let tokens = sequences * length
    var generator = SeededGenerator(seed: 5)
    let logits = generator.floats(tokens * router.experts, scale: 2)
    let indices = router.choices(router.scores(logits), generator.floats(router.experts, scale: 0.5))
    let balance = BalanceLoss(coefficient: 0.5, variant: variant)
    var scratch = [Float](repeating: .nan, count: balance.scratchCount(router: router, length: length))
    var fractions = [Float](repeating: .nan, count: sequences * router.experts)
    func loss(_ logits: [Float]) -> Double {
      balance.evaluate(
        router: router, scores: router.scores(logits), indices: indices, sequences: sequences, length: length,
        scratch: &scratch, fractions: &fractions)
    }
    _ = loss(logits)
    let scores = router.scores(logits)
    var gradients = [Float](repeating: 0, count: scores.count)
    balance.addGradient(
      router: router, scores: scores, fractions: fractions, sequences: sequences, length: length, scale: 2,
      scoreGradients: &gradients)
    router.turnIntoLogitGradient(&gradients, scores: scores, tokens: tokens)
    for index in logits.indices {
      var (above, below) = (logits, logits)
      above[index] += 0.01
      below[index] -= 0.01
      #expect(abs((loss(above) - loss(below)) / 0.02 * 2 - Double(gradients[index])) < 1e-4)
    }
  }

  @Test func `the whole router block has the gradients of its differences, choice given or made`() {
    let router = Router(experts: 6, topK: 3, groups: 3, limitedGroups: 2, scaling: 1.5)
    let balance = BalanceLoss(coefficient: 0.3)
    let block = RouterBlock(
      router: router, balance: balance, hidden: 7, sequences: 2, length: 3, epsilon: 1e-5)
    let tokens = block.tokens
    var generator = SeededGenerator(seed: 3)
    let x = generator.floats(tokens * 7)
    let parameters = generator.floats(block.parameters.count)
    let bias = generator.floats(6, scale: 0.2)
    let (dNormed, dWeights, dy) = (
      generator.floats(x.count), generator.floats(tokens * 3), generator.floats(x.count)
    )
    var saved = [Float](repeating: .nan, count: block.savedCount)
    var scratch = [Float](repeating: .nan, count: block.scratchCount)
    var indices = [Int32](repeating: -1, count: tokens * 3)
    var weights = [Float](repeating: .nan, count: tokens * 3)
    block.forward(
      input: x, parameters: parameters, bias: bias, saved: &saved, scratch: &scratch, indices: &indices,
      weights: &weights)
    let chosen = indices
    // Everything downstream as one number; the choice stays what it was.
    func value(_ x: [Float], _ parameters: [Float]) -> Double {
      var saved = [Float](repeating: .nan, count: block.savedCount)
      let loss = block.forward(
        input: x, parameters: parameters, bias: bias, given: chosen, saved: &saved, scratch: &scratch,
        indices: &indices, weights: &weights)
      #expect(indices == chosen)
      let normed = saved.withUnsafeMutableBufferPointer {
        Array(UnsafeBufferPointer(start: block.normed(in: $0.baseAddress!), count: x.count))
      }
      func dot(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      }
      return loss * 0.7 + dot(normed, dNormed) + dot(weights, dWeights) + dot(x, dy)
    }
    var dx = dy
    block.inputGradient(
      normedGradient: dNormed, weightGradients: dWeights, indices: chosen, residualGradient: dy,
      balanceScale: 0.7, parameters: parameters, saved: &saved, scratch: &scratch, inputGradient: &dx)
    var gradients = [Float](repeating: 1, count: parameters.count)
    block.weightGradient(saved: &saved, gradients: &gradients)
    for index in x.indices {
      var (above, below) = (x, x)
      above[index] += 0.005
      below[index] -= 0.005
      #expect(abs((value(above, parameters) - value(below, parameters)) / 0.01 - Double(dx[index])) < 3e-3)
    }
    for index in parameters.indices {
      var (above, below) = (parameters, parameters)
      above[index] += 0.005
      below[index] -= 0.005
      let slope = (value(x, above) - value(x, below)) / 0.01
      #expect(abs(slope - Double(gradients[index] - 1)) < 3e-3)
    }
  }
}
