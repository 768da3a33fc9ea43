/// The tasks of one role, as columns; task `i` is the i-th entry of every column.
///
/// A lane runs its tasks in index order. A task waits for its lane and for its `dependencies`, which are
/// tasks of the same code.
public struct Code: Hashable, Sendable {
  public var name: String
  public internal(set) var kind: [TaskKind] = []
  public internal(set) var lane: [Lane] = []
  /// Index into the program's works (compute), exchanges (dispatch, combine) or splits (an all-to-all whose parts
  /// differ); -1 otherwise.
  public internal(set) var work: [Int32] = []
  /// Index into the program's communicators; -1 for compute.
  public internal(set) var communicator: [Int32] = []
  /// Member index of the peer of a send or receive; -1 otherwise.
  public internal(set) var peer: [Int32] = []
  /// Tells messages between one pair of ranks apart; of a collective that moves parameters or gradients, its
  /// ``Bucket``; of a dispatch or combine, ``Exchange/knownLayoutTag`` or 0.
  public internal(set) var tag: [Int32] = []
  /// Bytes that this rank holds of the operation: the message; the whole buffer of an all-reduce,
  /// reduce-scatter (input) or all-gather (output).
  public internal(set) var bytes: [Int64] = []
  /// Index into ``slots``.
  public internal(set) var slot: [Int32] = []
  /// Model layer, or -1.
  public internal(set) var layer: [Int32] = []
  /// Index of the task's segment in its stage (compute, dispatch, combine), whose chunk
  /// ``chunk(ofTask:)`` gives; -1 otherwise.
  public internal(set) var segment: [Int32] = []
  /// Which of the slot's chunks the task works for, and in which direction.
  public internal(set) var pass: [TaskPass] = []
  /// What the bytes are that a task moves.
  public internal(set) var purpose: [TaskPurpose] = []
  /// Bytes of one element of a collective's buffer: shards are cut between elements.
  public internal(set) var elementBytes: [Int32] = []
  /// Bytes of activations taken when the task starts (positive) or given back when it ends (negative).
  public internal(set) var memory: [Int64] = []
  /// Dependencies of task `i`: `dependencies[dependencyOffsets[i]..<dependencyOffsets[i + 1]]`.
  public internal(set) var dependencyOffsets: [Int32] = [0]
  public internal(set) var dependencies: [Int32] = []
  public internal(set) var slots: [TaskSlot] = []

  public init(name: String) { self.name = name }

  public var count: Int { kind.count }

  public func dependencies(of task: Int) -> ArraySlice<Int32> {
    dependencies[Int(dependencyOffsets[task])..<Int(dependencyOffsets[task + 1])]
  }

  /// The chunk that a task works for: the slot's forward chunk, its backward chunk, or none.
  public func chunk(ofTask task: Int) -> StageChunk? {
    let slot = slots[Int(slot[task])]
    switch pass[task] {
    case .none: return nil
    case .forward: return slot.forward
    case .recomputation, .backward: return slot.backward
    }
  }

  /// The bucket that a task on the reduction lane reduces or gathers; nil for other tasks.
  public func bucket(ofTask task: Int) -> Bucket? {
    purpose[task].namesBucket ? Bucket(tag: tag[task]) : nil
  }
}

/// An index into the columns of a ``Code``.
public typealias TaskIndex = Int32

extension Code {
  /// One task before it is taken apart into columns.
  public struct Task: Sendable {
    public var kind: TaskKind
    public var lane: Lane
    public var work: Int32 = -1
    public var communicator: Int32 = -1
    public var peer: Int32 = -1
    public var tag: Int32 = 0
    public var bytes: Int64 = 0
    public var layer: Int32 = -1
    public var segment: Int32 = -1
    public var pass = TaskPass.none
    public var purpose = TaskPurpose.unspecified
    public var elementBytes: Int32 = 1
    public var memory: Int64 = 0

    public init(_ kind: TaskKind, on lane: Lane) {
      self.kind = kind
      self.lane = lane
    }
  }

  /// Opens a new slot; tasks appended from now on belong to it.
  public mutating func beginSlot(_ slot: TaskSlot) { slots.append(slot) }

  /// Appends a task to the current slot.
  ///
  /// Dependencies may name tasks that are yet to be appended: a verifier, not the builder, refuses cycles.
  @discardableResult
  public mutating func append(_ task: Task, after dependencies: [TaskIndex]) -> TaskIndex {
    if slots.isEmpty { beginSlot(TaskSlot(phase: .optimizer)) }
    kind.append(task.kind)
    lane.append(task.lane)
    work.append(task.work)
    communicator.append(task.communicator)
    peer.append(task.peer)
    tag.append(task.tag)
    bytes.append(task.bytes)
    slot.append(Int32(slots.count - 1))
    layer.append(task.layer)
    segment.append(task.segment)
    pass.append(task.pass)
    purpose.append(task.purpose)
    elementBytes.append(task.elementBytes)
    memory.append(task.memory)
    self.dependencies.append(contentsOf: dependencies)
    dependencyOffsets.append(Int32(self.dependencies.count))
    return Int32(count - 1)
  }

  /// Sets what a task takes (positive) when it starts, or gives back (negative) when it ends.
  public mutating func setMemory(_ bytes: Int64, of task: Int) { memory[task] = bytes }

  /// Sets the bytes that a rank holds of a communication.
  public mutating func setBytes(_ bytes: Int64, of task: Int) { self.bytes[task] = bytes }

  /// Sets which splits, exchange or work a task names.
  public mutating func setWork(_ work: Int32, of task: Int) { self.work[task] = work }
}
