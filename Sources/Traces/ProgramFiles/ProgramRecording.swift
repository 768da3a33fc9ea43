import Operators
import Programs

extension Recording {
  /// Reads the project's own form: a program's text with the times of its tasks beside it, or without.
  ///
  /// - Throws: ``Diagnostic`` naming file and line.
  public static func program(_ input: TraceInput) throws -> Recording {
    Recording(try TimedProgram(input), file: input.name)
  }

  /// A program that ran as a recording: an event for each task, the lane's number as its stream.
  ///
  /// Bytes are those of the rank's buffers as ``Code/bytes`` has them; of a dispatch or combine those that it handed to
  /// other ranks and got from them.
  public init(_ timed: TimedProgram, file: String) {
    self.init(.program)
    let program = timed.program.program
    worldSize = program.ranks
    var firstGroup: [Int] = []
    for communicator in program.communicators {
      firstGroup.append(groups.count)
      for group in 0..<communicator.groupCount {
        groups.append(
          ProcessGroup(name: "\(communicator.name) \(group)", ranks: Array(communicator.group(group))))
      }
    }
    for rank in 0..<program.ranks {
      ranks.append(ProgramRank(timed, rank: rank, file: file, firstGroup: firstGroup).recording)
    }
    if !timed.hasTimes { notes.append("there are no times beside the program") }
  }
}

/// One rank's tasks as events.
private struct ProgramRank {
  private(set) var recording: RankRecording
  private let timed: TimedProgram
  private let code: Code
  private var ordinals: [Int64]

  init(_ timed: TimedProgram, rank: Int, file: String, firstGroup: [Int]) {
    self.timed = timed
    let program = timed.program.program
    code = program.codes[Int(program.codeOfRank[rank])]
    ordinals = Array(repeating: 0, count: program.communicators.count)
    recording = RankRecording(rank: rank, file: file)
    recording.properties = [("program", program.name), ("role", code.name)]
    // Numbers among a group's collectives follow the program's order, events that of time.
    var communications: [RecordedCommunication?] = []
    for task in 0..<code.count { communications.append(communication(task, firstGroup)) }
    var order = Array(0..<code.count)
    if timed.hasTimes {
      let started = timed.started[rank]
      order.sort { (started[$0], $0) < (started[$1], $1) }
    }
    var eventOfTask = [Int32](repeating: 0, count: code.count)
    for (event, task) in order.enumerated() { eventOfTask[task] = Int32(event) }
    for task in order {
      let isCompute = code.kind[task] == .compute
      let work =
        isCompute && code.work[task] >= 0 ? program.works[Int(code.work[task])].name : code.kind[task].name
      recording.append(
        isCompute ? .compute : .communication, name: work,
        start: timed.hasTimes ? timed.started[rank][task] * 1000 : RankRecording.unknownTime,
        duration: timed.hasTimes
          ? (timed.ended[rank][task] - timed.started[rank][task]) * 1000 : RankRecording.unknownTime,
        stream: Int32(code.lane[task].rawValue), communication: communications[task],
        after: code.dependencies(of: task).map { eventOfTask[Int($0)] })
      let chunk = code.chunk(ofTask: task)
      recording.chunks.append(
        RecordedChunk(step: 0, model: chunk?.part ?? -1, microBatch: chunk?.batch ?? -1, ordinal: Int32(task))
      )
    }
    if timed.hasTimes, let start = timed.started[rank].min(), let end = timed.ended[rank].max() {
      recording.marks = [
        RecordedMark(.step, name: "step", start: start * 1000, duration: (end - start) * 1000)
      ]
    }
  }

  private mutating func communication(_ task: Int, _ firstGroup: [Int]) -> RecordedCommunication? {
    guard let kind = CommunicationKind(code.kind[task]) else { return nil }
    let program = timed.program.program
    let place = Int(code.communicator[task])
    let communicator = program.communicators[place]
    let members = communicator.group(ofRank: recording.rank)
    var communication = RecordedCommunication(kind, recordedName: code.kind[task].name)
    communication.group = Int32(firstGroup[place]) + communicator.groupOfRank[recording.rank]
    communication.groupSize = members.count
    let bytes = code.bytes[task]
    let shard =
      members.isEmpty ? 0 : shardBytes(task, members.count, Int(communicator.indexOfRank[recording.rank]))
    switch code.kind[task] {
    case .send, .receive:
      communication.peer = members[members.startIndex + Int(code.peer[task])]
      communication.tag = code.tag[task]
      if kind == .send { communication.inputBytes = bytes } else { communication.outputBytes = bytes }
    case .reduceScatter: (communication.inputBytes, communication.outputBytes) = (bytes, shard)
    case .allGather: (communication.inputBytes, communication.outputBytes) = (shard, bytes)
    case .dispatch, .combine:
      let counted = timed.hasTimes ? nil : program.bytes(rank: recording.rank, task: task)
      communication.inputBytes = counted?.sent ?? timed.sent[recording.rank][task]
      communication.outputBytes = counted?.received ?? timed.received[recording.rank][task]
    case .barrier: break
    case .allReduce, .broadcast, .allToAll, .compute:
      (communication.inputBytes, communication.outputBytes) = (bytes, bytes)
    }
    if code.kind[task].isCollective {
      communication.sequence = ordinals[place]
      ordinals[place] += 1
    }
    return communication
  }

  /// The bytes of this rank's part of a buffer that is cut between elements.
  private func shardBytes(_ task: Int, _ members: Int, _ member: Int) -> Int64 {
    let size = Int64(max(1, code.elementBytes[task]))
    return Int64(shard(ofMember: member, members: members, elements: Int(code.bytes[task] / size)).count)
      * size
  }
}

extension CommunicationKind {
  /// The kind of a program's task; nil for computation.
  init?(_ kind: TaskKind) {
    switch kind {
    case .compute: return nil
    case .send: self = .send
    case .receive: self = .receive
    case .allReduce: self = .allReduce
    case .reduceScatter: self = .reduceScatter
    case .allGather: self = .allGather
    case .broadcast: self = .broadcast
    case .allToAll: self = .allToAll
    case .dispatch: self = .dispatch
    case .combine: self = .combine
    case .barrier: self = .barrier
    }
  }
}
