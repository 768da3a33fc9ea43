import Programs
import Units

/// What a recorded job says of itself, in one form for all formats: events of each rank, groups of ranks, and what
/// could not be read.
///
/// A recording is what a file says, not yet a program: times may lack (graphs without durations), dependencies may lack
/// (timelines), bytes may lack. What is unknown is nil, never zero.
public struct Recording: Sendable {
  public var format: TraceFormat
  /// Ascending by rank; ranks whose files were not given are absent.
  public var ranks: [RankRecording] = []
  /// Groups that events name by index.
  public var groups: [ProcessGroup] = []
  /// Ranks of the job, those without a file included; nil where no file says so.
  public var worldSize: Int?
  /// Operations of the files that are no events of ``ranks``, by reason: together with the events they are all there
  /// was.
  public var omissions: [Omission] = []
  /// The program that the recording is of, where this project wrote the files and they say so.
  public var program: Program?
  /// What is unknown or was assumed, one sentence each, in a fixed order.
  public var notes: [String] = []
  /// How far operations and groups had come, for each of ``ranks``; empty for all formats but the flight recorder.
  public var flightRecorder: [FlightRecorderRank] = []

  public init(_ format: TraceFormat) { self.format = format }
}

/// Operations of a file that were not imported.
public struct Omission: Hashable, Sendable {
  public var rank: Int?
  /// Why: `host operation`, `send to rank 7 without its receive`.
  public var reason: String
  public var count: Int

  public init(rank: Int?, reason: String, count: Int) {
    self.rank = rank
    self.reason = reason
    self.count = count
  }
}

/// Ranks that communicate with each other under one name.
public struct ProcessGroup: Hashable, Sendable {
  /// The file's own name of the group: `0`, `51`.
  public var name: String
  /// `default_pg`, `EXPERT_MODEL_PARALLEL_GROUP`; empty where the file has none.
  public var description: String
  /// Global ranks in member order; nil where the file does not say, or cut the list off.
  public var ranks: [Int32]?
  /// Known even where ``ranks`` is not.
  public var size: Int?

  public init(name: String, description: String = "", ranks: [Int32]? = nil, size: Int? = nil) {
    self.name = name
    self.description = description
    self.ranks = ranks
    self.size = size ?? ranks?.count
  }
}

/// What an event of a recording is.
public enum EventKind: UInt8, CaseIterable, Sendable {
  /// A kernel, or any other piece of computation.
  case compute
  /// A copy or fill of device memory.
  case memory
  /// Communication between ranks: ``RankRecording/communications`` says more.
  case communication
}

/// One rank's events as columns, in ascending order of their start, or of the file where there are no times.
public struct RankRecording: Sendable {
  public var rank: Int
  /// The file, as the user named it.
  public var file: String
  public var kind: [EventKind] = []
  /// Index into ``names``.
  public var name: [Int32] = []
  /// Picoseconds since ``origin``; ``unknownTime`` where the file has none.
  public var start: [Int64] = []
  /// Picoseconds; ``unknownTime`` where the file has none.
  public var duration: [Int64] = []
  /// Queue of the device (or thread of the host) that the event ran on; -1 where the file does not say.
  public var stream: [Int32] = []
  /// Index into ``communications``, or -1.
  public var communication: [Int32] = []
  /// Floating-point operations of a computation, where a file says so instead of a duration; 0 otherwise.
  public var operations: [Double] = []
  /// Events that event `i` waits for: `dependencies[dependencyOffsets[i]..<dependencyOffsets[i + 1]]`, indices of this
  /// rank's events.
  public var dependencyOffsets: [Int32] = [0]
  public var dependencies: [Int32] = []
  public var names: [String] = []
  public var communications: [RecordedCommunication] = []
  /// Profiler steps, ranges of a user, training steps; ascending by start.
  public var marks: [RecordedMark] = []
  /// Events that are calls of the host and not work of the device, ascending; only graphs have them.
  public var hostEvents: [Int32] = []
  /// The task of the rank's code in ``Recording/program`` that each event is; empty without a program.
  public var tasks: [Int32] = []
  /// A Chakra file as its schema counts; nil for other formats.
  public var chakra: ChakraSummary?
  /// Step, model chunk and micro-batch of each event; empty where the format does not know them.
  public var chunks: [RecordedChunk] = []
  /// The file's clock at time 0, picoseconds modulo what 64 bits hold; ranks with comparable clocks share one origin.
  public var origin: Int64 = 0
  /// What the file says of itself, in its order: `nccl_version`, `schema`, device names.
  public var properties: [(name: String, value: String)] = []

  public static let unknownTime = Int64.min

  private var nameIndex: [String: Int32] = [:]

  public init(rank: Int, file: String) {
    self.rank = rank
    self.file = file
  }

  public var count: Int { kind.count }

