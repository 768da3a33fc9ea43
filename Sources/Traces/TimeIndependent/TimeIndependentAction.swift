import Documents

/// What one line of a time-independent trace asks its rank to do.
enum TimeIndependentAction {
  case start(MPIDatatype)
  /// Says nothing that a replay needs.
  case nothing(String)
  /// Floating-point operations.
  case compute(Double)
  /// Picoseconds.
  case sleep(Int64)
  case message(RecordedCommunication, isBlocking: Bool)
  /// Two ends and the tag of the message that is waited for.
  case wait(MessageKey)
  case waitAll
  /// A collective, and the operations that each rank spends on it afterwards.
  case collective(RecordedCommunication, operations: Double)

  struct MessageKey: Hashable {
    var source: Int64
    var destination: Int64
    var tag: Int64
  }

  /// Most ranks of a trace.
  static let rankLimit = 1 << 20
  /// Counts and their products stay below this, so that sums of them cannot overflow.
  static let byteLimit = 1e17
}

/// Reads the words of one line, knowing how many ranks there are and what a count without a type counts.
///
/// Source: SimGrid, `src/smpi/internals/smpi_replay.cpp`, the `parse` of each action. Where that reads a type from the
/// wrong word (alltoallv, scatterv), the writer (`instr_smpi.cpp`) is followed.
struct TimeIndependentActionReader {
  let rank: Int64
  /// Ranks of the job.
  let size: Int
  let standard: MPIDatatype

  func read(_ line: borrowing TextLines) throws -> TimeIndependentAction {
    let name = line[1]
    switch name {
    case "init":
      try count(line, 2...3)
      return .start(line.count > 2 ? .double : .byte)
    case "finalize", "comm_size", "comm_split", "comm_dup", "test", "testall", "location":
      return .nothing(name)
    case "compute":
      try count(line, 3...3)
      return .compute(try amount(line, 2, "operations"))
    case "sleep":
      try count(line, 3...3)
      let seconds = try amount(line, 2, "seconds")
      guard seconds < 1e6 else {
        throw line.error("a sleep is too long", found: line.shown(2), allowed: "below 1e6 s")
      }
      return .sleep(Int64((seconds * 1e12).rounded()))
    case "send", "isend", "recv", "irecv": return try message(name, line)
    case "wait":
      try count(line, 5...5)
      return .wait(
        .init(
          source: try whole(line, 2, "the sender"), destination: try whole(line, 3, "the receiver"),
          tag: try whole(line, 4, "the tag")))
    case "waitall":
      return .waitAll
    default: return try collective(name, line)
    }
  }

  // MARK: Words

  private func count(_ line: borrowing TextLines, _ allowed: ClosedRange<Int>) throws {
    guard !allowed.contains(line.count) else { return }
    throw line.error(
      "the action has the wrong number of words", found: "\(line.count)",
      allowed: allowed.count == 1
        ? "\(allowed.lowerBound)" : "\(allowed.lowerBound) to \(allowed.upperBound)",
      hint: allowed.upperBound > 12 ? "lists have an entry for each of the \(size) ranks" : nil)
  }

  private func amount(_ line: borrowing TextLines, _ index: Int, _ what: String) throws -> Double {
    guard let value = line.number(index), value >= 0, value < Self.amountLimit else {
      throw line.error(
        "\(what) must be a number", found: line.shown(index), allowed: "0 to \(Self.amountLimit)")
    }
    return value
  }

  private static let amountLimit = 1e24

  private func whole(_ line: borrowing TextLines, _ index: Int, _ what: String) throws -> Int64 {
    guard let value = line.integer(index), abs(value) <= Int64(Int32.max) else {
      throw line.error("\(what) must be a whole number", found: line.shown(index))
    }
    return value
  }

  /// Elements times their size; SimGrid reads counts as floating-point numbers and cuts them off.
  private func bytes(_ line: borrowing TextLines, _ index: Int, _ type: MPIDatatype, times factor: Int = 1)
    throws -> Int64
  {
    let elements = try amount(line, index, "a count").rounded(.down)
    let bytes = elements * Double(type.bytes) * Double(factor)
    guard bytes <= TimeIndependentAction.byteLimit else {
      throw line.error("the buffer is too large", found: line.shown(index), allowed: "at most 1e17 bytes")
    }
    return Int64(bytes)
  }

