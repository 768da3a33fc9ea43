import Kernels
import Plans
import Programs

/// From a task of a communication lane to the operation that carries it out.
extension RankExecutor {
  func operation(for task: Int) throws -> any Operation {
    switch code.kind[task] {
    case .send, .receive: return message(task)
    case .dispatch, .combine: return exchange(task)
    case .allReduce, .reduceScatter, .allGather: return reduction(task)
    case .compute, .broadcast, .allToAll, .barrier:
      throw TransportError("\(code.kind[task].name) is no task of an executed plan")
    }
  }

  // MARK: Messages between stages

  private func message(_ task: Int) -> any Operation {
    guard let chunk = code.chunk(ofTask: task) else { preconditionFailure("a message of no chunk") }
    let isForward = code.pass[task] == .forward
    let isSend = code.kind[task] == .send
    let buffers = buffers(of: chunk, isForward: isForward)
    let communicator = program.communicators[Int(code.communicator[task])]
    let group = communicator.group(ofRank: state.rank)
    let peer = Int(group[group.startIndex + Int(code.peer[task])])
    let values = isForward ? (isSend ? buffers.output : buffers.input.pointer) : buffers.gradient.pointer
    let rows = RowMessage(
      values: values, count: buffers.input.count, bytes: Int(code.bytes[task]))
    let transport = transport
    let tag = Int(code.tag[task])
    if isSend {
      return MessageOperation(transport) { try transport.send(rows.packed(), to: peer, tag: tag) }
    }
    return MessageOperation(transport, finish: { rows.unpack() }) {
      try transport.receive(into: rows.room, from: peer, tag: tag)
    }
  }

  // MARK: Reductions

  private func reduction(_ task: Int) -> any Operation {
    let place = channels.place(of: task, in: code, program: program, rank: state.rank)
    let kind = code.kind[task]
    switch code.purpose[task] {
    case .gradientNorm:
      norm.pointer.pointee = optimizer.squaredNorm()
      return ReductionOperation(
        kind, transport, place: place, values: norm.pointer, count: 1, scratch: normScratch.pointer)
    case .expertCounts:
      guard let selection = segment(of: task).selection else { preconditionFailure("counts of a dense layer") }
      return ReductionOperation(
        kind, transport, place: place, values: selection.counts.pointer, count: selection.counts.count,
        scratch: countScratch.pointer)
    case .sharedEmbedding:
      guard let (bucket, offset) = state.embedding else { preconditionFailure("a rank that holds no embedding") }
      let model = state.plan.model
      return ReductionOperation(
        kind, transport, place: place, values: bucket.gradients.pointer + offset,
        count: model.vocabulary * model.hidden,
        scratch: reductionScratch.pointer)
    case .parameters, .gradients:
      let bucket = bucket(of: task)
      let values = code.purpose[task] == .parameters ? bucket.parameters : bucket.gradients
      return ReductionOperation(
        kind, transport, place: place, values: values.pointer, count: bucket.count,
        scratch: reductionScratch.pointer)
    case .unspecified, .activation, .inputGradient:
      preconditionFailure("a collective without a purpose")
    }
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

/// Rows of the residual stream as they travel: as they are, or in bfloat16.
final class RowMessage {
  private let values: UnsafeMutablePointer<Float>
  private let count: Int
  private let narrow: Buffer<UInt16>?

  /// - Parameter bytes: 4 or 2 for each of `count` elements.
  init(values: UnsafeMutablePointer<Float>, count: Int, bytes: Int) {
    self.values = values
    self.count = count
    narrow = bytes == 2 * count ? Buffer<UInt16>(count: count) : nil
  }

  /// Where bytes arrive.
  var room: UnsafeMutableRawBufferPointer {
    narrow?.bytes ?? UnsafeMutableRawBufferPointer(start: values, count: 4 * count)
  }

  func packed() -> UnsafeRawBufferPointer {
    guard let narrow else { return UnsafeRawBufferPointer(start: values, count: 4 * count) }
    for index in 0..<count { narrow.pointer[index] = values[index].roundedToBFloat16 }
    return UnsafeRawBufferPointer(narrow.bytes)
  }

  func unpack() {
    guard let narrow else { return }
    for index in 0..<count { values[index] = Float(bitPattern: UInt32(narrow.pointer[index]) << 16) }
  }
}

extension Float {
  /// The upper half after rounding to the nearest, ties to even; NaN stays NaN.
  var roundedToBFloat16: UInt16 {
    guard !isNaN else { return UInt16(truncatingIfNeeded: bitPattern >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bitPattern &+ 0x7fff &+ (bitPattern >> 16 & 1)) >> 16)
  }
}