  public func dependencies(of event: Int) -> ArraySlice<Int32> {
    dependencies[Int(dependencyOffsets[event])..<Int(dependencyOffsets[event + 1])]
  }

  /// The index of a name, entered where it is new.
  public mutating func nameIndex(_ name: String) -> Int32 {
    if let known = nameIndex[name] { return known }
    let index = Int32(names.count)
    names.append(name)
    nameIndex[name] = index
    return index
  }

  /// Takes over a table of names, each of which is there once, in place of the names so far.
  mutating func enter(names: [String]) {
    self.names = names
    nameIndex = [:]
    for (index, name) in names.enumerated() { nameIndex[name] = Int32(index) }
  }

  /// Appends an event; dependencies may name events that are yet to be appended.
  @discardableResult
  public mutating func append(
    _ kind: EventKind, name: String, start: Int64 = unknownTime, duration: Int64 = unknownTime,
    stream: Int32 = -1,
    communication: RecordedCommunication? = nil, operations: Double = 0, after dependencies: [Int32] = []
  ) -> Int32 {
    self.kind.append(kind)
    self.name.append(nameIndex(name))
    self.start.append(start)
    self.duration.append(duration)
    self.stream.append(stream)
    if let communication {
      self.communication.append(Int32(communications.count))
      communications.append(communication)
    } else {
      self.communication.append(-1)
    }
    self.operations.append(operations)
    self.dependencies.append(contentsOf: dependencies)
    dependencyOffsets.append(Int32(self.dependencies.count))
    return Int32(count - 1)
  }
}

/// Which part of training an event belongs to; -1 where the file does not say.
public struct RecordedChunk: Hashable, Sendable {
  /// The file's number of the step.
  public var step: Int32
  /// Number of the model chunk (virtual stage) on its rank.
  public var model: Int32
  public var microBatch: Int32
  /// Number among the rank's events of one name in the step.
  public var ordinal: Int32

  public init(step: Int32, model: Int32, microBatch: Int32, ordinal: Int32) {
    self.step = step
    self.model = model
    self.microBatch = microBatch
    self.ordinal = ordinal
  }
}

/// A stretch of time that a recording names.
public struct RecordedMark: Hashable, Sendable {
  /// Who made the mark.
  public enum Kind: UInt8, Sendable {
    /// A step of the profiler or of training.
    case step
    /// A range that the program's author marked: `combine(B)|comm`.
    case range
  }

  public var kind: Kind
  public var name: String
  /// Picoseconds since the rank's origin.
  public var start: Int64
  public var duration: Int64
  /// Queue that a range on the device belongs to; -1 for ranges of the host.
  public var stream: Int32

  public init(_ kind: Kind, name: String, start: Int64, duration: Int64, stream: Int32 = -1) {
    self.kind = kind
    self.name = name
    self.start = start
    self.duration = duration
    self.stream = stream
  }
}

/// What a communication does, in the words of NCCL, of DeepEP and of MPI.
public enum CommunicationKind: String, CaseIterable, Sendable {
  case allReduce = "all_reduce"
  case reduceScatter = "reduce_scatter"
  case allGather = "all_gather"
  case broadcast
  case reduce
  case gather
  case scatter
  case allToAll = "all_to_all"
  /// With a size of its own for each pair of ranks.
  case allToAllV = "all_to_all_v"
  case send
  case receive
  /// A kernel that sends, receives or both, of which the file does not say which: NCCL's `SendRecv`.
  case sendReceive = "send_receive"
  case barrier
  /// Expert-parallel exchanges of DeepEP.
  case dispatch
  case combine
  /// DeepEP's exchange of counts that a dispatch begins with; its time is waiting.
  case notify
  case unknown
}

/// One communication as its file describes it; nil is unknown.
public struct RecordedCommunication: Hashable, Sendable {
  public var kind: CommunicationKind
  /// The file's own word: `_allgather_base`, `ncclKernel_AllReduce_RING_LL_Sum_float`.
  public var recordedName: String
  /// The file's own word of the element type; nil also where only a kernel's name speaks of it.
  public var dataType: String?
  public var groupSize: Int?
  /// Index into ``Recording/groups``; -1 unknown.
  public var group: Int32 = -1
  /// Bytes that this rank's input buffer and output buffer hold.
  public var inputBytes: Int64?
  public var outputBytes: Int64?
  /// Bytes for each member, and from each member; nil where the file does not say or cut the list off.
  public var inputSplits: [Int64]?
  public var outputSplits: [Int64]?
  /// Global rank of the other end of a message.
  public var peer: Int32?
  /// Tag of a message, or root of a rooted collective.
  public var tag: Int32?
  /// Number among the group's communications, which ranks agree on.
  public var sequence: Int64?

  public init(_ kind: CommunicationKind, recordedName: String) {
    self.kind = kind
    self.recordedName = recordedName
  }
}
