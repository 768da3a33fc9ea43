import Documents
import Operators
import Programs
import Traces
import Units

/// The columns of one rank's code, and what stands beside them.
struct RankTasks {
  var code: Code
  var durations: [Span?] = []
  var started: [Span?] = []
  var delays: [Span] = []
  var origins: [ImportedProgram.Origin] = []
  var transfers: [Span?] = []
  var hasBytes: [Bool] = []
  var kinds: [RecordedKind?] = []

  mutating func append(
    _ task: Code.Task, after: [TaskIndex], started: Span?, duration: Span?, delay: Span,
    origin: ImportedProgram.Origin, transfer: Span? = nil, hasBytes: Bool = true,
    kind: RecordedKind? = nil
  ) -> TaskIndex {
    self.started.append(started)
    durations.append(duration)
    delays.append(delay)
    origins.append(origin)
    transfers.append(transfer)
    self.hasBytes.append(hasBytes)
    kinds.append(kind)
    return code.append(task, after: after)
  }
}

extension RecordingImport {
  /// Writes the program in the order that was found, and verifies nothing: whoever runs it does.
  func program() throws(Diagnostic) -> ImportedProgram {
    var program = Program(name: recording.ranks[0].file)
    var notes = notes + placement.notes
    var works: [String: Int32] = [:]
    let shapes = operations.indices.map {
      OperationShape(operations[$0], in: self, communicatorOfOperation[$0])
    }
    if let exchanges = options.exchanges {
      program.exchanges = [exchanges.dispatch, exchanges.knownDispatch, exchanges.combine]
      notes.append(exchanges.source)
    }
    let earliest = recording.ranks.indices.compactMap { index -> Int64? in
      recording.ranks[index].start.filter { $0 != RankRecording.unknownTime }.min().map {
        $0 &+ clocks.offset[index]
      }
    }.min()
    var columns: [RankTasks] = []
    for index in recording.ranks.indices {
      columns.append(
        tasks(ofRank: index, shapes: shapes, program: &program, works: &works, earliest: earliest ?? 0))
    }
    program.codes = columns.map(\.code)
    program.codeOfRank = donor
    program.communicators = placement.communicators.map {
      Communicator(name: $0.name, ranks: world, groups: $0.groups)
    }
    for kind in RecordedKind.allCases {
      guard let count = alone[kind] else { continue }
      notes.append(
        "\(count) \(kind.rawValue) of one rank each: their partners or group are not in the recording, so they take "
          + "what "
          + "they took")
    }
    let unknown = shapes.filter { !$0.hasBytes }.count
    if unknown > 0 {
      notes.append(
        "\(unknown) of \(shapes.count) operations have no bytes in the recording: each takes its shortest recorded "
          + "duration"
      )
    }
    let disagreeing = shapes.filter(\.isDisagreeing).count
    if disagreeing > 0 {
      notes.append("\(disagreeing) operations have sizes on which ranks disagree: the largest counts")
    }
    for note in Set(shapes.compactMap(\.note)).sorted() { notes.append(note) }
    return ImportedProgram(
      program: program,
      durations: RecordedDurations(started: columns.map(\.started), duration: columns.map(\.durations)),
      delays: columns.map(\.delays), origins: columns.map(\.origins), transfers: columns.map(\.transfers),
      hasBytes: columns.map(\.hasBytes), kinds: columns.map(\.kinds), recordedStep: recordedStep,
      recordedRanks: recording.ranks.map(\.rank), notes: notes)
  }

  private var recordedStep: Span? {
    var (first, last) = (Int64.max, Int64.min)
    for (index, rank) in recording.ranks.enumerated() {
      for event in 0..<rank.count {
        guard let end = rank.end(event) else { continue }
        let offset = clocks.offset[index]
        first = min(first, rank.start[event] &+ offset)
        last = max(last, end &+ offset)
      }
    }
    return first <= last ? Span(picoseconds: last &- first) : nil
  }

  private func tasks(
    ofRank index: Int, shapes: [OperationShape], program: inout Program, works: inout [String: Int32],
    earliest: Int64
  ) -> RankTasks {
    let rank = recording.ranks[index]
    let lanes = LaneChoice(rank, isBuffered: sendsAreBuffered)
    var columns = RankTasks(code: Code(name: "rank \(rank.rank)"))
    columns.code.beginSlot(TaskSlot(phase: .optimizer))
    let order = (0..<rank.count).sorted { place[index][$0] < place[index][$1] }
    var taskOfEvent = Array(repeating: TaskIndex(-1), count: rank.count)
    func work(_ name: String) -> Int32 {
      if let known = works[name] { return known }
      let new = Int32(program.works.count)
      program.works.append(Work(name: name, pass: .forward, kernels: []))
      works[name] = new
      return new
    }
    func span(_ picoseconds: Int64) -> Span? {
      picoseconds == RankRecording.unknownTime ? nil : Span(picoseconds: max(0, picoseconds))
    }
    // A rank whose first event comes later than the others' has a late start.
    let first = rank.start.filter { $0 != RankRecording.unknownTime }.min()
    let lateness = first.map { max(0, $0 &+ clocks.offset[index] &- earliest) } ?? 0
    for event in order {
      var after = orders[index].waits[event].map { taskOfEvent[Int($0)] }.filter { $0 >= 0 }
      var delay = Span(picoseconds: orders[index].delay[event])
      // What waits for nothing waits for the rank's start.
      if after.isEmpty { delay += Span(picoseconds: lateness) }
      let duration = span(rank.duration[event])
      let started =
        rank.start[event] == RankRecording.unknownTime ? nil : span(rank.start[event] &- (first ?? 0))
      let origin = ImportedProgram.Origin(rank: Int32(index), event: Int32(event))
      let operation = operationOfEvent[index][event]
      guard operation >= 0 else {
        var task = Code.Task(.compute, on: lanes.lane[event])
        task.work = work(rank.names[Int(rank.name[event])])
        taskOfEvent[event] = columns.append(
          task, after: after, started: started, duration: duration, delay: delay, origin: origin,
          transfer: rank.communication[event] >= 0 ? duration : nil)
        continue
      }
      if delay > .zero {
        var host = Code.Task(.compute, on: lanes.lane[event])
        host.work = work("host")
        after = [
          columns.append(
            host, after: after, started: nil, duration: nil, delay: delay,
            origin: .init(rank: Int32(index), event: -1))
        ]
      }
      let shape = shapes[Int(operation)]
      var task = shape.task(
        ofRank: index, globalRank: rank.rank, lane: lanes.lane[event], program: &program)
      task.tag = shape.tag
      taskOfEvent[event] = columns.append(
        task, after: after, started: started, duration: duration, delay: .zero, origin: origin,
        transfer: operations[Int(operation)].transfer, hasBytes: shape.hasBytes,
        kind: operations[Int(operation)].kind)
    }
    return columns
  }
}
