import CKernels

/// The first part of a mixture-of-experts layer: the norm before the experts, and the router.
///
/// The normed rows go to the shared expert and to dispatch; what comes back from there enters `inputGradient`. The
/// layer's residual connection passes through here in the backward pass alone; forward the caller adds its input.
public struct RouterBlock: Block, Sendable {
  public let router: Router
  public let balance: BalanceLoss
  public let hidden: Int
  public let sequences: Int
  public let length: Int
  public let norm: RMSNorm
  public let parameters: ParameterLayout
  public let savedCount: Int
  public let scratchCount: Int

  private let gateOffset: Int

  public init(
    router: Router, balance: BalanceLoss, hidden: Int, sequences: Int, length: Int, epsilon: Float
  ) {
    self.router = router
    self.balance = balance
    self.hidden = hidden
    self.sequences = sequences
    self.length = length
    norm = RMSNorm(width: hidden, epsilon: epsilon)
    var layout = ParameterLayout()
    layout.append("post_attention_layernorm.weight", [hidden])
    gateOffset = layout.append("mlp.gate.weight", [router.experts, hidden])
    parameters = layout
    let tokens = sequences * length
    savedCount = tokens * (2 * hidden + 1 + 2 * router.experts) + sequences * router.experts + hidden
    scratchCount = max(tokens * hidden, router.scratchCount, balance.scratchCount(router: router, length: length))
  }

  public var tokens: Int { sequences * length }

  /// What lies where in `saved`.
  private struct Saved {
    var input, inverse, normed, scores, logitGradients, fractions, normGradient: UnsafeMutablePointer<Float>
  }

  private func parts(_ saved: UnsafeMutablePointer<Float>) -> Saved {
    let rows = tokens * hidden
    let choices = tokens * router.experts
    let inverse = saved + 2 * rows
    let scores = inverse + tokens
    let fractions = scores + 2 * choices
    return Saved(
      input: saved, inverse: inverse, normed: saved + rows, scores: scores, logitGradients: scores + choices,
      fractions: fractions, normGradient: fractions + sequences * router.experts)
  }

  /// The normed rows, `[tokens, hidden]`, that `forward` left in `saved`.
  public func normed(in saved: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> { parts(saved).normed }

  /// The scores, `[tokens, experts]`, that `forward` left in `saved`.
  public func scores(in saved: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> { parts(saved).scores }

  /// Norm, scores, choice and weights; returns the balance loss, averaged over the sequences here.
  ///
  /// - Parameters:
  ///   - input: `[tokens, hidden]`.
  ///   - bias: `[experts]`, moves the choice alone; none for zeros.
  ///   - given: `[tokens, topK]`, experts chosen elsewhere, to be taken as they are; weights come from their scores.
  ///   - indices: `[tokens, topK]`, receives the experts, best first.
  ///   - weights: `[tokens, topK]`.
  @discardableResult
  public func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    given: UnsafePointer<Int32>? = nil, saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    indices: UnsafeMutablePointer<Int32>, weights: UnsafeMutablePointer<Float>
  ) -> Double {
    let parts = parts(saved)
    parts.input.update(from: input, count: tokens * hidden)
    norm.forward(
      input: input, pitch: hidden, rows: tokens, weight: parameters, inverse: parts.inverse, output: parts.normed,
      outputPitch: hidden)
    MatrixProduct.multiply(
      parts.normed, parameters + gateOffset, bTransposed: true, into: parts.scores, rows: tokens,
      columns: router.experts, depth: hidden)
    router.score(logits: parts.scores, tokens: tokens, scores: parts.scores)
    if let given {
      indices.update(from: given, count: tokens * router.topK)
    } else {
      router.choose(scores: parts.scores, bias: bias, tokens: tokens, scratch: scratch, indices: indices)
    }
    router.weigh(scores: parts.scores, indices: indices, tokens: tokens, weights: weights)
    guard balance.coefficient != 0 else { return 0 }
    return balance.evaluate(
      router: router, scores: parts.scores, indices: indices, sequences: sequences, length: length,
      scratch: scratch, fractions: parts.fractions)
  }

  /// The gradient of the layer's input, through norm and router and past them.
  ///
  /// - Parameters:
  ///   - normedGradient: `[tokens, hidden]`, of the normed rows, shared expert and routed experts together.
  ///   - weightGradients: `[tokens, topK]`.
  ///   - indices: `[tokens, topK]`, of the forward pass.
  ///   - residualGradient: `[tokens, hidden]`, of the layer's output.
  ///   - balanceScale: What the loss of the step takes of the balance loss returned.
  ///   - inputGradient: May be `residualGradient` or `normedGradient`.
  public func inputGradient(
    normedGradient: UnsafePointer<Float>, weightGradients: UnsafePointer<Float>, indices: UnsafePointer<Int32>,
    residualGradient: UnsafePointer<Float>, balanceScale: Float, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>
  ) {
    let parts = parts(saved)
    let gradients = parts.logitGradients
    gradients.update(repeating: 0, count: tokens * router.experts)
    router.addScoreGradient(
      weightGradients: weightGradients, scores: parts.scores, indices: indices, tokens: tokens,
      scoreGradients: gradients)
    if balance.coefficient != 0 {
      balance.addGradient(
        router: router, scores: parts.scores, fractions: parts.fractions, sequences: sequences, length: length,
        scale: balanceScale, scoreGradients: gradients)
    }
    router.turnIntoLogitGradient(gradients, scores: parts.scores, tokens: tokens)
    scratch.update(from: normedGradient, count: tokens * hidden)
    MatrixProduct.multiply(
      gradients, parameters + gateOffset, into: scratch, rows: tokens, columns: hidden, depth: router.experts,
      accumulate: true)
    parts.normGradient.update(repeating: 0, count: hidden)
    norm.gradient(
      outputGradient: scratch, gradientPitch: hidden, input: parts.input, pitch: hidden, rows: tokens,
      weight: parameters, inverse: parts.inverse, residual: residualGradient, inputGradient: inputGradient,
      inputGradientPitch: hidden, weightGradient: parts.normGradient)
  }

  /// Adds the gradients of the norm's weight and of the router; may run long after the input gradient.
  public func weightGradient(
    saved: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>
  ) {
    let parts = parts(saved)
    ck_axpy(1, parts.normGradient, gradients, hidden)
    MatrixProduct.multiply(
      parts.logitGradients, aTransposed: true, parts.normed, into: gradients + gateOffset, rows: router.experts,
      columns: hidden, depth: tokens, accumulate: true)
  }
}
