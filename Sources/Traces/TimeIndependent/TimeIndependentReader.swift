import Documents

extension Recording {
  /// Reads a time-independent trace of SimGrid's SMPI: a file of actions, a list of such files with one for each rank, or
  /// a description of several jobs (`instance file size delay`, as in SimGrid's `replay_multiple`).
  ///
  /// Computation is in floating-point operations and nothing has times but `sleep`. An event depends on the event before
  /// it; `isend` and `irecv` hold nothing up until a `wait`, which is an event of no duration. Ranks of several jobs are
  /// numbered one job after the other, and each job is a group of its own.
  /// - Throws: ``Diagnostic`` naming file and line.
  /// - Complexity: O(bytes); a file with the actions of several ranks is read twice, first for their number.
  public static func timeIndependent(_ input: TraceInput) throws -> Recording {
    var reader = TimeIndependentReader()
    try reader.read(input)
    return reader.finish()
  }
}

private struct TimeIndependentReader {
  /// Most files that a list may name, and most jobs.
  static let fileLimit = 1 << 17

  private static let actions: Set<String> = [
    "init", "finalize", "comm_size", "comm_split", "comm_dup", "test", "testall", "location", "compute",
    "sleep", "send",
    "isend", "recv", "irecv", "wait", "waitall", "barrier", "bcast", "reduce", "allreduce", "scan", "exscan",
    "alltoall",
    "allgather", "gather", "scatter", "reducescatter", "gatherv", "allgatherv", "scatterv", "alltoallv",
  ]

  private enum Content {
    case actions
    case files
    case jobs
  }

  private struct Job {
    var name: String
    var offset: Int
    var size: Int
    /// Operations that each rank spends before it begins.
    var delay: Double
  }

  private var recording = Recording(.timeIndependent)
  private var states: [RankState] = []
  private var stateOfRank: [Int: Int] = [:]
  private var ranks = 0
  private var isWhole = true

  // MARK: Files

  /// What a file holds, told from its first line.
  private func content(_ input: TraceInput) throws -> Content {
    var lines = TextLines(try input.open())
    guard try lines.next() else {
      throw Diagnostic(.data, "the trace is empty", file: input.name, path: "line 1", found: "no action")
    }
    if lines.count >= 2, lines.integer(0) != nil, Self.actions.contains(lines[1]) { return .actions }
    if lines.count == 1 { return .files }
    if lines.count == 4, lines.integer(2) != nil, lines.number(3) != nil { return .jobs }
    throw lines.error(
      "this is no time-independent trace", found: "\(lines.shown(0)) \(lines.shown(1))",
      allowed: "`rank action …`, a list of files, or `instance file size delay`")
  }

  mutating func read(_ input: TraceInput) throws {
    switch try content(input) {
    case .actions: try readActions(input, name: "MPI_COMM_WORLD", expected: nil, delay: 0)
    case .files: try readFiles(input, name: "MPI_COMM_WORLD", expected: nil, delay: 0)
    case .jobs:
      var lines = TextLines(try input.open())
      while try lines.next() {
        guard recording.groups.count < 1 << 12 else {
          throw lines.error("there are too many jobs", allowed: "4096")
        }
        guard lines.count == 4, let size = lines.integer(2),
          1...Int64(TimeIndependentAction.rankLimit) ~= size,
          let delay = lines.number(3), delay >= 0
        else {
          throw lines.error("this is no job", allowed: "instance, file, ranks, operations before it begins")
        }
        let file = try named(lines[1], by: input, lines)
        switch try content(file) {
        case .actions: try readActions(file, name: lines[0], expected: Int(size), delay: delay)
        case .files: try readFiles(file, name: lines[0], expected: Int(size), delay: delay)
        case .jobs: throw lines.error("a job's file describes jobs again", found: lines.shown(1))
        }
      }
    }
  }

  private func named(_ path: String, by input: TraceInput, _ lines: borrowing TextLines) throws -> TraceInput
  {
    guard let file = input.sibling(path) else {
      throw lines.error(
        "there is no such file", found: "\"\(path.prefix(200))\"", hint: "paths begin at this file's folder")
    }
    return file
  }

