import Documents
import Operators
import Programs

/// A program's tasks in the words of Chakra's schema: what a node of each says to tools that know nothing else.
struct ChakraTasks {
  let verified: VerifiedProgram
  /// Of each code, what each task waits for: its dependencies and the task before it on its lane.
  private let waits: [EventGraph]
  /// Number of each communicator's first group among all groups; 0 is all ranks.
  private let firstGroups: [Int]
  /// Rows that travel between ranks in an exchange of the table, all members together.
  private var movedRows: [TrafficTable.Key: Int64] = [:]

  /// What a task's node says in the standard's own attributes.
  struct Node {
    var type = ChakraSchema.NodeType.collective
    var name = ""
    var collective: Int?
    /// `comm_size`, as ASTRA-sim counts: the input buffer.
    var bytes: Int64 = 0
    var source: Int32?
    var destination: Int32?
    var tag: Int32?
    var group: String?
    var operations: Int64?
    var tensorBytes: Int64?
    /// For a kind that the schema lacks.
    var ownKind: CommunicationKind?
    var inputSplits: [Int64]?
    var outputSplits: [Int64]?
  }

  init(_ verified: VerifiedProgram) {
    self.verified = verified
    waits = verified.program.codes.map { Self.waits(of: $0) }
    var next = 1
    firstGroups = verified.program.communicators.map { communicator in
      defer { next += communicator.groupCount }
      return next
    }
    guard let traffic = verified.program.traffic else { return }
    for key in traffic.keys {
      guard let rows = traffic.rows(at: key) else { continue }
      var moved = rows.reduce(Int64(0)) { $0 + Int64($1) }
      for member in 0..<traffic.members {
        moved -= Int64(rows[rows.startIndex + member * (traffic.members + 1)])
      }
      movedRows[key] = moved
    }
  }

  var program: Program { verified.program }

  private static func waits(of code: Code) -> EventGraph {
    var graph = EventGraph()
    var last = [Int32](repeating: -1, count: Lane.count)
    for task in 0..<code.count {
      var targets = Set(code.dependencies(of: task))
      let lane = code.lane[task].index
      if last[lane] >= 0 { targets.insert(last[lane]) }
      last[lane] = Int32(task)
      for target in targets.sorted() { graph.add(target) }
      graph.endEvent()
    }
    return graph
  }

  /// Tasks that a task waits for, ascending: dependencies, and the one before it on its lane.
  func waits(code: Int, task: Int) -> ArraySlice<Int32> {
    waits[code].targets[waits[code].targets(of: task)]
  }

  /// `pg_name` of a communicator's group.
  func groupName(communicator: Int, group: Int) -> String {
    isWorld(communicator, group) ? ChakraGroups.all : "\(firstGroups[communicator] + group)"
  }

  private func isWorld(_ communicator: Int, _ group: Int) -> Bool {
    let members = program.communicators[communicator].group(group)
    return members.count == program.ranks && members.enumerated().allSatisfy { $0 == Int($1) }
  }

  /// ASTRA-sim's comm-group file: every group that is not all ranks.
  var groupFile: String {
    var lines: [String] = []
    for (index, communicator) in program.communicators.enumerated() {
      for group in 0..<communicator.groupCount where !isWorld(index, group) {
        let ranks = communicator.group(group).map { "\($0)" }.joined(separator: ", ")
        lines.append("  \"\(groupName(communicator: index, group: group))\": [\(ranks)]")
      }
    }
    return lines.isEmpty ? "{}\n" : "{\n" + lines.joined(separator: ",\n") + "\n}\n"
  }

  // MARK: Nodes

