import Documents

/// Collects the nodes of one rank, and makes events of them once all are there.
struct ChakraBuilder {
  let file: String
  let isPacked: Bool
  private(set) var rank: RankRecording
  private(set) var summary = ChakraSummary()
  private(set) var names = NameTable()
  private(set) var groupNames = NameTable()
  /// Whether call-tree parents stand among the control dependencies, which nobody waits for.
  var controlIsCallTree = false
  /// Python text of every `process_group:init` node.
  private(set) var groupLists: [String] = []
  /// What this project's writer put into the nodes, in the order of the nodes.
  private(set) var statements: [String] = []
  private(set) var notes: [String] = []
  private(set) var omissions: [Omission] = []
  /// The earliest start, which the events' times count from; nil without times.
  private(set) var firstMicroseconds: UInt64?

  private var ids: [UInt64] = []
  private var places: [Int] = []
  /// Event of each node, or -1.
  private var eventOfNode: [Int32] = []
  private var data = EventLists()
  private var control = EventLists()
  private var startMicroseconds: [UInt64] = []
  private var ownStarts: [Int64] = []
  private var withoutStart = 0
  private var typeCounts: [Int: Int] = [:]
  private var collectiveCounts: [Int: (count: Int, bytes: Int64, without: Int)] = [:]
  private var missingTypes = (count: 0, bytes: Int64(0), without: 0)
  private var hostCollectives = 0

  /// Ids that nodes name, list after list.
  private struct EventLists {
    var ends: [Int] = []
    var ids: [UInt64] = []
  }

  init(file: String, isPacked: Bool, rank: Int) {
    self.file = file
    self.isPacked = isPacked
    self.rank = RankRecording(rank: rank, file: file)
  }

  func error(
    _ problem: String, at offset: Int, found: String? = nil, allowed: String? = nil, hint: String? = nil
  ) -> Diagnostic {
    Diagnostic(
      .data, problem, file: file, path: "byte \(offset)" + (isPacked ? " of the unpacked file" : ""),
      found: found,
      allowed: allowed, hint: hint)
  }

  mutating func setRank(_ number: Int) { rank.rank = number }

  /// Forgets the lines of a program, once they are known elsewhere.
  mutating func dropStatements() { statements = [] }

  mutating func setVersion(_ version: String) { summary.version = version }

  mutating func addProperty(_ name: String, _ value: String) {
    rank.properties.append((name, value))
  }

