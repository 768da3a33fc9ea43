import Operators
import Programs

/// Single tasks: compute, messages, collectives, exchanges.
extension RankEmitter {
  /// A compute task, or nil where there is nothing to compute.
  mutating func compute(
    _ work: Int32, _ segment: Segment, _ pass: TaskPass, after: [TaskIndex]
  ) -> TaskIndex? {
    guard work >= 0 else { return nil }
    var task = Code.Task(.compute, on: .compute)
    task.work = work
    task.layer = segment.layer
    task.segment = Int32(segment.bucket.segment)
    task.pass = pass
    return code.append(task, after: after)
  }

  /// A collective of a chunk's activations or their gradients.
  ///
  /// - Precondition: The group exists.
  mutating func collective(
    _ kind: TaskKind, _ group: String, bytes: Int64, element: Format, layer: Int32 = -1, _ pass: TaskPass,
    after: [TaskIndex]
  ) -> TaskIndex {
    var task = Code.Task(kind, on: .communication)
    task.bytes = bytes
    task.elementBytes = element.wholeBytes
    task.layer = layer
    task.pass = pass
    task.purpose = pass == .backward ? .inputGradient : .activation
    return append(task, in: group, after: after)
  }

  /// A collective of a bucket's parameters, gradients or counts.
  ///
  /// - Precondition: The group exists.
  mutating func collective(
    _ kind: TaskKind, _ group: String, elements: Int, of element: Format, _ purpose: TaskPurpose,
    bucket: Bucket, after: [TaskIndex]
  ) -> TaskIndex {
    var task = Code.Task(kind, on: .reduction)
    task.bytes = Int64((Double(elements) * element.bytesPerElement).rounded())
    task.elementBytes = element.wholeBytes
    task.purpose = purpose
    task.tag = bucket.tag
    return append(task, in: group, after: after)
  }

  mutating func append(_ task: Code.Task, in group: String, after: [TaskIndex]) -> TaskIndex {
    guard let communicator = groups.index(group) else { preconditionFailure("there is no group \(group)") }
    var task = task
    task.communicator = communicator
    // A share of a message may end within an element.
    if task.bytes % Int64(task.elementBytes) != 0 { task.elementBytes = 1 }
    return code.append(task, after: after)
  }

  mutating func exchange(
    _ kind: TaskKind, _ segment: Segment, _ pass: TaskPass, after: [TaskIndex]
  ) -> TaskIndex {
    var task = Code.Task(kind, on: .communication)
    let exchanges = exchanges(segment.layer)
    let indices = pass == .backward ? exchanges.backward : exchanges.forward
    task.work = kind == .dispatch ? indices.dispatch : indices.combine
    task.bytes = kind == .dispatch ? exchanges.dispatchBytes : exchanges.combineBytes
    // A forward's dispatch tells the others first what is coming; everything else goes the ways it opened.
    task.tag = kind == .combine || pass == .backward ? Exchange.knownLayoutTag : 0
    task.layer = segment.layer
    task.segment = Int32(segment.bucket.segment)
    task.pass = pass
    task.purpose = pass == .backward ? .inputGradient : .activation
    return append(task, in: "expert", after: after)
  }

  /// One end of a message between neighbouring stages.
  mutating func message(_ kind: TaskKind, with peer: Int, chunk: Chunk, after: [TaskIndex]) -> TaskIndex {
    let isForward = chunk.pass == .forward
    var task = Code.Task(
      kind, on: .pipeline(isSend: kind == .send, isForward: isForward, toHigherRank: peer > rank))
    task.peer = Int32(peer)
    task.pass = isForward ? .forward : .backward
    task.purpose = isForward ? .activation : .inputGradient
    // Both ends name the stage boundary and the micro-batch alike.
    let stage = order.stage(rank: rank, part: chunk.part)
    let isUpper = (kind == .receive) == isForward
    let boundary = isUpper ? stage : stage + 1
    let direction = order.placement == .bidirectional ? chunk.part : 0
    task.tag = Int32(
      ((chunk.microBatch * 2 + direction) * (order.stages + 1) + boundary) * 2 + (isForward ? 0 : 1))
    task.bytes = messageBytes
    task.elementBytes = plan.plan.precision.residual.wholeBytes
    return append(task, in: "pipeline", after: after)
  }

  /// Each tensor rank sends its share of the residual stream; where that is not how it is stored, the
  /// receivers put it together again over NVLink (``gatherAcrossTensor(_:after:)``).
  ///
  /// Source: Megatron-LM's scatter/gather optimisation, arXiv 2104.04473, section 4.1.
  private var messageBytes: Int64 {
    let tokens = plan.plan.microBatch * plan.plan.sequence / plan.plan.context
    return Int64(tokens * plan.residualBytesPerToken / plan.plan.tensor)
  }

  mutating func gatherAcrossTensor(_ pass: TaskPass, after: [TaskIndex]) -> [TaskIndex] {
    guard !plan.plan.sequenceParallel, groups.index("tensor") != nil else { return after }
    return [
      collective(
        .allGather, "tensor", bytes: messageBytes * Int64(plan.plan.tensor),
        element: plan.plan.precision.residual, pass, after: after)
    ]
  }
}

extension Format {
  /// Bytes of an element where its bytes are its own; 1 where elements share a scale.
  var wholeBytes: Int32 { Int32(exactly: bytesPerElement) ?? 1 }
}
