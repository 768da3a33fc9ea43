import CKernels

/// A whole mixture-of-experts layer on one rank, from normed rows: router, routed experts and shared expert.
///
/// No norm, no residual connection, no dispatch: what tests and benchmarks compare with other implementations.
public final class MixtureLayer {
  public let router: Router
  public let experts: ExpertsBlock
  public let shared: SharedExpertBlock?
  public let tokens: Int
  public let received: ReceivedTokens
  /// `[tokens, topK]` each, of the last forward pass.
  public let indices: UnsafeMutablePointer<Int32>
  public let weights: UnsafeMutablePointer<Float>
  public let weightGradients: UnsafeMutablePointer<Float>
  /// `[tokens, experts]` each.
  public let scores: UnsafeMutablePointer<Float>
  public let logitGradients: UnsafeMutablePointer<Float>
  /// `[tokens * topK, hidden]`: the experts' outputs, then the gradients of their inputs.
  public let rows: UnsafeMutablePointer<Float>
  /// Of the experts and of the shared expert.
  public let saved: UnsafeMutablePointer<Float>
  public let sharedSaved: UnsafeMutablePointer<Float>

  let scratch: UnsafeMutablePointer<Float>
  private let rowGradients: UnsafeMutablePointer<Float>

  /// - Parameter sharedIntermediate: Of all shared experts together; 0 for none.
  public init(
    router: Router, hidden: Int, intermediate: Int, sharedIntermediate: Int, tokens: Int,
    precision: ExpertsBlock.Precision = .float32
  ) {
    self.router = router
    self.tokens = tokens
    experts = ExpertsBlock(
      experts: router.experts, hidden: hidden, intermediate: intermediate, precision: precision)
    shared =
      sharedIntermediate > 0
      ? SharedExpertBlock(hidden: hidden, intermediate: sharedIntermediate, tokens: tokens) : nil
    received = ReceivedTokens(firstExpert: 0, experts: router.experts, topK: router.topK, capacity: tokens)
    let count = tokens * router.topK
    indices = .aligned(capacity: count)
    weights = .aligned(capacity: count)
    weightGradients = .aligned(capacity: count)
    rowGradients = .aligned(capacity: count)
    scores = .aligned(capacity: tokens * router.experts)
    logitGradients = .aligned(capacity: tokens * router.experts)
    rows = .aligned(capacity: count * hidden)
    saved = .aligned(capacity: experts.savedCount(rows: count))
    sharedSaved = .aligned(capacity: max(1, shared?.savedCount ?? 0))
    scratch = .aligned(
      capacity: max(experts.scratchCount(rows: count), shared?.scratchCount ?? 0, router.scratchCount))
  }

  deinit {
    indices.deallocate()
    for buffer in [
      weights, weightGradients, rowGradients, scores, logitGradients, rows, saved, sharedSaved, scratch,
    ] {
      buffer.deallocate()
    }
  }

  /// The parameters of the layer, or their gradients: `[experts, hidden]` of the router, and the two blocks' buffers.
  public struct Parameters<Pointer> {
    public var router: Pointer
    public var experts: Pointer
    public var shared: Pointer

    public init(router: Pointer, experts: Pointer, shared: Pointer) {
      self.router = router
      self.experts = experts
      self.shared = shared
    }
  }

  /// `[tokens, hidden]` to `[tokens, hidden]`.
  public func forward(
    input: UnsafePointer<Float>, parameters: Parameters<UnsafePointer<Float>>, bias: UnsafePointer<Float>?,
    output: UnsafeMutablePointer<Float>
  ) {
    let hidden = experts.hidden
    MatrixProduct.multiply(
      input, parameters.router, bTransposed: true, into: scores, rows: tokens, columns: router.experts,
      depth: hidden)
    router.score(logits: scores, tokens: tokens, scores: scores)
    router.choose(scores: scores, bias: bias, tokens: tokens, scratch: scratch, indices: indices)
    router.weigh(scores: scores, indices: indices, tokens: tokens, weights: weights)
    received.arrange(choices: indices, weights: weights, tokens: tokens)
    experts.forward(
      rows: received.expertRows, input: input, parameters: parameters.experts, saved: saved, scratch: scratch,
      output: rows)
    received.combine(rows, width: hidden, into: output)
    if let shared {
      shared.forward(input: input, parameters: parameters.shared, saved: sharedSaved, output: rows)
      ck_axpy(1, rows, output, tokens * hidden)
    }
  }

  /// The gradient of the input.
  public func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: Parameters<UnsafePointer<Float>>,
    inputGradient: UnsafeMutablePointer<Float>
  ) {
    let hidden = experts.hidden
    experts.inputGradient(
      rows: received.expertRows, outputGradient: outputGradient, parameters: parameters.experts, saved: saved,
      scratch: scratch, weightGradients: rowGradients, inputGradient: rows)
    received.sum(rows, width: hidden, into: inputGradient)
    received.scatter(rowGradients, into: weightGradients)
    shared?.inputGradient(
      outputGradient: outputGradient, parameters: parameters.shared, saved: sharedSaved, scratch: scratch,
      inputGradient: inputGradient, accumulate: true)
    logitGradients.update(repeating: 0, count: tokens * router.experts)
    router.addScoreGradient(
      weightGradients: weightGradients, scores: scores, indices: indices, tokens: tokens,
      scoreGradients: logitGradients)
    router.turnIntoLogitGradient(logitGradients, scores: scores, tokens: tokens)
    MatrixProduct.multiply(
      logitGradients, parameters.router, into: inputGradient, rows: tokens, columns: hidden,
      depth: router.experts,
      accumulate: true)
  }

  /// The gradients of the parameters, from the input and the output's gradient of the passes before.
  public func weightGradient(
    input: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
    gradients: Parameters<UnsafeMutablePointer<Float>>, accumulate: Bool = true
  ) {
    experts.weightGradient(
      rows: received.expertRows, input: input, outputGradient: outputGradient, saved: saved, scratch: scratch,
      gradients: gradients.experts, accumulate: accumulate)
    shared?.weightGradient(
      input: input, outputGradient: outputGradient, saved: sharedSaved, gradients: gradients.shared,
      accumulate: accumulate)
    MatrixProduct.multiply(
      logitGradients, aTransposed: true, input, into: gradients.router, rows: router.experts,
      columns: experts.hidden, depth: tokens, accumulate: accumulate)
  }
}
