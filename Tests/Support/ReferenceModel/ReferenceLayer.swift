import Kernels

/// One layer of the reference model.
final class ReferenceLayer {
  let attention: Held<AttentionBlock>
  let dense: Held<FeedForwardBlock>?
  let mixture: ReferenceMixture?

  init(_ shape: ReferenceModel.Shape, prefix: String, mixture: ReferenceModel.Shape.Mixture?) {
    attention = Held(
      AttentionBlock(
        shape.attention, hidden: shape.hidden, sequences: shape.sequences, length: shape.length,
        epsilon: shape.epsilon, rotary: shape.rotary), prefix: prefix)
    dense =
      mixture == nil
      ? Held(
        FeedForwardBlock(
          hidden: shape.hidden, intermediate: shape.intermediate, tokens: shape.tokens, epsilon: shape.epsilon
        ), prefix: prefix) : nil
    self.mixture = mixture.map { ReferenceMixture(shape, $0, prefix: prefix) }
  }

  var holders: [any Holding] {
    [attention] + (dense.map { [$0] } ?? []) + (mixture?.holders ?? [])
  }

  /// In place; returns the balance loss.
  func forward(_ rows: Buffer, scratch: Buffer) -> Double {
    let input = Buffer(rows.count)
    input.base.update(from: rows.base, count: rows.count)
    attention.block.forward(
      input: input.base, parameters: attention.weights.base, saved: attention.saved.base,
      scratch: scratch.base, output: rows.base)
    if let dense {
      input.base.update(from: rows.base, count: rows.count)
      dense.block.forward(
        input: input.base, parameters: dense.weights.base, saved: dense.saved.base, scratch: scratch.base,
        output: rows.base)
    }
    return mixture?.forward(rows, scratch: scratch) ?? 0
  }

  /// In place, from the gradient of the output to that of the input.
  func backward(_ rows: Buffer, balanceScale: Float, scratch: Buffer) {
    mixture?.backward(rows, balanceScale: balanceScale, scratch: scratch)
    if let dense { backward(dense, rows, scratch: scratch) }
    backward(attention, rows, scratch: scratch)
  }

  private func backward(_ holder: Held<some LayerBlock>, _ rows: Buffer, scratch: Buffer) {
    holder.block.inputGradient(
      outputGradient: rows.base, parameters: holder.weights.base, saved: holder.saved.base,
      scratch: scratch.base, inputGradient: rows.base)
    holder.block.weightGradient(
      parameters: holder.weights.base, saved: holder.saved.base, scratch: scratch.base,
      gradients: holder.gradients.base)
  }
}

/// The mixture half of a layer, all experts on this process.
public final class ReferenceMixture {
  public let prefix: String
  /// `[experts]`; moves the choice alone.
  public var selectionBias: [Float]
  /// `[experts]`: tokens of the step so far.
  public var counts: [Int32]
  /// `[tokens, topK]` of the last micro-batch.
  public private(set) var indices: [Int32]

  private let router: Held<RouterBlock>
  private let shared: Held<SharedExpertBlock>?
  private let experts: HeldExperts
  private let received: ReceivedTokens
  private let weights: Buffer
  private let outputGradient: Buffer

  /// The experts with their memory: that of saved rows is for the most there can be.
  private struct HeldExperts: Holding {
    let block: ExpertsBlock
    let prefix: String
    let rows: Int
    let weights: Buffer
    let gradients: Buffer
    let saved: Buffer

    init(_ block: ExpertsBlock, rows: Int, prefix: String) {
      self.block = block
      self.prefix = prefix
      self.rows = rows
      weights = Buffer(block.parameters.count)
      gradients = Buffer(block.parameters.count)
      saved = Buffer(block.savedCount(rows: rows))
    }

    var layout: ParameterLayout { block.parameters }
    var scratchCount: Int { block.scratchCount(rows: rows) }
  }

