import Operators

extension Program {
  /// Most ranks that a text may speak of, and most entries of all its communicators together: far beyond any
  /// machine, and little enough that a short text cannot ask for more memory than there is.
  static let textRankLimit = 1 << 20
  static let textMemberLimit = 1 << 25
  /// Most ranks of an expert group whose traffic a text may state.
  static let textGroupLimit = 1 << 14

  /// Reads a program's written form (see ``text``).
  ///
  /// The result is well-formed, not proven to run: ``VerifiedProgram`` decides that.
  /// - Parameter file: Where the text is from, for errors.
  /// - Throws: ``ProgramTextError``.
  /// - Complexity: O(length + ranks × communicators).
  public init(text: String, file: String? = nil) throws(ProgramTextError) {
    var reader = ProgramTextReader()
    try TextStatement.statements(of: text, file: file) { statement throws(ProgramTextError) in
      try reader.read(&statement)
    }
    guard let program = reader.finish() else {
      throw ProgramTextError(
        file: file, line: 1, column: 1, problem: "this is no program",
        allowed: "a first line program \(Program.textVersion) \"name\" and a second line ranks …")
    }
    self = program
  }
}

/// A program as far as it has been read.
private struct ProgramTextReader {
  private enum Keyword: String, CaseIterable {
    case program, ranks, communicator, group, exchange, splits, work, product, attention, pass, code, slot,
      traffic,
      rows, pairs
  }

  private var program = Program(name: "")
  private var hasHeader = false
  private var hasRanks = false
  /// The communicator whose groups are being read.
  private var openCommunicator: (name: String, ranks: Int, groups: [[Int]], seen: [Bool])?
  private var members = 0
  private var section: Keyword?

  private static let int32 = -1...Int32.max

  mutating func finish() -> Program? {
    closeCommunicator()
    return hasHeader && hasRanks ? program : nil
  }