  /// A list with an entry for each rank.
  private func list(_ line: borrowing TextLines, from first: Int, _ type: MPIDatatype) throws -> [Int64] {
    var list: [Int64] = []
    list.reserveCapacity(size)
    for index in first..<first + size { list.append(try bytes(line, index, type)) }
    return list
  }

  /// The type that the word at an index names; the standard one where there is no such word.
  private func type(_ line: borrowing TextLines, _ index: Int) throws -> MPIDatatype {
    guard index < line.count else { return standard }
    guard let number = line.integer(index), let type = MPIDatatype(number: number) else {
      throw line.error("there is no such datatype", found: line.shown(index), allowed: "0 to 59")
    }
    return type
  }

  private func root(_ line: borrowing TextLines, _ index: Int) throws -> Int32 {
    guard index < line.count else { return 0 }
    let root = try whole(line, index, "the root")
    guard 0..<Int64(size) ~= root else {
      throw line.error("the root is no rank of the job", found: "\(root)", allowed: "0 to \(size - 1)")
    }
    return Int32(root)
  }

  // MARK: Messages

  private func message(_ name: String, _ line: borrowing TextLines) throws -> TimeIndependentAction {
    try count(line, 5...6)
    let isSend = name.hasSuffix("send")
    var message = RecordedCommunication(isSend ? .send : .receive, recordedName: name)
    let peer = try whole(line, 2, "the peer")
    guard peer < size else {
      throw line.error("the peer is no rank of the job", found: "\(peer)", allowed: "0 to \(size - 1)")
    }
    // Negative numbers are MPI's wildcards.
    message.peer = peer < 0 ? nil : Int32(peer)
    guard isSend || peer >= 0 || peer == -1 || peer == -555 else {
      throw line.error(
        "the peer is no rank", found: "\(peer)", allowed: "0 to \(size - 1), -1 or -555 for any")
    }
    guard !isSend || peer >= 0 else { throw line.error("a send names its receiver", found: "\(peer)") }
    message.tag = Int32(try whole(line, 3, "the tag"))
    let type = try type(line, 5)
    message.dataType = type.name
    // A receiver may not know how much comes: SimGrid then asks the sender.
    let isUnknown = !isSend && (line.number(4) ?? 0) <= 0 && line.number(4) != nil
    let size = isUnknown ? nil : try bytes(line, 4, type)
    if isSend { message.inputBytes = size } else { message.outputBytes = size }
    return .message(message, isBlocking: !name.hasPrefix("i"))
  }

  // MARK: Collectives

  private func collective(_ name: String, _ line: borrowing TextLines) throws -> TimeIndependentAction {
    func make(_ kind: CommunicationKind) -> RecordedCommunication {
      var communication = RecordedCommunication(kind, recordedName: name)
      communication.groupSize = size
      communication.group = 0
      return communication
    }
    /// One buffer that all ranks hold.
    func whole(_ kind: CommunicationKind, type typeIndex: Int, root rootIndex: Int?) throws
      -> RecordedCommunication
    {
      var communication = make(kind)
      let type = try type(line, typeIndex)
      communication.dataType = type.name
      communication.inputBytes = try bytes(line, 2, type)
      communication.outputBytes = communication.inputBytes
      if let rootIndex {
        let root = try root(line, rootIndex)
        communication.tag = root
        if kind == .broadcast, Int64(root) != rank { communication.inputBytes = 0 }
        if kind == .reduce, Int64(root) != rank { communication.outputBytes = 0 }
      }
      return communication
    }
    switch name {
    case "barrier": return .collective(make(.barrier), operations: 0)
    case "bcast":
      try count(line, 3...5)
      return .collective(try whole(.broadcast, type: 4, root: 3), operations: 0)
    case "reduce":
      try count(line, 4...6)
      return .collective(try whole(.reduce, type: 5, root: 4), operations: try amount(line, 3, "operations"))
    case "allreduce", "scan", "exscan":
      try count(line, 4...5)
      return .collective(
        try whole(name == "allreduce" ? .allReduce : .unknown, type: 4, root: nil),
        operations: try amount(line, 3, "operations"))
    case "alltoall", "allgather":
      try count(line, 4...6)
      let (sent, received) = (try type(line, 4), try type(line, 5))
      var communication = make(name == "alltoall" ? .allToAll : .allGather)
      communication.dataType = sent.name
      communication.inputBytes = try bytes(line, 2, sent, times: name == "alltoall" ? size : 1)
      communication.outputBytes = try bytes(line, 3, received, times: size)
      return .collective(communication, operations: 0)
    case "gather", "scatter":
      try count(line, 4...7)
      let (sent, received) = (try type(line, 5), try type(line, 6))
      var communication = make(name == "gather" ? .gather : .scatter)
      let root = try root(line, 4)
      communication.tag = root
      communication.dataType = sent.name
      let isRoot = Int64(root) == rank
      let (out, back) = (
        try bytes(line, 2, sent, times: name == "scatter" ? size : 1),
        try bytes(line, 3, received, times: name == "gather" ? size : 1)
      )
      communication.inputBytes = name == "gather" || isRoot ? out : 0
      communication.outputBytes = name == "scatter" || isRoot ? back : 0
      return .collective(communication, operations: 0)
    case "reducescatter":
      try count(line, size + 3...size + 4)
      var communication = make(.reduceScatter)
      let type = try type(line, 3 + size)
      communication.dataType = type.name
      let counts = try list(line, from: 2, type)
      communication.inputBytes = try sum(counts, line)
      communication.outputBytes = counts[Int(rank)]
      communication.inputSplits = counts
      return .collective(communication, operations: try amount(line, 2 + size, "operations"))
    case "gatherv", "allgatherv", "scatterv", "alltoallv": return try varying(name, make, line)
    default:
      throw line.error(
        "there is no such action", found: line.shown(1),
        allowed:
          "init, finalize, compute, sleep, send, isend, recv, irecv, wait, waitall, test, barrier, bcast, reduce, "
          + "allreduce, alltoall, alltoallv, gather, gatherv, allgather, allgatherv, scatter, scatterv, reducescatter, "
          + "scan, exscan, comm_size, comm_split, comm_dup, location")
    }
  }

