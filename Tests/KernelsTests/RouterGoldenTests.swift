import Tensors
import TestSupport
import Testing

@testable import Kernels

/// The dimensions of a golden layer, as its file states them.
struct GoldenLayer: Decodable {
  var tokens: Int
  var hidden: Int?
  var experts: Int
  var groups: Int
  var limitedGroups: Int
  var topK: Int
  var sharedExperts: Int?
  var intermediate: Int?
  var normalizes: Bool?
  var scaling: Float
  var length: Int?
  var alpha: Float?

  private enum CodingKeys: String, CodingKey {
    case tokens, hidden, alpha
    case experts = "n_experts"
    case groups = "n_group"
    case limitedGroups = "topk_group"
    case topK = "top_k"
    case sharedExperts = "n_shared"
    case intermediate = "moe_inter"
    case normalizes = "norm_topk_prob"
    case scaling = "routed_scaling_factor"
    case length = "seq_len"
  }

  var router: Router {
    Router(
      experts: experts, topK: topK, groups: groups, limitedGroups: limitedGroups,
      normalizes: normalizes ?? true, scaling: scaling)
  }
}

/// What the golden layers may differ by, of the tensor's largest element.
let goldenTolerance = 2e-5

extension Router {
  func scores(_ logits: [Float]) -> [Float] {
    var scores = logits
    score(logits: logits, tokens: logits.count / experts, scores: &scores)
    return scores
  }

  func choices(_ scores: [Float], _ bias: [Float]?) -> [Int32] {
    let tokens = scores.count / experts
    var scratch = [Float](repeating: .nan, count: scratchCount)
    var indices = [Int32](repeating: -7, count: tokens * topK)
    choose(scores: scores, bias: bias, tokens: tokens, scratch: &scratch, indices: &indices)
    return indices
  }

  func weights(_ scores: [Float], _ indices: [Int32]) -> [Float] {
    var weights = [Float](repeating: -7, count: indices.count)
    weigh(scores: scores, indices: indices, tokens: scores.count / experts, weights: &weights)
    return weights
  }

  /// The groups of each token, best first.
  func groupChoices(_ scores: [Float], _ bias: [Float]) -> (keys: [Float], groups: [Int32]) {
    var keys: [Float] = []
    var chosen: [Int32] = []
    let size = experts / groups
    for token in 0..<scores.count / experts {
      let row = Array(scores[token * experts..<(token + 1) * experts])
      let own = (0..<groups).map { groupKey(row, bias, $0 * size..<($0 + 1) * size) }
      keys += own
      chosen += (0..<groups).sorted { own[$0] != own[$1] ? own[$0] > own[$1] : $0 < $1 }
        .prefix(limitedGroups).map(Int32.init)
    }
    return (keys, chosen)
  }
}

@Suite struct RouterGoldenTests {
  private func input() throws -> (TensorFile, GoldenLayer) {
    let file = try goldenFile("router")
    return (file, try file.described("config"))
  }

  private func scores(_ file: TensorFile, _ layer: GoldenLayer) throws -> [Float] {
    var logits = [Float](repeating: .nan, count: layer.tokens * layer.experts)
    MatrixProduct.multiply(
      try file.floats("x"), try file.floats("w_gate"), bTransposed: true, into: &logits, rows: layer.tokens,
      columns: layer.experts, depth: try #require(layer.hidden))
    #expect(try relativeError(logits, file.floats("logits")) <= goldenTolerance)
    return layer.router.scores(logits)
  }

  @Test func `scores, groups, experts and weights are those of the golden file`() throws {
    let (file, layer) = try input()
    let scores = try scores(file, layer)
    let bias = try file.floats("bias")
    #expect(try relativeError(scores, file.floats("scores")) <= goldenTolerance)
    let (keys, groups) = layer.router.groupChoices(scores, bias)
    #expect(try relativeError(keys, file.floats("group_scores")) <= goldenTolerance)
    #expect(try groups == file.int32s("group_idx"))
    let indices = layer.router.choices(scores, bias)
    #expect(try indices == file.int32s("topk_idx"))
    #expect(
      try relativeError(layer.router.weights(scores, indices), file.floats("topk_weights")) <= goldenTolerance
    )
    var counts = [Int32](repeating: 0, count: layer.experts)
    Router.count(indices: indices, choices: indices.count, into: &counts)
    #expect(try counts == file.int32s("counts"))
  }

