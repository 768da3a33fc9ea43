/// What a task does.
///
/// Every back end (interpreter, simulator, executor) handles every case; a new case lands in all of them at once.
public enum TaskKind: UInt8, CaseIterable, Hashable, Sendable {
  /// Kernels on this rank alone: the task's `work`.
  case compute
  /// Half of a point-to-point message; meets the peer's `receive` with the same tag.
  case send
  case receive
  // Collectives: every member of the group takes part, in the same order.
  case allReduce
  case reduceScatter
  case allGather
  case broadcast
  case allToAll
  /// Tokens travel to their experts, each at most once to a node and once to a rank.
  case dispatch
  /// Expert outputs travel back, summed on the way: the mirror image of a dispatch.
  case combine
  case barrier

  public var isCollective: Bool {
    switch self {
    case .compute, .send, .receive: false
    default: true
    }
  }

  public var name: String {
    switch self {
    case .compute: "compute"
    case .send: "send"
    case .receive: "receive"
    case .allReduce: "all_reduce"
    case .reduceScatter: "reduce_scatter"
    case .allGather: "all_gather"
    case .broadcast: "broadcast"
    case .allToAll: "all_to_all"
    case .dispatch: "dispatch"
    case .combine: "combine"
    case .barrier: "barrier"
    }
  }
}

/// A queue of a rank: its tasks run one after the other, in program order; two lanes run side by side.
public enum Lane: UInt8, CaseIterable, Hashable, Sendable {
  case compute
  /// Dispatch, combine and tensor-parallel collectives.
  case communication
  case pipelineSend
  case pipelineReceive
  /// Gradient reduction and parameter gathering.
  case reduction

  public var name: String {
    switch self {
    case .compute: "compute"
    case .communication: "communication"
    case .pipelineSend: "pipeline_send"
    case .pipelineReceive: "pipeline_receive"
    case .reduction: "reduction"
    }
  }
}

/// What a stretch of a rank's time is for, as ISCA'25 Table 4 divides a step.
public enum Phase: UInt8, CaseIterable, Hashable, Sendable {
  case forward
  /// Backward for inputs only (`b`), weight gradients deferred.
  case backwardInput
  /// Deferred weight gradients (`w`).
  case backwardWeight
  /// Backward for inputs and weights in one go (`B`).
  case backward
  /// A forward and a backward chunk woven together (`F&B`).
  case overlapped
  /// Gradient reduction, optimizer, parameter gathering.
  case optimizer

  public var name: String {
    switch self {
    case .forward: "forward"
    case .backwardInput: "backward_input"
    case .backwardWeight: "backward_weight"
    case .backward: "backward"
    case .overlapped: "overlapped"
    case .optimizer: "optimizer"
    }
  }
}

/// One slot of a rank's pipeline order: the chunk (or the pair of chunks) that its tasks belong to.
public struct TaskSlot: Hashable, Sendable {
  public var phase: Phase
  /// Forward chunk of the slot: its model stage and micro-batch, or nil.
  public var forward: StageChunk?
  /// Backward chunk of the slot, or nil.
  public var backward: StageChunk?

  public init(phase: Phase, forward: StageChunk? = nil, backward: StageChunk? = nil) {
    self.phase = phase
    self.forward = forward
    self.backward = backward
  }
}

/// One micro-batch on one model stage.
public struct StageChunk: Hashable, Sendable {
  public var stage: Int32
  /// Which of the rank's stages this is (direction, half of the V, virtual stage).
  public var part: Int32
  public var microBatch: Int32

  public init(stage: Int, part: Int, microBatch: Int) {
    self.stage = Int32(stage)
    self.part = Int32(part)
    self.microBatch = Int32(microBatch)
  }
}