  func node(rank: Int, task: Int) -> Node {
    let codeIndex = Int(program.codeOfRank[rank])
    let code = program.codes[codeIndex]
    var node = Node()
    let kind = code.kind[task]
    if kind == .compute {
      let index = Int(code.work[task])
      let work = program.works[index]
      let kernels =
        program.expertPairs(rank: rank, task: task).map { program.kernels(of: index, pairs: $0) }
        ?? work.kernels
      node.type = ChakraSchema.NodeType.computation
      node.name = work.name
      node.operations = wholeNumber(kernels.reduce(0) { $0 + $1.flops.value })
      node.tensorBytes = wholeNumber(kernels.reduce(0) { $0 + $1.bytesRead + $1.bytesWritten })
      return node
    }
    let communicator = program.communicators[Int(code.communicator[task])]
    let members = communicator.group(ofRank: rank)
    node.name = "\(kind.name) \(communicator.name)"
    if code.purpose[task] != .unspecified { node.name += " \(code.purpose[task].name)" }
    node.bytes = code.bytes[task]
    if kind == .send || kind == .receive {
      let peer = members[members.startIndex + Int(code.peer[task])]
      node.type = kind == .send ? ChakraSchema.NodeType.send : ChakraSchema.NodeType.receive
      node.source = kind == .send ? Int32(rank) : peer
      node.destination = kind == .send ? peer : Int32(rank)
      node.tag = code.tag[task]
      return node
    }
    node.group = groupName(
      communicator: Int(code.communicator[task]), group: Int(communicator.groupOfRank[rank]))
    setCollective(&node, kind, rank: rank, task: task, members: members.count)
    return node
  }

  private func setCollective(_ node: inout Node, _ kind: TaskKind, rank: Int, task: Int, members: Int) {
    let standard: CommunicationKind
    switch kind {
    case .allReduce: standard = .allReduce
    case .reduceScatter: standard = .reduceScatter
    case .broadcast: standard = .broadcast
    case .allToAll: standard = .allToAll
    case .allGather:
      standard = .allGather
      // The shard; where shards are not alike the largest, as all members must state one size.
      node.bytes = (node.bytes + Int64(members) - 1) / Int64(members)
    case .barrier:
      // ASTRA-sim refuses BARRIER; the least that makes all wait for all is a sum of one number.
      (standard, node.ownKind, node.bytes) = (.allReduce, .barrier, 4)
    case .dispatch, .combine:
      standard = .allToAll
      node.ownKind = kind == .dispatch ? .dispatch : .combine
      let splits = exchangeSplits(rank: rank, task: task)
      (node.inputSplits, node.outputSplits) = (splits.input, splits.output)
      node.bytes = splits.evenBytes
    case .compute, .send, .receive: return
    }
    node.collective = ChakraSchema.number(ofCollective: standard)
  }
}

/// The nearest whole number that fits; programs may state any size.
func wholeNumber(_ value: Double) -> Int64 {
  value.isNaN ? 0 : value >= 9.2e18 ? .max : value <= -9.2e18 ? .min : Int64(value.rounded())
}

extension ChakraTasks {
  /// Bytes of the rows that a dispatch or combine moves from a rank to each member of its group and back, its own rows
  /// included, by the traffic table or by the exchange's averages; and what one member of an even all-to-all brings
  /// that moves as many bytes between ranks.
  ///
  /// Counts of rows that a dispatch sends ahead are not in it. Rows that take two hops count once, from their source to
  /// their destination.
  func exchangeSplits(rank: Int, task: Int) -> (input: [Int64], output: [Int64], evenBytes: Int64) {
    let code = program.codes[Int(program.codeOfRank[rank])]
    let exchange = program.exchanges[Int(code.work[task])]
    let communicator = program.communicators[Int(code.communicator[task])]
    let members = communicator.group(ofRank: rank).count
    let member = Int(communicator.indexOfRank[rank])
    let row = wholeNumber(exchange.bytesPerToken + Double(exchange.metadataBytesPerToken))
    guard let rows = program.traffic(rank: rank, task: task), let chunk = code.chunk(ofTask: task) else {
      let share = wholeNumber(exchange.tokens * exchange.ranksPerToken / Double(members) * Double(row))
      let splits = [Int64](repeating: share, count: members)
      return (splits, splits, share.multipliedReportingOverflow(by: Int64(members)).partialValue)
    }
    func bytes(_ source: Int, _ destination: Int) -> Int64 {
      Int64(rows[rows.startIndex + source * members + destination]).multipliedReportingOverflow(by: row)
        .partialValue
    }
    let out = (0..<members).map { bytes(member, $0) }
    let back = (0..<members).map { bytes($0, member) }
    let key = TrafficTable.Key(
      layer: Int(code.layer[task]), batch: Int(chunk.batch), group: Int(communicator.groupOfRank[rank]))
    let moved = (movedRows[key] ?? 0).multipliedReportingOverflow(by: row).partialValue
    let pairs = Int64(max(1, members * (members - 1)))
    let even = max(0, (moved &+ pairs &- 1) / pairs) &* Int64(members)
    return code.kind[task] == .dispatch ? (out, back, even) : (back, out, even)
  }
}