  init(_ shape: ReferenceModel.Shape, _ mixture: ReferenceModel.Shape.Mixture, prefix: String) {
    self.prefix = prefix
    router = Held(
      RouterBlock(
        router: mixture.router, balance: BalanceLoss(coefficient: mixture.balanceLoss), hidden: shape.hidden,
        sequences: shape.sequences, length: shape.length, epsilon: shape.epsilon), prefix: prefix)
    shared =
      mixture.sharedIntermediate > 0
      ? Held(
        SharedExpertBlock(
          hidden: shape.hidden, intermediate: mixture.sharedIntermediate, tokens: shape.tokens),
        prefix: prefix) : nil
    let rows = shape.tokens * mixture.router.topK
    experts = HeldExperts(
      ExpertsBlock(experts: mixture.router.experts, hidden: shape.hidden, intermediate: mixture.intermediate),
      rows: rows, prefix: prefix)
    received = ReceivedTokens(
      firstExpert: 0, experts: mixture.router.experts, topK: mixture.router.topK, capacity: shape.tokens)
    selectionBias = Array(repeating: 0, count: mixture.router.experts)
    counts = Array(repeating: 0, count: mixture.router.experts)
    indices = Array(repeating: -1, count: rows)
    weights = Buffer(rows)
    outputGradient = Buffer(shape.tokens * shape.hidden)
  }

  var holders: [any Holding] { [router] + (shared.map { [$0] } ?? []) + [experts] }

  private var tokens: Int { router.block.tokens }
  private var hidden: Int { router.block.hidden }

  func forward(_ rows: Buffer, scratch: Buffer) -> Double {
    let loss = router.block.forward(
      input: rows.base, parameters: router.weights.base, bias: selectionBias, saved: router.saved.base,
      scratch: scratch.base, indices: &indices, weights: weights.base)
    for index in indices { counts[Int(index)] += 1 }
    let normed = router.block.normed(in: router.saved.base)
    received.arrange(choices: indices, weights: weights.base, tokens: tokens)
    let expertRows = Buffer(experts.rows * hidden)
    experts.block.forward(
      rows: received.expertRows, input: normed, parameters: experts.weights.base, saved: experts.saved.base,
      scratch: scratch.base, output: expertRows.base)
    let sum = Buffer(rows.count)
    received.combine(expertRows.base, width: hidden, into: sum.base)
    add(sum, to: rows)
    if let shared {
      shared.block.forward(
        input: normed, parameters: shared.weights.base, saved: shared.saved.base, output: sum.base)
      add(sum, to: rows)
    }
    return loss
  }

  func backward(_ rows: Buffer, balanceScale: Float, scratch: Buffer) {
    outputGradient.base.update(from: rows.base, count: rows.count)
    let normed = router.block.normed(in: router.saved.base)
    let expertRows = Buffer(experts.rows * hidden)
    let rowGradients = Buffer(experts.rows)
    let weightGradients = Buffer(experts.rows)
    let normedGradient = Buffer(rows.count)
    experts.block.inputGradient(
      rows: received.expertRows, outputGradient: outputGradient.base, parameters: experts.weights.base,
      saved: experts.saved.base, scratch: scratch.base, weightGradients: rowGradients.base,
      inputGradient: expertRows.base)
    received.sum(expertRows.base, width: hidden, into: normedGradient.base)
    received.scatter(rowGradients.base, into: weightGradients.base)
    shared.map {
      $0.block.inputGradient(
        outputGradient: outputGradient.base, parameters: $0.weights.base, saved: $0.saved.base,
        scratch: scratch.base, inputGradient: normedGradient.base, accumulate: true)
    }
    router.block.inputGradient(
      normedGradient: normedGradient.base, weightGradients: weightGradients.base, indices: indices,
      residualGradient: outputGradient.base, balanceScale: balanceScale, parameters: router.weights.base,
      saved: router.saved.base, scratch: scratch.base, inputGradient: rows.base)
    experts.block.weightGradient(
      rows: received.expertRows, input: normed, outputGradient: outputGradient.base,
      saved: experts.saved.base, scratch: scratch.base, gradients: experts.gradients.base)
    shared.map {
      $0.block.weightGradient(
        input: normed, outputGradient: outputGradient.base, saved: $0.saved.base, gradients: $0.gradients.base
      )
    }
    router.block.weightGradient(saved: router.saved.base, gradients: router.gradients.base)
  }

  private func add(_ more: Buffer, to rows: Buffer) {
    for index in 0..<rows.count { rows.base[index] += more.base[index] }
  }
}