  private func sum(_ list: [Int64], _ line: borrowing TextLines) throws -> Int64 {
    let sum = list.reduce(0.0) { $0 + Double($1) }
    guard sum <= TimeIndependentAction.byteLimit else {
      throw line.error("the buffers are too large together", allowed: "at most 1e17 bytes")
    }
    return list.reduce(0, +)
  }

  /// Collectives with a count for each rank.
  private func varying(
    _ name: String, _ make: (CommunicationKind) -> RecordedCommunication, _ line: borrowing TextLines
  ) throws -> TimeIndependentAction {
    switch name {
    case "alltoallv":
      try count(line, 2 * size + 4...2 * size + 6)
      var communication = make(.allToAllV)
      let (sent, received) = (try type(line, 4 + 2 * size), try type(line, 5 + 2 * size))
      communication.dataType = sent.name
      let (out, back) = (try list(line, from: 3, sent), try list(line, from: 4 + size, received))
      communication.inputSplits = out
      communication.outputSplits = back
      communication.inputBytes = try sum(out, line)
      communication.outputBytes = try sum(back, line)
      return .collective(communication, operations: 0)
    case "scatterv":
      try count(line, size + 3...size + 6)
      var communication = make(.scatter)
      let root = try root(line, 3 + size)
      let (sent, received) = (try type(line, 4 + size), try type(line, 5 + size))
      communication.tag = root
      communication.dataType = sent.name
      let out = try list(line, from: 2, sent)
      let isRoot = Int64(root) == rank
      communication.inputSplits = isRoot ? out : nil
      communication.inputBytes = isRoot ? try sum(out, line) : 0
      communication.outputBytes = try bytes(line, 2 + size, received)
      return .collective(communication, operations: 0)
    default:
      let isAll = name == "allgatherv"
      // Behind the counts of allgatherv: one or two types, displacements, or a type and displacements.
      try count(line, size + 3...size + (isAll ? max(5, size + 4) : 6))
      var communication = make(isAll ? .allGather : .gather)
      let first = 3 + size
      let extra = line.count - first
      var (sent, received) = (standard, standard)
      if !isAll {
        communication.tag = try root(line, first)
        (sent, received) = (try type(line, first + 1), try type(line, first + 2))
      } else if extra == 1 || extra == 2 || extra > size {
        sent = try type(line, first)
        received = extra == 2 ? try type(line, first + 1) : sent
      }
      communication.dataType = sent.name
      communication.inputBytes = try bytes(line, 2, sent)
      let back = try list(line, from: 3, received)
      let holds = isAll || communication.tag.map { Int64($0) } == rank
      communication.outputSplits = holds ? back : nil
      communication.outputBytes = holds ? try sum(back, line) : 0
      return .collective(communication, operations: 0)
    }
  }
}
