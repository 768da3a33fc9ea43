/// What a task does.
///
/// Every back end (interpreter, simulator, executor) handles every case; a new case lands in all of them at
/// once.
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
  /// Every member hands a part of its own to each other: even parts, or the program's ``Splits``.
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
///
/// Pipeline messages have a lane for each peer, pass and direction, as each pair of ranks has a connection of
/// its own; so a message to one neighbour never waits behind one to the other.
public struct Lane: Hashable, Sendable {
  public let rawValue: UInt8

  public static let compute = Lane(rawValue: 0)
  /// Dispatch, combine and tensor-parallel collectives.
  public static let communication = Lane(rawValue: 1)
  /// Gradient reduction and parameter gathering.
  public static let reduction = Lane(rawValue: 2)

  /// Messages of one pass to or from one neighbour.
  public static func pipeline(isSend: Bool, isForward: Bool, toHigherRank: Bool) -> Lane {
    Lane(rawValue: 3 + (isSend ? 4 : 0) + (isForward ? 2 : 0) + (toHigherRank ? 1 : 0))
  }

  public static let count = 11
  public static let all = (0..<UInt8(count)).map(Lane.init)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  public var index: Int { Int(rawValue) }
  public var isPipeline: Bool { rawValue >= 3 }

  public var name: String {
    switch self {
    case .compute: "compute"
    case .communication: "communication"
    case .reduction: "reduction"
    default:
      (rawValue >= 7 ? "send" : "receive") + ((rawValue - 3) & 2 != 0 ? "_activation" : "_gradient")
        + ((rawValue - 3) & 1 != 0 ? "_up" : "_down")
    }
  }

  public init?(name: String) {
    guard let lane = Lane.all.first(where: { $0.name == name }) else { return nil }
    self = lane
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
  /// Number of the micro-batch among those of its direction.
  public var microBatch: Int32
  /// Number of the micro-batch among all of the step, both directions together.
  public var batch: Int32

  /// - Parameter batch: Nil where there is one direction: the micro-batch's own number.
  public init(stage: Int, part: Int, microBatch: Int, batch: Int? = nil) {
    self.stage = Int32(stage)
    self.part = Int32(part)
    self.microBatch = Int32(microBatch)
    self.batch = Int32(batch ?? microBatch)
  }
}
