import Kernels
import Operators
import Plans

/// Runs the compute tasks of a mixture's half of a layer: router, shared experts, routed experts.
final class MixtureCompute {
  private let state: ModelState
  private let tokens: Int
  private let hidden: Int
  /// The balance loss is the mean over all sequences of the step.
  private let balanceScale: Double
  private let scratch: FloatBuffer
  private let losses: StepLosses
  private let given: GivenChoices?
  /// Tokens travel between ranks.
  private let hasExchange: Bool
  /// Which expert group this rank is in, and its place there.
  private let group: Int
  private let member: Int
  /// What this rank dispatched in the step at hand.
  private(set) var traffic: [TrafficRow] = []
  /// Of one call: what the experts need, and their rows before they are summed.
  private var expertScratch = GrowingBuffer<Float>()
  private var expertRows = GrowingBuffer<Float>()
  private var rowGradients = GrowingBuffer<Float>()

  init(
    _ state: ModelState, group: Int, scratch: FloatBuffer, losses: StepLosses, given: GivenChoices?
  ) {
    let plan = state.plan
    self.state = state
    self.group = group
    tokens = plan.plan.microBatch * plan.plan.sequence
    member = plan.grid.expertCoordinates(of: state.rank).expert
    self.scratch = scratch
    self.losses = losses
    self.given = given
    hidden = plan.model.hidden
    // The kernel's loss is the mean over the sequences of one micro-batch on one rank.
    balanceScale = Double(plan.plan.microBatch) / Double(plan.plan.globalBatch)
    hasExchange = plan.plan.expert > 1
  }

  // MARK: Router

  func route(
    _ blocks: MixtureBlocks, _ segment: SegmentState, _ chunk: ChunkBuffers, _ index: Int
  ) {
    let buffers = chunk.segments[index]
    guard let bucket = segment.dense, let mixture = buffers.mixture else { return }
    let choices = given?.choices(of: segment, batch: chunk.batch)
    let loss = blocks.router.forward(
      input: buffers.middle.pointer, parameters: bucket.parameters.pointer + blocks.routerOffset,
      bias: segment.selection.map { UnsafePointer($0.bias.pointer) }, given: choices,
      saved: mixture.routerSaved.pointer, scratch: scratch.pointer, indices: mixture.indices.pointer,
      weights: mixture.weights.pointer)
    losses.balance[chunk.batch] += loss * balanceScale
    if let selection = segment.selection {
      Router.count(
        indices: mixture.indices.pointer, choices: mixture.indices.count, into: selection.counts.pointer)
    }
    if hasExchange { arrange(mixture.exchange, mixture.indices, segment, batch: chunk.batch) }
  }

  private func arrange(
    _ exchange: ExpertExchange, _ indices: Buffer<Int32>, _ segment: SegmentState, batch: Int
  ) {
    guard case .layer(let layer) = segment.kind else { return }
    exchange.layout.arrange(choices: indices.pointer)
    traffic.append(
      TrafficRow(
        layer: layer, batch: batch, group: group, member: member,
        tokens: (0..<exchange.members).map { Int32(exchange.layout.count(rank: $0)) }))
  }

  /// Forgets what was dispatched; called before a step.
  func beginStep() { traffic.removeAll(keepingCapacity: true) }

  /// From the gradient of the normed rows and of the weights to that of the rows between the halves.
  func routeGradient(
    _ blocks: MixtureBlocks, _ segment: SegmentState, _ chunk: ChunkBuffers, _ index: Int
  ) {
    guard let bucket = segment.dense, let mixture = chunk.segments[index].mixture else { return }
    blocks.router.inputGradient(
      normedGradient: mixture.routed.pointer, weightGradients: mixture.weightGradients.pointer,
      indices: mixture.indices.pointer, residualGradient: chunk.gradient.pointer,
      balanceScale: Float(balanceScale), parameters: bucket.parameters.pointer + blocks.routerOffset,
      saved: mixture.routerSaved.pointer, scratch: scratch.pointer, inputGradient: chunk.gradient.pointer)
  }

  func routeWeightGradient(
    _ blocks: MixtureBlocks, _ segment: SegmentState, _ chunk: ChunkBuffers, _ index: Int
  ) {
    guard let bucket = segment.dense, let mixture = chunk.segments[index].mixture else { return }
    blocks.router.weightGradient(
      saved: mixture.routerSaved.pointer, gradients: bucket.gradients.pointer + blocks.routerOffset)
  }

  // MARK: Shared experts