  /// A list of files, the n-th for rank n.
  private mutating func readFiles(_ input: TraceInput, name: String, expected: Int?, delay: Double) throws {
    var files: [TraceInput] = []
    var lines = TextLines(try input.open())
    while try lines.next() {
      guard lines.count == 1 else {
        throw lines.error(
          "a list of files has one on each line", found: lines.shown(1), allowed: "a path without spaces")
      }
      guard files.count < Self.fileLimit else {
        throw lines.error("the list is too long", allowed: "at most \(Self.fileLimit) files")
      }
      files.append(try named(lines[0], by: input, lines))
    }
    // One file may hold the actions of all ranks.
    if files.count == 1, let file = files.first {
      return try readActions(file, name: name, expected: expected, delay: delay)
    }
    if let expected, expected != files.count {
      throw Diagnostic(
        .data, "the job and its list of files differ", file: input.name, path: "line \(files.count)",
        found: "\(files.count) files", allowed: "\(expected), a file for each rank")
    }
    let job = try begin(name, size: files.count, delay: delay, input)
    for (rank, file) in files.enumerated() {
      guard try content(file) == .actions else {
        throw Diagnostic(.data, "a listed file holds no actions", file: file.name, path: "line 1")
      }
      try read(file, job, only: rank)
    }
  }

  private mutating func readActions(_ input: TraceInput, name: String, expected: Int?, delay: Double) throws {
    let (size, isKnown) = try expected.map { ($0, true) } ?? count(input)
    if !isKnown { isWhole = false }
    try read(input, try begin(name, size: size, delay: delay, input), only: nil)
  }

  /// The number of ranks that a file speaks of, and whether it can be all of them.
  private func count(_ input: TraceInput) throws -> (Int, Bool) {
    var lines = TextLines(try input.open())
    var seen: Set<Int64> = []
    var (size, stated) = (Int64(0), Int64(0))
    let limit = Int64(TimeIndependentAction.rankLimit)
    while try lines.next() {
      guard let rank = lines.integer(0), 0..<limit ~= rank else {
        throw lines.error("a line begins with its rank", found: lines.shown(0), allowed: "0 to \(limit - 1)")
      }
      seen.insert(rank)
      size = max(size, rank + 1)
      guard lines.count > 2, let number = lines.integer(2), 0..<limit ~= number else { continue }
      switch lines[1] {
      case "comm_size": stated = max(stated, number)
      case "send", "isend", "recv", "irecv": size = max(size, number + 1)
      default: break
      }
    }
    return (Int(max(size, stated)), stated >= size || Int64(seen.count) == size)
  }

  private mutating func begin(_ name: String, size: Int, delay: Double, _ input: TraceInput) throws -> Job {
    guard ranks + size <= TimeIndependentAction.rankLimit else {
      throw Diagnostic(
        .data, "the jobs have too many ranks", file: input.name, path: "line 1", found: "\(ranks + size)",
        allowed: "at most \(TimeIndependentAction.rankLimit)")
    }
    defer { ranks += size }
    recording.groups.append(ProcessGroup(name: name, ranks: (ranks..<ranks + size).map { Int32($0) }))
    return Job(name: name, offset: ranks, size: size, delay: delay)
  }

  // MARK: Actions

  private mutating func read(_ input: TraceInput, _ job: Job, only: Int?) throws {
    var lines = TextLines(try input.open())
    let group = Int32(recording.groups.count - 1)
    while try lines.next() {
      guard let rank = lines.integer(0), 0..<Int64(job.size) ~= rank, only.map({ Int64($0) == rank }) ?? true
      else {
        throw lines.error(
          "a line begins with its rank", found: lines.shown(0),
          allowed: only.map { "\($0), by its place in the list" } ?? "0 to \(job.size - 1)")
      }
      guard lines.count >= 2 else {
        throw lines.error("the action is missing", allowed: "rank, action, its words")
      }
      let index = state(ofRank: Int(rank) + job.offset, job, input.name)
      let reader = TimeIndependentActionReader(rank: rank, size: job.size, standard: states[index].standard)
      let action = try reader.read(lines)
      states[index].append(action, offset: Int32(job.offset), group: group)
    }
  }

  private mutating func state(ofRank rank: Int, _ job: Job, _ file: String) -> Int {
    if let known = stateOfRank[rank] { return known }
    stateOfRank[rank] = states.count
    states.append(RankState(rank: rank, file: file, delay: job.delay))
    return states.count - 1
  }