  mutating func read(_ statement: inout TextStatement) throws(ProgramTextError) {
    let first = try statement.word("a statement")
    if section == .code, !first.isQuoted, first.text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) {
      return try task(first, &statement)
    }
    guard !first.isQuoted, let keyword = Keyword(rawValue: first.text) else {
      throw statement.error(
        "there is no such statement", at: first,
        allowed: Keyword.allCases.map(\.rawValue).joined(separator: ", ")
          + (section == .code ? ", or a task's number" : ""))
    }
    guard keyword == .program || hasHeader else {
      throw statement.error(
        "a program starts with its header", at: first, allowed: "program \(Program.textVersion)")
    }
    guard keyword == .program || keyword == .ranks || hasRanks else {
      throw statement.error("the ranks come second", at: first, allowed: "ranks")
    }
    let parent = parent(of: keyword)
    guard parent == nil || section == parent else {
      throw statement.error(
        "this belongs under another statement", at: first, allowed: parent.map { "under \($0.rawValue)" })
    }
    if parent == nil {
      closeCommunicator()
      section = keyword
    }
    switch keyword {
    case .program: try header(first, &statement)
    case .ranks: try ranks(first, &statement)
    case .communicator: try communicator(&statement)
    case .group: try group(&statement)
    case .exchange: try exchange(&statement)
    case .splits: try splits(&statement)
    case .work: try work(&statement)
    case .product: try product(&statement)
    case .attention: try attention(&statement)
    case .pass: try pass(&statement)
    case .code:
      program.codes.append(Code(name: try statement.name()))
      try statement.end()
    case .slot: try slot(&statement)
    case .traffic: try traffic(first, &statement)
    case .rows: try rows(&statement)
    case .pairs: try pairs(first, &statement)
    }
  }

  private func parent(of keyword: Keyword) -> Keyword? {
    switch keyword {
    case .group: .communicator
    case .product, .attention, .pass: .work
    case .slot: .code
    case .rows, .pairs: .traffic
    default: nil
    }
  }

  // MARK: Ranks and communicators

  private mutating func header(
    _ first: TextStatement.Word, _ statement: inout TextStatement
  ) throws(ProgramTextError) {
    guard !hasHeader else { throw statement.error("the header stands twice", at: first) }
    _ = try statement.integer("the version", in: Program.textVersion...Program.textVersion)
    program.name = try statement.name()
    try statement.end()
    hasHeader = true
  }

  private mutating func ranks(
    _ first: TextStatement.Word, _ statement: inout TextStatement
  ) throws(ProgramTextError) {
    guard !hasRanks else { throw statement.error("the ranks stand twice", at: first) }
    let ranks = try statement.integer("the number of ranks", in: 0...Program.textRankLimit)
    try statement.keyword("codes")
    while !statement.isAtEnd {
      let word = try statement.word("a run")
      let parts = word.text.split(separator: "x", omittingEmptySubsequences: false)
      guard !word.isQuoted, parts.count == 2, let code = Int32(parts[0]), let count = Int(parts[1]),
        code >= 0,
        count > 0, count <= ranks - program.ranks
      else {
        throw statement.error(
          "ranks are bound in runs", at: word,
          allowed: "CODExCOUNT, at most \(ranks - program.ranks) ranks more")
      }
      program.codeOfRank += repeatElement(code, count: count)
    }
    guard program.ranks == ranks else {
      throw statement.error(
        "\(ranks - program.ranks) ranks are bound to no code", allowed: "runs for \(ranks) ranks")
    }
    hasRanks = true
  }

  private mutating func communicator(_ statement: inout TextStatement) throws(ProgramTextError) {
    let name = try statement.name()
    let most = min(Program.textRankLimit, Program.textMemberLimit - members)
    let ranks: Int = try statement.fields(["ranks"]).integer("ranks", in: 0...most)
    members += ranks
    openCommunicator = (name, ranks, [], Array(repeating: false, count: ranks))
  }

  private mutating func group(_ statement: inout TextStatement) throws(ProgramTextError) {
    guard var open = openCommunicator else { return }
    openCommunicator = nil
    var group: [Int] = []
    while !statement.isAtEnd {
      let word = try statement.word("a rank")
      guard !word.isQuoted, let piece = RankLists.members(of: word.text, ranks: open.ranks) else {
        throw statement.error(
          "this is no list of ranks", at: word, allowed: "5, 0..7 or 0..56/8, ranks below \(open.ranks)")
      }
      for rank in piece {
        guard !open.seen[rank] else { throw statement.error("rank \(rank) is in two groups", at: word) }
        open.seen[rank] = true
        group.append(rank)
      }
    }
    open.groups.append(group)
    openCommunicator = open
  }

  private mutating func closeCommunicator() {
    guard let open = openCommunicator else { return }
    program.communicators.append(Communicator(name: open.name, ranks: open.ranks, groups: open.groups))
    openCommunicator = nil
  }

  // MARK: Works and exchanges

  private mutating func exchange(_ statement: inout TextStatement) throws(ProgramTextError) {
    let fields = try statement.fields([
      "tokens", "nodes", "remote_nodes", "ranks", "forwarded", "bytes", "metadata", "fullest_rank",
      "fullest_node",
      "node_members",
    ])
    program.exchanges.append(
      Exchange(
        tokens: try fields.number("tokens"), nodesPerToken: try fields.number("nodes"),
        remoteNodesPerToken: try fields.number("remote_nodes"), ranksPerToken: try fields.number("ranks"),
        forwardedPerToken: try fields.number("forwarded"), bytesPerToken: try fields.number("bytes"),
        metadataBytesPerToken: try fields.integer("metadata", in: 0...Int(Int32.max), default: 0),
        fullestRank: fields.values["fullest_rank"] == nil ? 1 : try fields.number("fullest_rank"),
        fullestNode: fields.values["fullest_node"] == nil ? 1 : try fields.number("fullest_node"),
        membersPerNode: try nodeMembers(fields)))
  }

  private mutating func splits(_ statement: inout TextStatement) throws(ProgramTextError) {
    try statement.keyword("sent")
    var parts: [[Int64]] = [[], []]
    var side = 0
    while !statement.isAtEnd {
      let word = try statement.word("a number of bytes")
      if side == 0, !word.isQuoted, word.text == "received" {
        side = 1
        continue
      }
      guard !word.isQuoted, let bytes = Int64(word.text), (0...1 << 42).contains(bytes) else {
        throw statement.error(
          "a part is a number of bytes", at: word, allowed: "0 to \(1 << 42), or received")
      }
      parts[side].append(bytes)
    }
    guard side == 1, parts[0].count == parts[1].count else {
      throw statement.error(
        "as many parts are received as sent", allowed: "\(parts[0].count) numbers behind received")
    }
    program.splits.append(Splits(sent: parts[0], received: parts[1]))
  }

  /// Members of a node, where they are stated.
  private func nodeMembers(_ fields: TextFields) throws(ProgramTextError) -> Int? {
    guard fields.values["node_members"] != nil else { return nil }
    return try fields.integer("node_members", in: 1...Program.textGroupLimit)
  }

  private mutating func work(_ statement: inout TextStatement) throws(ProgramTextError) {
    let pass = try statement.choice("pass", of: Pass.allCases, called: \.name)
    let name = try statement.name()
    let fields = try statement.fields(["section", "rows", "idle"])
    let section = try fields.choice(
      "section", of: Section.allCases, called: \.rawValue, default: .unspecified)
    var work = Work(name: name, pass: pass, section: section, kernels: [])
    if fields.values["idle"] != nil {
      work.rows = try fields.number("rows")
      work.idle = try fields.integer("idle", in: 0...Int32.max)
    }
    program.works.append(work)
  }

  private mutating func add(_ kernel: Kernel) {
    program.works[program.works.count - 1].kernels.append(kernel)
  }

  private func format(_ fields: TextFields) throws(ProgramTextError) -> Format {
    let word = try fields.required("format")
    guard let format = Format(rawValue: word.text) else {
      throw fields.statement.error(
        "there is no such format", at: word, allowed: Format.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return format
  }

  private mutating func product(_ statement: inout TextStatement) throws(ProgramTextError) {
    let kind = try statement.choice("kind of product", of: MatrixProduct.Kind.allCases, called: \.rawValue)
    let fields = try statement.fields(["rows", "columns", "depth", "count", "format"])
    add(
      .matrixProduct(
        MatrixProduct(
          kind, rows: try fields.number("rows"),
          columns: try fields.integer("columns", in: 0...Int(Int32.max)),
          depth: try fields.number("depth"), count: try fields.integer("count", in: 0...Int(Int32.max)),
          format: try format(fields))))
  }

  private mutating func attention(_ statement: inout TextStatement) throws(ProgramTextError) {
    let isBackward = try statement.choice("pass", of: [false, true]) { $0 ? "backward" : "forward" }
    let isCausal = try statement.choice("mask", of: [false, true]) { $0 ? "causal" : "full" }
    let fields = try statement.fields([
      "sequences", "queries", "keys", "query_heads", "key_value_heads", "query_key", "value", "format",
    ])
    func size(_ key: String) throws(ProgramTextError) -> Int { try fields.integer(key, in: 0...1 << 24) }
    add(
      .fusedAttention(
        FusedAttention(
          sequences: try fields.number("sequences"), queries: try size("queries"), keys: try size("keys"),
          queryHeads: try size("query_heads"), keyValueHeads: try size("key_value_heads"),
          queryKeyDimension: try size("query_key"), valueDimension: try size("value"), isCausal: isCausal,
          isBackward: isBackward, format: try format(fields))))
  }

  private mutating func pass(_ statement: inout TextStatement) throws(ProgramTextError) {
    let kind = try statement.choice("kind of pass", of: MemoryPass.Kind.allCases, called: \.rawValue)
    let fields = try statement.fields(["read", "written", "launches"])
    add(
      .memoryPass(
        MemoryPass(
          kind, bytesRead: try fields.number("read"), bytesWritten: try fields.number("written"),
          launches: try fields.integer("launches", in: 0...Int(Int32.max)))))
  }

  // MARK: Codes

  private mutating func slot(_ statement: inout TextStatement) throws(ProgramTextError) {
    let phase = try statement.choice("phase", of: Phase.allCases, called: \.name)
    let fields = try statement.fields(["forward", "backward"])
    let slot = TaskSlot(
      phase: phase, forward: try chunk("forward", fields), backward: try chunk("backward", fields))
    program.codes[program.codes.count - 1].beginSlot(slot)
  }

  private func chunk(_ key: String, _ fields: TextFields) throws(ProgramTextError) -> StageChunk? {
    guard let word = fields.values[key] else { return nil }
    let parts = word.text.split(separator: ".", omittingEmptySubsequences: false).map { Int32($0) }
    guard (3...4).contains(parts.count), let stage = parts[0], let part = parts[1],
      let microBatch = parts[2], let batch = parts[parts.count - 1], stage >= 0, part >= 0, microBatch >= 0,
      batch >= 0
    else {
      throw fields.statement.error(
        "this is no chunk", at: word, allowed: "stage.part.micro-batch or stage.part.micro-batch.batch")
    }
    return StageChunk(stage: Int(stage), part: Int(part), microBatch: Int(microBatch), batch: Int(batch))
  }

  private mutating func task(
    _ number: TextStatement.Word, _ statement: inout TextStatement
  ) throws(ProgramTextError) {
    let code = program.codes.count - 1
    guard number.text == "\(program.codes[code].count)" else {
      throw statement.error(
        "tasks are numbered in order", at: number, allowed: "\(program.codes[code].count)")
    }
    guard !program.codes[code].slots.isEmpty else {
      throw statement.error("a task belongs to a slot", at: number, allowed: "slot")
    }
    let kind = try statement.choice("kind of task", of: TaskKind.allCases, called: \.name)
    let lane = try statement.choice("lane", of: Lane.all, called: \.name)
    let fields = try statement.fields([
      "work", "communicator", "peer", "tag", "bytes", "layer", "segment", "pass", "purpose", "element",
      "memory", "after",
    ])
    var task = Code.Task(kind, on: lane)
    task.work = try fields.integer("work", in: Self.int32, default: -1)
    task.communicator = try fields.integer("communicator", in: Self.int32, default: -1)
    task.peer = try fields.integer("peer", in: Self.int32, default: -1)
    task.tag = try fields.integer("tag", in: Int32.min...Int32.max, default: 0)
    task.bytes = try fields.integer("bytes", in: 0...1 << 50, default: 0)
    task.layer = try fields.integer("layer", in: Self.int32, default: -1)
    task.segment = try fields.integer("segment", in: Self.int32, default: -1)
    task.pass = try fields.choice("pass", of: TaskPass.allCases, called: \.name, default: .none)
    task.purpose = try fields.choice(
      "purpose", of: TaskPurpose.allCases, called: \.name, default: .unspecified)
    task.elementBytes = try fields.integer("element", in: 1...1 << 20, default: 1)
    task.memory = try fields.integer("memory", in: -(1 << 50)...1 << 50, default: 0)
    program.codes[code].append(task, after: try after(fields))
  }

  // MARK: Traffic

  private mutating func traffic(
    _ first: TextStatement.Word, _ statement: inout TextStatement
  ) throws(ProgramTextError) {
    guard program.traffic == nil else { throw statement.error("the traffic stands twice", at: first) }
    let fields = try statement.fields(["members", "node_members"])
    let members = try fields.integer("members", in: 1...Program.textGroupLimit)
    let perNode = try nodeMembers(fields)
    guard perNode.map({ members % $0 == 0 }) ?? true else {
      throw statement.error("nodes of unlike size", at: first, allowed: "node_members that divides members")
    }
    program.traffic = TrafficTable(members: members, membersPerNode: perNode)
  }

  private mutating func rows(_ statement: inout TextStatement) throws(ProgramTextError) {
    guard let members = program.traffic?.members, let nodes = program.traffic?.nodes else { return }
    let key = try self.key(&statement)
    let counts = try self.counts(of: "rows", members * members, &statement)
    if nodes > 0 { try statement.keyword("nodes") }
    let nodeCounts = try self.counts(of: "rows", members * nodes, &statement)
    try statement.end()
    program.traffic?.set(counts, nodeRows: nodeCounts, at: key)
  }

  private mutating func pairs(
    _ first: TextStatement.Word, _ statement: inout TextStatement
  ) throws(ProgramTextError) {
    guard let members = program.traffic?.members else { return }
    let key = try self.key(&statement)
    let counts = try self.counts(of: "pairs", members, &statement)
    try statement.end()
    guard program.traffic?.rows(at: key) != nil else {
      throw statement.error("pairs stand behind their exchange's rows", at: first, allowed: "rows")
    }
    program.traffic?.setPairs(counts, at: key)
  }

  private func key(_ statement: inout TextStatement) throws(ProgramTextError) -> TrafficTable.Key {
    var place: [Int] = []
    for key in ["layer", "batch", "group"] { place.append(try statement.number(named: key)) }
    try statement.keyword("counts")
    return TrafficTable.Key(layer: place[0], batch: place[1], group: place[2])
  }

  private func counts(
    of what: String, _ number: Int, _ statement: inout TextStatement
  ) throws(ProgramTextError) -> [Int32] {
    var counts: [Int32] = []
    while counts.count < number {
      counts.append(Int32(try statement.integer("a count of \(what)", in: 0...Int(Int32.max))))
    }
    return counts
  }

  private func after(_ fields: TextFields) throws(ProgramTextError) -> [TaskIndex] {
    guard let word = fields.values["after"] else { return [] }
    var tasks: [TaskIndex] = []
    for part in word.text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let task = TaskIndex(part), task >= 0 else {
        throw fields.statement.error(
          "this is no list of tasks", at: word, allowed: "numbers with commas between")
      }
      tasks.append(task)
    }
    return tasks
  }
}
