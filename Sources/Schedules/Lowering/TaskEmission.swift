import Programs

/// Single tasks: compute, messages, collectives, exchanges.
extension RankEmitter {
  /// A compute task, or nil where there is nothing to compute.
  mutating func compute(_ work: Int32, layer: Int32, after: [TaskIndex]) -> TaskIndex? {
    guard work >= 0 else { return nil }
    var task = Code.Task(.compute, on: .compute)
    task.work = work
    task.layer = layer
    return code.append(task, after: after)
  }

  /// - Precondition: The group exists.
  mutating func collective(
    _ kind: TaskKind, _ group: String, bytes: Int64, layer: Int32, on lane: Lane, after: [TaskIndex]
  ) -> TaskIndex {
    guard let communicator = groups.index(group) else { preconditionFailure("there is no group \(group)") }
    var task = Code.Task(kind, on: lane)
    task.communicator = communicator
    task.bytes = bytes
    task.layer = layer
    return code.append(task, after: after)
  }

  mutating func exchange(
    _ kind: TaskKind, _ segment: Segment, layoutIsKnown: Bool, after: [TaskIndex]
  ) -> TaskIndex {
    guard let communicator = groups.index("expert") else { preconditionFailure("there is no expert group") }
    var task = Code.Task(kind, on: .communication)
    task.communicator = communicator
    task.work = kind == .dispatch ? exchanges.dispatch : exchanges.combine
    task.bytes = kind == .dispatch ? exchanges.dispatchBytes : exchanges.combineBytes
    task.tag = layoutIsKnown ? Exchange.knownLayoutTag : 0
    task.layer = segment.layer
    return code.append(task, after: after)
  }

  /// One end of a message between neighbouring stages.
  mutating func message(_ kind: TaskKind, with peer: Int, chunk: Chunk, after: [TaskIndex]) -> TaskIndex {
    guard let communicator = groups.index("pipeline") else { preconditionFailure("there is no pipeline") }
    let isForward = chunk.pass == .forward
    var task = Code.Task(
      kind, on: .pipeline(isSend: kind == .send, isForward: isForward, toHigherRank: peer > rank))
    task.communicator = communicator
    task.peer = Int32(peer)
    // Both ends name the stage boundary and the micro-batch alike.
    let stage = order.stage(rank: rank, part: chunk.part)
    let isUpper = (kind == .receive) == isForward
    let boundary = isUpper ? stage : stage + 1
    let direction = order.placement == .bidirectional ? chunk.part : 0
    task.tag = Int32(
      ((chunk.microBatch * 2 + direction) * (order.stages + 1) + boundary) * 2 + (isForward ? 0 : 1))
    task.bytes = messageBytes
    return code.append(task, after: after)
  }

  /// Each tensor rank sends its share of the residual stream; where that is not how it is stored, the
  /// receivers put it together again over NVLink (``gatherAcrossTensor(after:)``).
  ///
  /// Source: Megatron-LM's scatter/gather optimisation, arXiv 2104.04473, section 4.1.
  private var messageBytes: Int64 {
    let tokens = plan.plan.microBatch * plan.plan.sequence / plan.plan.context
    return Int64(tokens * plan.residualBytesPerToken / plan.plan.tensor)
  }

  mutating func gatherAcrossTensor(after: [TaskIndex]) -> [TaskIndex] {
    guard !plan.plan.sequenceParallel, groups.index("tensor") != nil else { return after }
    return [
      collective(
        .allGather, "tensor", bytes: messageBytes * Int64(plan.plan.tensor), layer: -1, on: .communication,
        after: after)
    ]
  }
}