// MARK: Agreement

extension ChakraTasks {
  /// Checks that what a file says in the standard's attributes is what its program says.
  ///
  /// - Throws: A ``Diagnostic`` that names the node: somebody changed one and not the other.
  func check(_ recording: RankRecording, groups: [ProcessGroup]) throws(Diagnostic) {
    let rank = recording.rank
    let code = Int(program.codeOfRank[rank])
    func differ(_ task: Int, _ what: String, _ found: String, _ allowed: String) -> Diagnostic {
      Diagnostic(
        .data, "a node says something else than the program that its file carries", file: recording.file,
        path: "node \(task)", found: "\(what) \(found)", allowed: "\(what) \(allowed)",
        hint: "without its rehearsal_ attributes the file is read as it stands")
    }
    guard recording.tasks.count == recording.count, recording.count == program.codes[code].count else {
      throw differ(recording.tasks.count, "nodes", "\(recording.count)", "\(program.codes[code].count)")
    }
    for event in 0..<recording.count {
      let task = Int(recording.tasks[event])
      let node = node(rank: rank, task: task)
      let after = recording.dependencies(of: event).map { recording.tasks[Int($0)] }.sorted()
      let waits = waits(code: code, task: task)
      // The reader cuts circles, but a verified program has none.
      guard after.elementsEqual(waits) else { throw differ(task, "data_deps", "\(after)", "\(Array(waits))") }
      guard recording.communication[event] >= 0 else {
        let operations = recording.operations[event]
        guard node.type == ChakraSchema.NodeType.computation, recording.kind[event] == .compute else {
          throw differ(task, "type", "COMP", ChakraSchema.nodeType(node.type))
        }
        guard operations == Double(node.operations ?? 0) else {
          throw differ(task, "num_ops", "\(operations)", "\(node.operations ?? 0)")
        }
        continue
      }
      let communication = recording.communications[Int(recording.communication[event])]
      let kind = node.communicationKind
      guard communication.kind == kind else {
        throw differ(task, "kind", communication.kind.rawValue, kind?.rawValue ?? "computation")
      }
      if node.inputSplits != communication.inputSplits || node.outputSplits != communication.outputSplits {
        throw differ(
          task, "splits", "\(communication.inputSplits ?? [])", "\(node.inputSplits ?? [])")
      }
      let bytes = kind == .receive ? communication.outputBytes : communication.inputBytes
      if node.inputSplits == nil, bytes != node.bytes {
        throw differ(task, "comm_size", bytes.map { "\($0)" } ?? "missing", "\(node.bytes)")
      }
      let peer = kind == .send ? node.destination : kind == .receive ? node.source : nil
      guard communication.peer == peer, communication.tag == node.tag else {
        throw differ(
          task, "peer and tag", "\(communication.peer ?? -1), \(communication.tag ?? -1)",
          "\(peer ?? -1), \(node.tag ?? -1)")
      }
      let group = communication.group < 0 ? nil : groups[Int(communication.group)].name
      guard group == node.group else {
        throw differ(task, "pg_name", group ?? "missing", node.group ?? "missing")
      }
    }
  }
}

extension ChakraTasks.Node {
  /// What a reader takes the node for.
  var communicationKind: CommunicationKind? {
    switch type {
    case ChakraSchema.NodeType.send: .send
    case ChakraSchema.NodeType.receive: .receive
    case ChakraSchema.NodeType.collective: ownKind ?? collective.map { ChakraSchema.kind(ofCollective: $0) }
    default: nil
    }
  }
}