  func shared(
    _ blocks: MixtureBlocks, _ pass: Pass, _ segment: SegmentState, _ chunk: ChunkBuffers, _ index: Int
  ) {
    guard let block = blocks.shared, let bucket = segment.dense, let mixture = chunk.segments[index].mixture
    else { return }
    let parameters = bucket.parameters.pointer + blocks.sharedOffset
    let normed = blocks.router.normed(in: mixture.routerSaved.pointer)
    switch pass {
    case .forward:
      block.forward(
        input: normed, parameters: parameters, saved: mixture.sharedSaved.pointer,
        output: mixture.shared.pointer)
    case .inputGradient:
      block.inputGradient(
        outputGradient: chunk.gradient.pointer, parameters: parameters, saved: mixture.sharedSaved.pointer,
        scratch: scratch.pointer, inputGradient: mixture.routed.pointer)
    case .weightGradient:
      block.weightGradient(
        input: normed, outputGradient: mixture.outputGradient.pointer, saved: mixture.sharedSaved.pointer,
        gradients: bucket.gradients.pointer + blocks.sharedOffset)
    }
  }

  // MARK: Routed experts

  func experts(
    _ blocks: MixtureBlocks, _ pass: Pass, _ segment: SegmentState, _ chunk: ChunkBuffers, _ index: Int
  ) {
    let buffers = chunk.segments[index]
    guard let bucket = segment.expert, let mixture = buffers.mixture else { return }
    let exchange = mixture.exchange
    if !hasExchange, pass == .forward {
      exchange.received.arrange(
        choices: mixture.indices.pointer, weights: mixture.weights.pointer, tokens: tokens)
    }
    let received = exchange.received
    let rows = received.expertRows
    let room = expertScratch.pointer(count: blocks.experts.scratchCount(rows: received.rows))
    let input =
      hasExchange
      ? exchange.rows.pointer(count: received.tokens * hidden)
      : blocks.router.normed(in: mixture.routerSaved.pointer)
    switch pass {
    case .forward:
      let outputs = expertRows.pointer(count: received.rows * hidden)
      blocks.experts.forward(
        rows: rows, input: input, parameters: bucket.parameters.pointer,
        saved: exchange.saved.pointer(count: blocks.experts.savedCount(rows: received.rows)), scratch: room,
        output: outputs)
      let results =
        hasExchange ? exchange.results.pointer(count: received.tokens * hidden) : mixture.routed.pointer
      received.combine(outputs, width: hidden, into: results)
      if !hasExchange { finishForward(blocks, chunk, index) }
    case .inputGradient:
      prepareBackward(blocks, chunk, index)
      let inputs = expertRows.pointer(count: received.rows * hidden)
      let ofWeights = rowGradients.pointer(count: received.rows)
      blocks.experts.inputGradient(
        rows: rows, outputGradient: outputGradient(mixture, received.tokens),
        parameters: bucket.parameters.pointer,
        saved: exchange.saved.pointer, scratch: room, weightGradients: ofWeights, inputGradient: inputs)
      if hasExchange {
        received.sum(inputs, width: hidden, into: exchange.results.pointer(count: received.tokens * hidden))
        received.scatter(
          ofWeights, into: exchange.weightGradients.pointer(count: received.tokens * exchange.topK))
      } else {
        received.sum(inputs, width: hidden, into: mixture.routed.pointer, accumulate: true)
        received.scatter(ofWeights, into: mixture.weightGradients.pointer)
      }
    case .weightGradient:
      blocks.experts.weightGradient(
        rows: rows, input: input, outputGradient: outputGradient(mixture, received.tokens),
        saved: exchange.saved.pointer, scratch: room, gradients: bucket.gradients.pointer)
    }
  }

  private func outputGradient(_ mixture: MixtureBuffers, _ tokens: Int) -> UnsafePointer<Float> {
    UnsafePointer(
      hasExchange
        ? mixture.exchange.gradients.pointer(count: tokens * hidden) : mixture.outputGradient.pointer)
  }

  /// The layer's output, once the routed experts' outputs are back: residual, routed and shared.
  func finishForward(_ blocks: MixtureBlocks, _ chunk: ChunkBuffers, _ index: Int) {
    let buffers = chunk.segments[index]
    guard let mixture = buffers.mixture else { return }
    let (residual, routed, output) = (buffers.middle.pointer, mixture.routed.pointer, buffers.output.pointer)
    if blocks.shared == nil {
      for element in 0..<buffers.output.count { output[element] = residual[element] + routed[element] }
    } else {
      let shared = mixture.shared.pointer
      for element in 0..<buffers.output.count {
        output[element] = residual[element] + (routed[element] + shared[element])
      }
    }
  }

  /// Keeps the gradient of the layer's output for the weight gradients, and starts the normed rows' gradient.
  ///
  /// Called by the first of the layer's backward tasks that needs it.
  func prepareBackward(_ blocks: MixtureBlocks, _ chunk: ChunkBuffers, _ index: Int) {
    guard let mixture = chunk.segments[index].mixture else { return }
    mixture.outputGradient.pointer.update(from: chunk.gradient.pointer, count: mixture.outputGradient.count)
    if blocks.shared == nil { mixture.routed.clear() }
  }
}
