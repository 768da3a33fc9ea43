import Kernels
import Plans
import Programs

/// From a task of a communication lane to the operation that carries it out.
extension RankExecutor {
  func operation(for task: Int) throws -> any Operation {
    switch code.kind[task] {
    case .send, .receive: return try message(task)
    case .dispatch, .combine: return try exchange(task)
    case .allReduce, .reduceScatter, .allGather: return try reduction(task)
    case .compute, .broadcast, .allToAll, .barrier:
      throw TransportError("\(code.kind[task].name) is no task of an executed plan")
    }
  }

  // MARK: Messages between stages

  private func message(_ task: Int) throws -> any Operation {
    guard let chunk = code.chunk(ofTask: task) else { preconditionFailure("a message of no chunk") }
    let isForward = code.pass[task] == .forward
    let isSend = code.kind[task] == .send
    let buffers = buffers(of: chunk, isForward: isForward)
    let communicator = program.communicators[Int(code.communicator[task])]
    let group = communicator.group(ofRank: state.rank)
    let peer = Int(group[group.startIndex + Int(code.peer[task])])
    let values = isForward ? (isSend ? buffers.output : buffers.input.pointer) : buffers.gradient.pointer
    let plan = state.plan
    guard let payload = RowPayload(plan.plan.precision.residual) else {
      throw TransportError("rows cannot travel in this format")
    }
    let rows = RowMessage(
      payload, values: values, rows: plan.plan.microBatch * plan.plan.sequence, width: plan.model.hidden)
    let transport = transport
    let tag = Int(code.tag[task])
    if isSend {
      return MessageOperation(transport, start: { try transport.send(rows.packed(), to: peer, tag: tag) })
    }
    return MessageOperation(
      transport, start: { try transport.receive(into: rows.room, from: peer, tag: tag) },
      finish: { rows.unpack() })
  }

  // MARK: Tokens to experts and back

  private func exchange(_ task: Int) throws -> any Operation {
    guard let chunk = code.chunk(ofTask: task) else { preconditionFailure("an exchange of no chunk") }
    let isForward = code.pass[task] == .forward
    let isDispatch = code.kind[task] == .dispatch
    let buffers = buffers(of: chunk, isForward: isForward)
    let index = Int(code.segment[task])
    guard case .layer(let blocks) = state.stages[Int(chunk.part)].segments[index].blocks,
      let half = blocks.mixture,
      let mixture = buffers.segments[index].mixture
    else { preconditionFailure("an exchange of a dense layer") }
    let precision = state.plan.plan.precision
    guard let format = RowPayload(isDispatch ? precision.dispatch : precision.combine) else {
      throw TransportError("rows cannot travel in this format")
    }
    let direction: ExchangeOperation.Direction =
      isDispatch ? (isForward ? .dispatch : .dispatchGradient) : (isForward ? .combine : .combineGradient)
    let source = isForward ? half.router.normed(in: mixture.routerSaved.pointer) : buffers.gradient.pointer
    let compute = compute.mixture
    return ExchangeOperation(
      direction, mixture.exchange, mixture: mixture, source: source, format: format, staging: staging,
      transport: transport, place: channels.place(of: task, in: code, program: program, rank: state.rank),
      finish: { if direction == .combine { compute.finishForward(half, buffers, index) } })
  }

  // MARK: Reductions

  private func reduction(_ task: Int) throws -> any Operation {
    switch code.purpose[task] {
    case .gradientNorm:
      norm.pointer.pointee = optimizer.squaredNorm()
      return try reduction(task, of: .float64, norm.bytes)
    case .expertCounts:
      guard let selection = segment(of: task).selection else {
        preconditionFailure("counts of a dense layer")
      }
      return try reduction(task, of: .int32, selection.counts.bytes)
    case .sharedEmbedding:
      guard let (bucket, offset) = state.embedding else {
        preconditionFailure("a rank that holds no embedding")
      }
      let count = state.plan.model.vocabulary * state.plan.model.hidden
      return try reduction(task, of: .float32, bucket.gradients.bytes(offset..<offset + count))
    case .parameters, .gradients:
      let bucket = bucket(of: task)
      let values = code.purpose[task] == .parameters ? bucket.parameters : bucket.gradients
      return try reduction(task, of: .float32, values.bytes(0..<bucket.count))
    case .unspecified, .activation, .inputGradient:
      preconditionFailure("a collective without a purpose")
    }
  }

  private func reduction(
    _ task: Int, of element: Reduction.Element, _ bytes: UnsafeMutableRawBufferPointer
  ) throws -> any Operation {
    let place = channels.place(of: task, in: code, program: program, rank: state.rank)
    let kind: Reduction.Kind =
      switch code.kind[task] {
      case .reduceScatter: .reduceScatter
      case .allGather: .allGather
      default: .allReduce
      }
    return ReductionOperation(
      try Reduction(
        kind, of: element, on: transport, channel: place.channel, group: place.group, buffer: bytes,
        scratch: reductionScratch.bytes))
  }

  private func segment(of task: Int) -> SegmentState {
    guard let name = code.bucket(ofTask: task),
      let stage = state.stages.first(where: { $0.stage == name.stage })
    else { preconditionFailure("a reduction of another rank's bucket") }
    return stage.segments[name.segment]
  }

  private func bucket(of task: Int) -> ParameterBucket {
    let segment = segment(of: task)
    let isExpert = program.communicators[Int(code.communicator[task])].name == "expert_data"
    guard let bucket = isExpert ? segment.expert : segment.dense else {
      preconditionFailure("a reduction of parameters that the segment does not have")
    }
    return bucket
  }
}