  mutating func finish() -> Recording {
    states.sort { $0.recording.rank < $1.recording.rank }
    recording.ranks = states.map(\.recording)
    recording.worldSize = isWhole ? ranks : nil
    for state in states { recording.omissions += state.omissions }
    func note(_ text: String, _ selected: (RankState) -> Int) {
      let count = states.reduce(0) { $0 + selected($1) }
      if count > 0 { recording.notes.append("\(count) \(text)") }
    }
    if !isWhole {
      recording.notes.append("not all ranks that messages name are in the file; their number is unknown")
    }
    note("ranks do not end with `finalize`: their traces may be cut off") { $0.hasEnded ? 0 : 1 }
    note("waits name no message under way and wait for nothing") { $0.idleWaits }
    note("messages are never waited for") { $0.unwaited }
    note("receives do not say how many bytes they expect") { $0.unsized }
    note("scans are imported as communication of unknown kind") { $0.scans }
    return recording
  }
}

/// What has been read of one rank.
private struct RankState {
  var recording: RankRecording
  /// What counts without a type count; `init` says.
  var standard = MPIDatatype.byte
  var hasEnded = false
  var idleWaits = 0
  var unsized = 0
  var scans = 0
  private var last: Int32?
  private var collectives: Int64 = 0
  /// Messages under way by their ends and tag, oldest first.
  private var pending: [TimeIndependentAction.MessageKey: [Int32]] = [:]
  private var omitted: [(name: String, count: Int)] = []

  init(rank: Int, file: String, delay: Double) {
    recording = RankRecording(rank: rank, file: file)
    if delay > 0 { last = recording.append(.compute, name: "start delay", operations: delay) }
  }

  var unwaited: Int { pending.values.reduce(0) { $0 + $1.count } }

  var omissions: [Omission] {
    omitted.map { Omission(rank: recording.rank, reason: "\($0.name): nothing to replay", count: $0.count) }
  }

  mutating func append(_ action: TimeIndependentAction, offset: Int32, group: Int32) {
    let before = last.map { [$0] } ?? []
    switch action {
    case .start(let type):
      standard = type
      omit("init")
    case .nothing(let name):
      if name == "finalize" { hasEnded = true }
      omit(name)
    case .compute(let operations):
      // No operations are no time; that a duration is unknown is another matter.
      last = recording.append(
        .compute, name: "compute", duration: operations == 0 ? 0 : RankRecording.unknownTime,
        operations: operations,
        after: before)
    case .sleep(let duration):
      last = recording.append(.compute, name: "sleep", duration: duration, after: before)
    case .message(var message, let isBlocking):
      let own = Int64(recording.rank) - Int64(offset)
      let (peer, tag) = (message.peer.map { Int64($0) } ?? -1, message.tag.map { Int64($0) } ?? 0)
      message.peer = message.peer.map { $0 + offset }
      message.group = group
      if message.kind == .receive, message.outputBytes == nil { unsized += 1 }
      let event = recording.append(
        .communication, name: message.recordedName, communication: message, after: before)
      if isBlocking {
        last = event
      } else {
        let isSend = message.kind == .send
        let key = TimeIndependentAction.MessageKey(
          source: isSend ? own : peer, destination: isSend ? peer : own, tag: tag)
        pending[key, default: []].append(event)
      }
    case .wait(let key):
      guard var messages = pending.removeValue(forKey: key) else {
        idleWaits += 1
        last = recording.append(.compute, name: "wait", duration: 0, after: before)
        return
      }
      let message = messages.removeFirst()
      if !messages.isEmpty { pending[key] = messages }
      last = recording.append(.compute, name: "wait", duration: 0, after: before + [message])
    case .waitAll:
      let messages = pending.values.joined().sorted()
      pending.removeAll()
      last = recording.append(.compute, name: "waitall", duration: 0, after: before + messages)
    case .collective(var collective, let operations):
      collective.group = group
      collective.sequence = collectives
      collectives += 1
      if collective.kind == .unknown { scans += 1 }
      let name = collective.recordedName
      last = recording.append(.communication, name: name, communication: collective, after: before)
      if operations > 0 {
        last = recording.append(
          .compute, name: "\(name) operations", operations: operations, after: last.map { [$0] } ?? [])
      }
    }
  }

  private mutating func omit(_ name: String) {
    if let index = omitted.firstIndex(where: { $0.name == name }) {
      omitted[index].count += 1
    } else {
      omitted.append((name, 1))
    }
  }
}