  mutating func name(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 { names.index(bytes) }

  mutating func group(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 { groupNames.index(bytes) }

  mutating func addGroupList(_ text: String) { groupLists.append(text) }

  @inline(__always)
  mutating func addDataDependency(_ id: UInt64) { data.ids.append(id) }

  @inline(__always)
  mutating func addControlDependency(_ id: UInt64) { control.ids.append(id) }

  // MARK: Nodes

  /// Ends the node whose dependencies were added; `offset` is where it begins in the file.
  mutating func add(_ node: ChakraNode, at offset: Int) throws(Diagnostic) {
    guard ids.count < Int(Int32.max), data.ids.count < Int(Int32.max), control.ids.count < Int(Int32.max)
    else {
      throw error("the file has too many nodes or dependencies", at: offset, allowed: "at most \(Int32.max)")
    }
    ids.append(node.id)
    places.append(offset)
    data.ends.append(data.ids.count)
    control.ends.append(control.ids.count)
    typeCounts[node.type, default: 0] += 1
    try count(node, at: offset)
    let event = try event(of: node, at: offset)
    eventOfNode.append(event)
  }

  private mutating func count(_ node: ChakraNode, at offset: Int) throws(Diagnostic) {
    if let micros = node.durationMicroseconds {
      // So that picoseconds fit: more than a hundred days.
      guard micros <= UInt64(Int64.max / 1_000_000) else {
        throw error(
          "a node lasts too long", at: offset, found: "\(micros) us",
          allowed: "at most \(Int64.max / 1_000_000) us")
      }
      let (sum, overflows) = summary.durationMicroseconds.addingReportingOverflow(Int64(micros))
      summary.durationMicroseconds = overflows ? .max : sum
    }
    if let bytes = node.bytes, bytes < 0 {
      throw error("a node's comm_size is negative", at: offset, found: "\(bytes)", allowed: "0 or more")
    }
    if let operations = node.operations, operations < 0 {
      throw error("a node's num_ops is negative", at: offset, found: "\(operations)", allowed: "0 or more")
    }
    if let own = node.own {
      try agree(own.startPicoseconds, node.startMicroseconds, "start_time_micros", at: offset)
      try agree(own.durationPicoseconds, node.durationMicroseconds, "duration_micros", at: offset)
    }
    guard node.type == ChakraSchema.NodeType.collective else { return }
    func add(_ total: inout (count: Int, bytes: Int64, without: Int)) {
      total.count += 1
      total.without += node.bytes == nil ? 1 : 0
      let (sum, overflows) = total.bytes.addingReportingOverflow(node.bytes ?? 0)
      total.bytes = overflows ? .max : sum
    }
    if let kind = node.collective {
      add(&collectiveCounts[Int(clamping: kind), default: (0, 0, 0)])
    } else {
      add(&missingTypes)
    }
  }

  /// Checks that this project's own time is the standard's, which is rounded to microseconds.
  private func agree(_ own: Int64?, _ micros: UInt64?, _ what: String, at offset: Int) throws(Diagnostic) {
    guard let own else { return }
    let distance = micros.map {
      ($0 &* 1_000_000).subtractingReportingOverflow(UInt64(bitPattern: own)).partialValue
    }
    guard own >= 0, let distance, Int64(bitPattern: distance).magnitude <= 1_000_000 else {
      throw error(
        "a node's \(what) is not its time in picoseconds", at: offset,
        found: micros.map { "\($0) us" } ?? "none",
        allowed: "\(own) ps, rounded", hint: "without its rehearsal_ attributes the file is read as it stands"
      )
    }
  }

  /// Appends the node's event; -1 where it is none.
  private mutating func event(of node: ChakraNode, at offset: Int) throws(Diagnostic) -> Int32 {
    var communication: RecordedCommunication?
    let kind: EventKind
    switch node.type {
    case ChakraSchema.NodeType.computation: kind = .compute
    case ChakraSchema.NodeType.memoryLoad, ChakraSchema.NodeType.memoryStore: kind = .memory
    case ChakraSchema.NodeType.send, ChakraSchema.NodeType.receive, ChakraSchema.NodeType.collective:
      if node.type == ChakraSchema.NodeType.collective, node.collective == nil, node.isHost {
        // The call of which another node is the kernel: to count both would count the bytes twice.
        hostCollectives += 1
        kind = .compute
      } else {
        kind = .communication
        communication = try self.communication(of: node, at: offset)
      }
    default: return -1
    }
    let event = Int32(rank.kind.count)
    rank.kind.append(kind)
    rank.name.append(node.name)
    rank.stream.append(node.stream.flatMap { Int32(exactly: $0) } ?? -1)
    rank.operations.append(kind == .compute ? Double(node.operations ?? 0) : 0)
    if let own = node.own {
      statements.append(own.statement ?? "")
      if let statement = own.statement, !statement.isEmpty { rank.tasks.append(Int32(rank.tasks.count)) }
    }
    rank.duration.append(
      node.own?.durationPicoseconds ?? node.durationMicroseconds.map { Int64($0) * 1_000_000 }
        ?? RankRecording.unknownTime)
    addStart(node)
    if let communication {
      rank.communication.append(Int32(rank.communications.count))
      rank.communications.append(communication)
    } else {
      rank.communication.append(-1)
    }
    if node.isHost { rank.hostEvents.append(event) }
    return event
  }

  private mutating func addStart(_ node: ChakraNode) {
    guard let micros = node.startMicroseconds else {
      withoutStart += 1
      startMicroseconds.append(.max)
      if !ownStarts.isEmpty { ownStarts.append(-1) }
      return
    }
    firstMicroseconds = min(firstMicroseconds ?? micros, micros)
    startMicroseconds.append(micros)
    if let own = node.own?.startPicoseconds {
      if ownStarts.isEmpty { ownStarts = Array(repeating: -1, count: startMicroseconds.count - 1) }
      ownStarts.append(own)
    } else if !ownStarts.isEmpty {
      ownStarts.append(-1)
    }
  }

  private static let collectiveNames = ChakraSchema.collectives

  private func communication(of node: ChakraNode, at offset: Int) throws(Diagnostic) -> RecordedCommunication
  {
    var communication: RecordedCommunication
    switch node.type {
    case ChakraSchema.NodeType.send:
      communication = RecordedCommunication(.send, recordedName: "COMM_SEND")
      communication.inputBytes = node.bytes
      communication.peer = try peer(node.destination, "comm_dst", at: offset)
    case ChakraSchema.NodeType.receive:
      communication = RecordedCommunication(.receive, recordedName: "COMM_RECV")
      communication.outputBytes = node.bytes
      communication.peer = try peer(node.source, "comm_src", at: offset)
    default:
      let number = node.collective.map { Int(clamping: $0) }
      let name: String
      if let number {
        name =
          Self.collectiveNames.indices.contains(number) ? Self.collectiveNames[number] : "comm_type \(number)"
      } else {
        name = "missing"
      }
      communication = RecordedCommunication(
        number.map { ChakraSchema.kind(ofCollective: $0) } ?? .unknown, recordedName: name)
      communication.inputBytes = node.bytes
    }
    communication.tag = node.tag.map { Int32(truncatingIfNeeded: $0) }
    communication.group = node.group
    if let own = node.own {
      if let kind = own.kind.flatMap({ CommunicationKind(rawValue: $0) }) { communication.kind = kind }
      if let splits = own.inputSplits {
        communication.inputSplits = splits
        communication.inputBytes = try sum(splits, "rehearsal_input_splits", at: offset)
      }
      if let splits = own.outputSplits {
        communication.outputSplits = splits
        communication.outputBytes = try sum(splits, "rehearsal_output_splits", at: offset)
      }
    }
    return communication
  }

  private func peer(_ rank: Int64?, _ what: String, at offset: Int) throws(Diagnostic) -> Int32? {
    guard let rank else { return nil }
    guard let peer = Int32(exactly: rank), peer >= 0 else {
      throw error("a node's \(what) is no rank", at: offset, found: "\(rank)", allowed: "0 to \(Int32.max)")
    }
    return peer
  }

  private func sum(_ splits: [Int64], _ what: String, at offset: Int) throws(Diagnostic) -> Int64 {
    var total: Int64 = 0
    for split in splits {
      let (sum, overflows) = total.addingReportingOverflow(split)
      guard split >= 0, !overflows else {
        throw error("a node's \(what) are no sizes", at: offset, found: "\(split)", allowed: "0 or more")
      }
      total = sum
    }
    return total
  }

  // MARK: The end

  /// Resolves what nodes say of each other, and hands the events over.
  mutating func finish() throws(Diagnostic) -> RankRecording {
    let table = NodeTable(ids)
    if let duplicate = table.duplicate {
      throw error(
        "two nodes have the same id", at: places[duplicate], found: "\(ids[duplicate])",
        allowed: "ids that are unique in their file")
    }
    places = []
    // Of a file that carries no whole program, no event is a task.
    if rank.tasks.count != rank.count { rank.tasks = [] }
    rank.names = names.names
    resolveDependencies(table)
    resolveTimes()
    tally()
    rank.chakra = summary
    return rank
  }

  private mutating func resolveDependencies(_ table: NodeTable) {
    var graph = EventGraph()
    graph.reserve(events: rank.count, edges: data.ids.count)
    var (dangling, omitted) = (0, 0)
    var (dataStart, controlStart) = (0, 0)
    for node in 0..<ids.count {
      let isEvent = eventOfNode[node] >= 0
      func add(_ id: UInt64, _ follow: Bool) {
        guard let target = table.node(id) else {
          dangling += 1
          return
        }
        guard isEvent, follow else { return }
        if eventOfNode[Int(target)] >= 0 { graph.add(eventOfNode[Int(target)]) } else { omitted += 1 }
      }
      for index in dataStart..<data.ends[node] { add(data.ids[index], true) }
      for index in controlStart..<control.ends[node] { add(control.ids[index], !controlIsCallTree) }
      (dataStart, controlStart) = (data.ends[node], control.ends[node])
      if isEvent { graph.endEvent() }
    }
    summary.dataDependencies = data.ids.count
    summary.controlDependencies = control.ids.count
    summary.danglingDependencies = dangling
    summary.cyclicDependencies = graph.cutCircles()
    (data, control) = (EventLists(), EventLists())
    rank.dependencyOffsets = graph.offsets
    rank.dependencies = graph.targets
    if dangling > 0 { notes.append("\(dangling) dependencies name nodes that the file does not have") }
    if omitted > 0 { notes.append("\(omitted) dependencies on nodes that are no events are not followed") }
    if summary.cyclicDependencies > 0 {
      notes.append("\(summary.cyclicDependencies) dependencies close circles and are not followed")
    }
    if controlIsCallTree, summary.controlDependencies > 0 {
      notes.append(
        "\(summary.controlDependencies) control dependencies are the parents of calls, which nobody waits for"
      )
    }
  }

  private mutating func resolveTimes() {
    let first = firstMicroseconds ?? 0
    rank.origin = Int64(truncatingIfNeeded: first &* 1_000_000)
    var isLong = 0
    rank.start = startMicroseconds.enumerated().map { event, micros in
      guard micros != .max else { return RankRecording.unknownTime }
      if event < ownStarts.count, ownStarts[event] >= 0 { return ownStarts[event] &- rank.origin }
      guard micros - first <= UInt64(Int64.max / 2_000_000) else {
        isLong += 1
        return RankRecording.unknownTime
      }
      return Int64(micros - first) * 1_000_000
    }
    if isLong > 0 {
      notes.append(
        "\(isLong) nodes start more than fifty days after the first: their start is taken as unknown")
    }
    let isTimed = withoutStart == 0 && isLong == 0
    if !isTimed, withoutStart < rank.count {
      notes.append("\(withoutStart) of \(rank.count) events have no start: events stand in the file's order")
    }
    if isTimed { rank.sortByStart() }
    (startMicroseconds, ownStarts) = ([], [])
  }

  private mutating func tally() {
    summary.nodes = ids.count
    summary.byType = typeCounts.keys.sorted().map {
      ChakraSummary.Nodes(type: ChakraSchema.nodeType($0), count: typeCounts[$0] ?? 0)
    }
    func line(_ kind: String, _ total: (count: Int, bytes: Int64, without: Int)) -> ChakraSummary.Collectives
    {
      ChakraSummary.Collectives(
        kind: kind, count: total.count, bytes: total.bytes, withoutBytes: total.without)
    }
    summary.collectives = collectiveCounts.keys.sorted().map {
      line(ChakraSchema.collective($0), collectiveCounts[$0] ?? (0, 0, 0))
    }
    if missingTypes.count > 0 { summary.collectives.append(line("missing", missingTypes)) }
    for type in typeCounts.keys.sorted() where !(2...7).contains(type) {
      omissions.append(
        Omission(
          rank: rank.rank, reason: "node of type \(ChakraSchema.nodeType(type))", count: typeCounts[type] ?? 0
        ))
    }
    if hostCollectives > 0 {
      notes.append(
        "\(hostCollectives) collectives of the host without comm_type are taken as calls of the host")
    }
    if missingTypes.count > hostCollectives {
      notes.append(
        "\(missingTypes.count - hostCollectives) collectives have no comm_type: their kind is unknown")
    }
  }
}

extension RankRecording {
  /// Brings events into ascending order of their start; those that start together stay in their order.
  mutating func sortByStart() {
    var isSorted = true
    for event in 1..<max(count, 1) where start[event] < start[event - 1] { isSorted = false }
    if isSorted { return }
    let order = (0..<count).sorted { (start[$0], $0) < (start[$1], $1) }
    var place = [Int32](repeating: 0, count: count)
    for (new, old) in order.enumerated() { place[old] = Int32(new) }
    kind = order.map { kind[$0] }
    name = order.map { name[$0] }
    stream = order.map { stream[$0] }
    start = order.map { start[$0] }
    duration = order.map { duration[$0] }
    operations = order.map { operations[$0] }
    communication = order.map { communication[$0] }
    if !tasks.isEmpty { tasks = order.map { tasks[$0] } }
    hostEvents = hostEvents.map { place[Int($0)] }.sorted()
    var offsets: [Int32] = [0]
    var targets: [Int32] = []
    targets.reserveCapacity(dependencies.count)
    for old in order {
      for target in dependencies(of: old) { targets.append(place[Int(target)]) }
      offsets.append(Int32(targets.count))
    }
    (dependencyOffsets, dependencies) = (offsets, targets)
  }
}
