import Kernels
import Operators
import Plans
import Programs

/// Runs the compute tasks of one rank: kernels on a chunk's buffers.
struct SegmentCompute {
  let state: ModelState
  let tokens: Int
  let hidden: Int
  /// The loss is the mean over all tokens of the step.
  let tokenScale: Double
  let predictionWeight: Double
  let scratch: FloatBuffer
  let losses: StepLosses
  let mixture: MixtureCompute

  init(_ state: ModelState, expertGroup: Int, losses: StepLosses, given: GivenChoices?) {
    let plan = state.plan
    self.state = state
    self.losses = losses
    tokens = plan.plan.microBatch * plan.plan.sequence
    hidden = plan.model.hidden
    tokenScale = 1 / Double(plan.tokensPerStep)
    let depth = plan.model.multiTokenPredictionDepth
    predictionWeight = depth > 0 ? plan.model.numerics.predictionWeight / Double(depth) : 0
    var most = 0
    for segment in state.stages.flatMap(\.segments) { most = max(most, segment.blocks.scratchCount) }
    scratch = FloatBuffer(count: most)
    mixture = MixtureCompute(state, group: expertGroup, scratch: scratch, losses: losses, given: given)
  }

  func run(_ work: Work, chunk: ChunkBuffers, part: Int, segment index: Int) {
    let segment = state.stages[part].segments[index]
    switch (work.section, segment.blocks) {
    case (.embedding, .embedding(let block)): embed(block, work.pass, segment, chunk, index)
    case (.attention, .layer(let blocks)): attention(blocks, work.pass, segment, chunk, index)
    case (.feedForward, .layer(let blocks)): feedForward(blocks, work.pass, segment, chunk, index)
    case (.sharedExperts, .layer(let blocks)):
      guard let half = blocks.mixture else { preconditionFailure("shared experts of a dense layer") }
      mixture.shared(half, work.pass, segment, chunk, index)
    case (.experts, .layer(let blocks)):
      guard let half = blocks.mixture else { preconditionFailure("experts of a dense layer") }
      mixture.experts(half, work.pass, segment, chunk, index)
    case (.head, .head(let block)): head(block, work.pass, segment, chunk, part, index)
    case (.prediction, .prediction(let block)): prediction(block, work.pass, segment, chunk, part, index)
    default: preconditionFailure("\(work.name) of another segment")
    }
  }

  // MARK: Ends of the model

  private func embed(
    _ block: EmbeddingBlock, _ pass: Pass, _ segment: SegmentState, _ chunk: ChunkBuffers, _ index: Int
  ) {
    guard let bucket = segment.dense else { return }
    let ids = chunk.tokens(shift: 0, count: tokens)
    switch pass {
    case .forward:
      block.forward(
        ids: ids, parameters: bucket.parameters.pointer, output: chunk.segments[index].output.pointer)
    case .inputGradient: break
    case .weightGradient:
      block.weightGradient(
        ids: ids, outputGradient: chunk.gradient.pointer, gradients: bucket.gradients.pointer)
    }
  }

  /// The matrix of a head's projection: its own, the embedding where tied, the model's head for a module.
  private func projection(_ block: HeadBlock, _ segment: SegmentState, part: Int) -> (
    bucket: ParameterBucket, offset: Int
  ) {
    if let bucket = segment.dense, let offset = block.projectionOffset { return (bucket, offset) }
    if !state.plan.model.tiedEmbeddings {
      for other in state.stages[part].segments {
        if case .head(let head) = other.blocks, let bucket = other.dense, let offset = head.projectionOffset {
          return (bucket, offset)
        }
      }
    }
    guard let place = state.embedding else { preconditionFailure("a head without a projection") }
    return place
  }

  private func head(
    _ block: HeadBlock, _ pass: Pass, _ segment: SegmentState, _ chunk: ChunkBuffers, _ part: Int,
    _ index: Int
  ) {
    guard let norm = segment.dense else { return }
    let buffers = chunk.segments[index]
    let (matrix, offset) = projection(block, segment, part: part)
    switch pass {
    case .forward:
      let (shift, weight) = head(segment.kind)
      let loss = block.forward(
        input: chunk.rows(before: index), labels: chunk.tokens(shift: shift, count: tokens),
        scale: tokenScale * weight, norm: norm.parameters.pointer,
        projection: matrix.parameters.pointer + offset,
        saved: buffers.saved.pointer, scratch: scratch.pointer)
      if shift == 1 {
        losses.crossEntropy[chunk.batch] += loss
      } else {
        losses.prediction[chunk.batch] += weight > 0 ? loss / weight : 0
      }
    case .inputGradient:
      // A module that started from these rows has left its gradient for them.
      let further: UnsafePointer<Float>? =
        index + 1 < chunk.segments.count
        ? UnsafePointer(chunk.segments[index + 1].normedGradient.pointer) : nil
      block.inputGradient(
        normedGradient: further, norm: norm.parameters.pointer,
        projection: matrix.parameters.pointer + offset,
        saved: buffers.saved.pointer, scratch: scratch.pointer, inputGradient: chunk.gradient.pointer)
    case .weightGradient:
      block.weightGradient(
        saved: buffers.saved.pointer, scratch: scratch.pointer, normGradient: norm.gradients.pointer,
        projectionGradient: matrix.gradients.pointer + offset)
    }
  }