  @Test(arguments: ["no_norm", "no_group_limit", "one_group", "zero_bias", "neg_bias"])
  func `each variant of the choice is that of the golden file`(variant: String) throws {
    let (file, layer) = try input()
    var router = layer.router
    var bias = try file.floats("bias")
    switch variant {
    case "no_norm": router.normalizes = false
    case "no_group_limit": router.limitedGroups = router.groups
    case "one_group":
      router.limitedGroups = 1
      router.topK = try file.shape("one_group/topk_idx")[1]
    case "zero_bias": bias = bias.map { _ in 0 }
    default: bias = try file.floats("neg_bias/bias")
    }
    let scores = try scores(file, layer)
    let indices = router.choices(scores, bias)
    #expect(try indices == file.int32s("\(variant)/topk_idx"))
    let expected = try file.floats("\(variant)/topk_weights")
    #expect(relativeError(router.weights(scores, indices), expected) <= goldenTolerance)
    if variant == "zero_bias" { #expect(router.choices(scores, nil) == indices) }
  }

  @Test func `gradients are those of the golden file`() throws {
    let (file, layer) = try input()
    let hidden = try #require(layer.hidden)
    let router = layer.router
    let scores = try scores(file, layer)
    var gradients = [Float](repeating: 0, count: scores.count)
    router.addScoreGradient(
      weightGradients: try file.floats("d_topk_weights"), scores: scores,
      indices: try file.int32s("topk_idx"),
      tokens: layer.tokens, scoreGradients: &gradients)
    #expect(try relativeError(gradients, file.floats("d_scores")) <= goldenTolerance)
    router.turnIntoLogitGradient(&gradients, scores: scores, tokens: layer.tokens)
    #expect(try relativeError(gradients, file.floats("d_logits")) <= goldenTolerance)
    var dx = [Float](repeating: .nan, count: layer.tokens * hidden)
    MatrixProduct.multiply(
      gradients, try file.floats("w_gate"), into: &dx, rows: layer.tokens, columns: hidden,
      depth: layer.experts)
    #expect(try relativeError(dx, file.floats("d_x")) <= goldenTolerance)
    var dw = [Float](repeating: .nan, count: layer.experts * hidden)
    MatrixProduct.multiply(
      gradients, aTransposed: true, try file.floats("x"), into: &dw, rows: layer.experts, columns: hidden,
      depth: layer.tokens)
    #expect(try relativeError(dw, file.floats("d_w_gate")) <= goldenTolerance)
  }

  @Test(arguments: [BalanceLoss.Variant.routed, .unbiased])
  func `balance loss and its gradient are those of the golden file`(variant: BalanceLoss.Variant) throws {
    let (file, layer) = try input()
    let router = layer.router
    let scores = try scores(file, layer)
    let length = try #require(layer.length)
    let sequences = layer.tokens / length
    let loss = BalanceLoss(coefficient: try #require(layer.alpha), variant: variant)
    let name = variant == .routed ? "balance_routed" : "balance_unbiased"
    var scratch = [Float](repeating: .nan, count: loss.scratchCount(router: router, length: length))
    var fractions = [Float](repeating: .nan, count: sequences * router.experts)
    let value = loss.evaluate(
      router: router, scores: scores, indices: try file.int32s("topk_idx"), sequences: sequences,
      length: length,
      scratch: &scratch, fractions: &fractions)
    #expect(try relativeError([Float(value)], file.floats("\(name)/loss")) <= goldenTolerance)
    #expect(try relativeError(fractions, file.floats("\(name)/f")) <= goldenTolerance)
    var gradients = [Float](repeating: 0, count: scores.count)
    loss.addGradient(
      router: router, scores: scores, fractions: fractions, sequences: sequences, length: length, scale: 1,
      scoreGradients: &gradients)
    router.turnIntoLogitGradient(&gradients, scores: scores, tokens: layer.tokens)
    #expect(try relativeError(gradients, file.floats("\(name)/d_logits")) <= goldenTolerance)
  }

  @Test func `exact ties go to the lowest index, of groups and of experts`() throws {
    let file = try goldenFile("router_edge")
    let cases: [String: GoldenLayer] = try file.described("config")
    for (name, layer) in cases {
      let scores = try file.floats("\(name)/scores")
      let bias = try file.floats("\(name)/bias")
      let (keys, groups) = layer.router.groupChoices(scores, bias)
      #expect(try relativeError(keys, file.floats("\(name)/group_scores")) <= goldenTolerance)
      #expect(try groups == file.int32s("\(name)/group_idx"))
      let indices = layer.router.choices(scores, bias)
      #expect(try indices == file.int32s("\(name)/topk_idx"), "\(name)")
      let weights = layer.router.weights(scores, indices)
      #expect(try relativeError(weights, file.floats("\(name)/topk_weights")) <= goldenTolerance)
    }
  }

  @Test func `infinite logits choose as their scores say, and what is not a number stays in its row`() throws
  {
    let file = try goldenFile("router_edge")
    let layer = try #require(try file.described("config", as: [String: GoldenLayer].self)["ties"])
    let router = layer.router
    let scores = router.scores(try file.floats("nonfinite/logits"))
    let indices = router.choices(scores, try file.floats("nonfinite/bias"))
    let weights = router.weights(scores, indices)
    let expectedScores = try file.floats("nonfinite/scores")
    let expectedIndices = try file.int32s("nonfinite/topk_idx")
    let expectedWeights = try file.floats("nonfinite/topk_weights")
    for (token, isValid) in try file.uint8s("nonfinite/valid").enumerated() {
      let slots = token * router.topK..<(token + 1) * router.topK
      #expect(Set(indices[slots]).count == router.topK)
      #expect(indices[slots].allSatisfy { (0..<Int32(router.experts)).contains($0) })
      if isValid == 1 {
        #expect(indices[slots] == expectedIndices[slots])
        #expect(relativeError(Array(weights[slots]), Array(expectedWeights[slots])) <= goldenTolerance)
        let row = token * router.experts..<(token + 1) * router.experts
        #expect(relativeError(Array(scores[row]), Array(expectedScores[row])) <= goldenTolerance)
      } else {
        #expect(weights[slots].allSatisfy { $0.isNaN })
      }
    }
  }

  @Test func `the bias follows the counts of each step`() throws {
    let file = try goldenFile("bias_update")
    struct Steps: Decodable {
      var experts: Int
      var steps: Int
      var gamma: Float

      private enum CodingKeys: String, CodingKey {
        case steps, gamma
        case experts = "n_experts"
      }
    }
    let steps: Steps = try file.described("config")
    let expected = try file.floats("bias")
    let counts = try file.int32s("counts").map(Float.init)
    var bias = Array(expected[..<steps.experts])
    for step in 0..<steps.steps {
      let row = step * steps.experts..<(step + 1) * steps.experts
      Router.updateBias(&bias, counts: Array(counts[row]), experts: steps.experts, speed: steps.gamma)
      let next = Array(expected[row.upperBound..<row.upperBound + steps.experts])
      #expect(relativeError(bias, next) <= goldenTolerance)
    }
  }
}