  /// How far ahead a head's labels are, and what its loss counts.
  private func head(_ kind: StageSegment) -> (shift: Int, weight: Double) {
    if case .predictionHead(let depth) = kind { (2 + depth, predictionWeight) } else { (1, 1) }
  }

  private func prediction(
    _ block: PredictionBlock, _ pass: Pass, _ segment: SegmentState, _ chunk: ChunkBuffers, _ part: Int,
    _ index: Int
  ) {
    guard case .prediction(let depth) = segment.kind, let bucket = segment.dense,
      let (table, row) = state.embedding,
      case .head(let before) = state.stages[part].segments[index - 1].blocks
    else { preconditionFailure("a prediction module follows a head and reads the embedding") }
    let buffers = chunk.segments[index]
    let ids = chunk.tokens(shift: 1 + depth, count: tokens)
    let embedding = EmbeddingBlock(hidden: hidden, vocabulary: state.plan.model.vocabulary, tokens: tokens)
    switch pass {
    case .forward:
      embedding.forward(
        ids: ids, parameters: table.parameters.pointer + row, output: buffers.embedded.pointer)
      block.forward(
        normed: before.normedRows(saved: chunk.segments[index - 1].saved.pointer),
        embedded: buffers.embedded.pointer, parameters: bucket.parameters.pointer,
        saved: buffers.saved.pointer,
        scratch: scratch.pointer, output: buffers.output.pointer)
    case .inputGradient:
      block.inputGradient(
        outputGradient: chunk.gradient.pointer, parameters: bucket.parameters.pointer,
        saved: buffers.saved.pointer, scratch: scratch.pointer,
        normedGradient: buffers.normedGradient.pointer,
        embeddedGradient: buffers.embedded.pointer)
    case .weightGradient:
      block.weightGradient(
        parameters: bucket.parameters.pointer, saved: buffers.saved.pointer, scratch: scratch.pointer,
        gradients: bucket.gradients.pointer)
      embedding.weightGradient(
        ids: ids, outputGradient: buffers.embedded.pointer, gradients: table.gradients.pointer + row)
    }
  }

  // MARK: Halves of a layer

  private func attention(
    _ blocks: LayerBlocks, _ pass: Pass, _ segment: SegmentState, _ chunk: ChunkBuffers, _ index: Int
  ) {
    guard let bucket = segment.dense else { return }
    let buffers = chunk.segments[index]
    let block = blocks.attention
    switch pass {
    case .forward:
      block.forward(
        input: chunk.rows(before: index), parameters: bucket.parameters.pointer, saved: buffers.saved.pointer,
        scratch: scratch.pointer, output: buffers.middle.pointer)
      if let half = blocks.mixture { mixture.route(half, segment, chunk, index) }
    case .inputGradient:
      if let half = blocks.mixture { mixture.routeGradient(half, segment, chunk, index) }
      block.inputGradient(
        outputGradient: chunk.gradient.pointer, parameters: bucket.parameters.pointer,
        saved: buffers.saved.pointer, scratch: scratch.pointer, inputGradient: chunk.gradient.pointer)
    case .weightGradient:
      if let half = blocks.mixture { mixture.routeWeightGradient(half, segment, chunk, index) }
      block.weightGradient(
        parameters: bucket.parameters.pointer, saved: buffers.saved.pointer, scratch: scratch.pointer,
        gradients: bucket.gradients.pointer)
    }
  }

  private func feedForward(
    _ blocks: LayerBlocks, _ pass: Pass, _ segment: SegmentState, _ chunk: ChunkBuffers, _ index: Int
  ) {
    guard case .dense(let block) = blocks.second, let bucket = segment.dense else { return }
    let buffers = chunk.segments[index]
    let offset = blocks.attention.parameters.count
    let parameters = bucket.parameters.pointer + offset
    switch pass {
    case .forward:
      block.forward(
        input: buffers.middle.pointer, parameters: parameters, saved: buffers.secondSaved.pointer,
        scratch: scratch.pointer, output: buffers.output.pointer)
    case .inputGradient:
      block.inputGradient(
        outputGradient: chunk.gradient.pointer, parameters: parameters, saved: buffers.secondSaved.pointer,
        scratch: scratch.pointer, inputGradient: chunk.gradient.pointer)
    case .weightGradient:
      block.weightGradient(
        parameters: parameters, saved: buffers.secondSaved.pointer, scratch: scratch.pointer,
        gradients: bucket.gradients.pointer + offset)
    }
  }
}
