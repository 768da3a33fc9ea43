import Documents
import Foundation

extension Recording {
  /// Reads dumps of NCCL's flight recorder, one for each rank, as pickle or JSON; a file's name ends with its rank
  /// (`_dump_3`, `nccl_trace_rank_3.json`).
  ///
  /// Events are in the order in which the host enqueued them, `start` is the time of that, and ``RankRecording/stream``
  /// is the rank's own number of the group, as each group has a stream. Peers of messages are global ranks where the
  /// group's ranks are known.
  /// - Throws: ``Diagnostic`` naming the file and the place in it.
  public static func flightRecorder(_ inputs: [TraceInput]) throws -> Recording {
    var reader = FlightRecorderReader()
    for input in inputs { try reader.read(input, isAlone: inputs.count == 1) }
    return try reader.finish()
  }
}

private struct FlightRecorderReader {
  /// Keys that hold stacks of Python, which nothing here asks for.
  private static let unwanted: Set<String> = ["frames", "nccl_comm_state"]

  private struct Entry {
    var created: Int64
    var duration: Int64
    var stream: Int32
    var name: String
    var communication: RecordedCommunication
    var state: FlightRecorderRank.State
    var isMessage: Bool
    var rows: (input: Int64, output: Int64)
    var path: String
  }

  private struct Dump {
    var rank: Int
    var file: String
    var entries: [Entry] = []
    var positions: [FlightRecorderRank.Position] = []
    var properties: [(name: String, value: String)] = []
  }

  private var recording = Recording(.flightRecorder)
  private var groupIndex: [String: Int32] = [:]
  private var dumps: [Dump] = []
  private var unknownBytes = 0
  private var unplaced = 0

  // MARK: Files

  mutating func read(_ input: TraceInput, isAlone: Bool) throws {
    let rank = try rank(of: input.name, isAlone: isAlone)
    var source = try input.open()
    let start = try source.peek(64).first { $0 > 0x20 }
    let value: Value
    // Neither bracket is an instruction of a pickle.
    if start == UInt8(ascii: "{") || start == UInt8(ascii: "[") {
      value = try .json(source, skipping: Self.unwanted)
    } else {
      value = try PickleReader.read(
        try source.rest(limit: PickleReader.byteLimit), file: input.name, skipping: Self.unwanted)
    }
    try read(Node(value, file: input.name), rank: rank)
  }

  private mutating func rank(of name: String, isAlone: Bool) throws -> Int {
    var last = URL(filePath: name).lastPathComponent
    for suffix in [".gz", ".json", ".pickle", ".pkl"] where last.hasSuffix(suffix) {
      last.removeLast(suffix.count)
    }
    let digits = String(last.reversed().prefix { ("0"..."9").contains($0) }.reversed())
    guard let rank = Int(digits), rank < 1 << 24 else {
      guard isAlone else {
        throw Diagnostic(
          .data, "the file's name does not say its rank", file: name, path: "the file's name",
          allowed: "a name that ends with the rank, as _dump_3")
      }
      recording.notes.append("the file's name does not say its rank, which is taken to be 0")
      return 0
    }
    guard !dumps.contains(where: { $0.rank == rank }) else {
      throw Diagnostic(
        .data, "two files are of the same rank", file: name, path: "the file's name", found: "rank \(rank)")
    }
    return rank
  }

  private mutating func read(_ top: Node, rank: Int) throws {
    var dump = Dump(rank: rank, file: top.file)
    guard let entries = try top.optional("entries") else {
      throw top.error("this is no dump of the flight recorder", allowed: "a mapping with entries")
    }
    for key in ["version", "nccl_version", "comm_lib_version"] {
      if case .text(let text)? = try top.optional(key)?.value { dump.properties.append((key, text)) }
    }
    // The ranks of a group by the name that entries use.
    var groups: [String: Int32] = [:]
    for (name, node) in try top.optional("pg_config")?.entries() ?? [] {
      groups[name] = try group(name, node)
    }
    var streams: [Int: Int32] = [:]
    for node in try entries.list() {
      let fields = try Fields(node)
      let (stream, group) = try self.group(of: fields, &groups)
      if stream >= 0 { streams[Int(stream)] = group }
      dump.entries.append(try entry(fields, stream: stream, group: group))
    }
    try positions(top, groups, streams, &dump)
    dumps.append(dump)
  }

  // MARK: Groups

  private mutating func group(_ name: String, _ node: Node) throws -> Int32 {
    var description = ""
    if case .text(let text)? = try node.optional("desc")?.value { description = text }
    guard let ranks = try node.optional("ranks") else { return enter(name, description, nil) }
    let list: [Int]
    if case .text(let text) = ranks.value {
      let inner = text.trimmingCharacters(in: CharacterSet(charactersIn: "[] "))
      list = try inner.split(separator: ",").map { part in
        guard let rank = Int(part.trimmingCharacters(in: .whitespaces)), 0..<(1 << 24) ~= rank else {
          throw ranks.error("this is no list of ranks", allowed: "[0, 1, 2]")
        }
        return rank
      }
    } else {
      list = try ranks.list().map { try $0.integer(in: 0...(1 << 24) - 1) }
    }
    guard Set(list).count == list.count else { throw ranks.error("a rank stands twice in its group") }
    return enter(name, description, list.isEmpty ? nil : list.map { Int32($0) })
  }

  /// Ranks name the same group alike; where two groups of one name have other ranks, they are two.
  private mutating func enter(_ name: String, _ description: String, _ ranks: [Int32]?) -> Int32 {
    let key = name + "\n" + (ranks.map { $0.map(String.init).joined(separator: ",") } ?? "?")
    if let known = groupIndex[key] { return known }
    let index = Int32(recording.groups.count)
    recording.groups.append(ProcessGroup(name: name, description: description, ranks: ranks))
    groupIndex[key] = index
    return index
  }

  /// The rank's own number of an entry's group, and the group.
  private mutating func group(of fields: Fields, _ groups: inout [String: Int32]) throws -> (Int32, Int32) {
    let stream = Int32(try fields["pg_id"]?.integer(in: 0...Int(Int32.max)) ?? -1)
    var (name, description) = ("", "")
    if let node = fields["process_group"] {
      if case .text(let text) = node.value {
        name = text
      } else {
        let parts = try node.list()
        guard let first = parts.first else {
          throw node.error("a group has a name", allowed: "name and description")
        }
        name = try first.text()
        description = parts.count > 1 ? try parts[1].text() : ""
      }
    }
    if let known = groups[name] { return (stream, known) }
    let index = enter(name, description, nil)
    groups[name] = index
    return (stream, index)
  }

  /// How far each group had come. The dump counts groups by the rank's own numbers, which entries tie to names; groups
  /// without entries are told by their order, where both lists are of one length and nothing speaks against it.
  private mutating func positions(
    _ top: Node, _ groups: [String: Int32], _ streams: [Int: Int32], _ dump: inout Dump
  ) throws {
    guard let status = try top.optional("pg_status")?.entries(), !status.isEmpty else { return }
    var numbered: [(number: Int, node: Node)] = []
    for (key, node) in status {
      guard let number = Int(key) else {
        throw node.error("a group's number must be whole", found: "\"\(key.prefix(40))\"")
      }
      numbered.append((number, node))
    }
    numbered.sort { $0.number < $1.number }
    var byOrder: [Int: Int32] = [:]
    let names = groups.keys.compactMap { name in Int(name).map { ($0, name) } }.sorted { $0 < $1 }
    if names.count == groups.count, names.count == numbered.count {
      for (place, entry) in numbered.enumerated() { byOrder[entry.number] = groups[names[place].1] }
      if streams.contains(where: { byOrder[$0.key] != $0.value }) { byOrder = [:] }
    }
    for (number, node) in numbered {
      guard let group = streams[number] ?? byOrder[number] else {
        unplaced += 1
        continue
      }
      dump.positions.append(
        FlightRecorderRank.Position(
          group: group, enqueued: try sequence(node, "last_enqueued_collective"),
          started: try sequence(node, "last_started_collective"),
          completed: try sequence(node, "last_completed_collective")))
    }
    dump.positions.sort { $0.group < $1.group }
  }

  private func sequence(_ node: Node, _ key: String) throws -> Int64? {
    try node.optional(key).map { Int64(try $0.integer(in: -1...Int.max)) }
  }

  // MARK: Entries

  private mutating func entry(_ fields: Fields, stream: Int32, group: Int32) throws -> Entry {
    let name = try fields.required("profiling_name").text()
    let (base, ends) = Self.ends(of: name)
    let isMessage = try fields["is_p2p"]?.bool() ?? (ends != nil)
    var communication = RecordedCommunication(Self.kind(of: base), recordedName: name)
    communication.group = group
    let ranks = recording.groups[Int(group)].ranks
    communication.groupSize = ranks?.count
    if let ends, let peer = ranks.map({ $0.indices.contains(ends.peer) ? $0[ends.peer] : nil }) ?? nil {
      communication.peer = peer
    }
    let sequenceKey = isMessage ? "p2p_seq_id" : "collective_seq_id"
    if let node = fields[sequenceKey] ?? fields["seq_id"] {
      communication.sequence = Int64(try node.integer(in: 0...Int.max))
    }
    let input = try buffer(fields, "input")
    let output = try buffer(fields, "output")
    communication.inputBytes = input.bytes
    communication.outputBytes = output.bytes
    communication.dataType = input.type ?? output.type
    if input.bytes == nil || output.bytes == nil { unknownBytes += 1 }
    var duration = RankRecording.unknownTime
    if let node = fields["duration_ms"] {
      let milliseconds = try node.number()
      guard 0...1e9 ~= milliseconds else {
        throw node.error("a duration is milliseconds", allowed: "0 to 1e9")
      }
      duration = Int64((milliseconds * 1e9).rounded())
    }
    let state = try fields["state"]?.oneOf(FlightRecorderRank.State.self) ?? .scheduled
    return Entry(
      created: Int64(try fields.required("time_created_ns").integer(in: 0...Int.max)), duration: duration,
      stream: stream,
      name: base, communication: communication, state: state, isMessage: isMessage,
      rows: (input.rows, output.rows),
      path: fields.node.path)
  }

  /// Elements of all tensors times their size; nil where a size is missing.
  private func buffer(_ fields: Fields, _ side: String) throws -> (bytes: Int64?, rows: Int64, type: String?)
  {
    guard let sizes = fields["\(side)_sizes"] else { return (nil, -1, nil) }
    let tensors = try sizes.list()
    let types = try fields["\(side)_dtypes"]?.list().map { try $0.text() } ?? []
    var sum: Int64? = 0
    var rows: Int64 = -1
    for (index, tensor) in tensors.enumerated() {
      var elements: Int64 = 1
      for (place, dimension) in try tensor.list().enumerated() {
        let size = Int64(try dimension.integer(in: 0...1 << 48))
        if index == 0, place == 0 { rows = size }
        let (product, overflow) = elements.multipliedReportingOverflow(by: size)
        guard !overflow, product < 1 << 50 else {
          throw tensor.error("a tensor has too many elements", allowed: "below 2^50")
        }
        elements = product
      }
      let type = types.count == tensors.count ? types[index] : types.count == 1 ? types[0] : nil
      let bytes = type.flatMap { Self.bytes(of: $0) }.map { elements * $0 }
      sum = sum.flatMap { sum in bytes.flatMap { sum < 1 << 58 ? sum + $0 : nil } }
    }
    return (sum, rows, types.first)
  }

  /// A profiling name without its ends, and the peer: `nccl:send 0->3` goes to member 3, `nccl:recv 0<-3` comes from it.
  private static func ends(of name: String) -> (base: String, ends: (own: Int, peer: Int)?) {
    let parts = name.split(separator: " ", maxSplits: 1)
    guard parts.count == 2 else { return (name, nil) }
    for arrow in ["->", "<-"] {
      guard let range = parts[1].firstRange(of: arrow) else { continue }
      guard let own = Int(parts[1][..<range.lowerBound]), let peer = Int(parts[1][range.upperBound...]) else {
        continue
      }
      return (String(parts[0]), (own, peer))
    }
    return (name, nil)
  }

  private static func kind(of name: String) -> CommunicationKind {
    let word = name.split(separator: ":").last.map(String.init) ?? name
    let kinds: [(words: [String], kind: CommunicationKind)] = [
      (["barrier"], .barrier), (["reduce_scatter"], .reduceScatter),
      (["all_gather", "allgather"], .allGather),
      (["all_reduce", "allreduce"], .allReduce), (["all_to_allv", "alltoallv"], .allToAllV),
      (["all_to_all", "alltoall"], .allToAll), (["broadcast"], .broadcast), (["reduce"], .reduce),
      (["gather"], .gather), (["scatter"], .scatter), (["send"], .send), (["recv"], .receive),
    ]
    return kinds.first { $0.words.contains { word.contains($0) } }?.kind ?? .unknown
  }

  /// Bytes of an element, by the name that PyTorch's `toString(ScalarType)` gives.
  private static func bytes(of type: String) -> Int64? {
    switch type {
    case "Byte", "Char", "Bool", "QInt8", "QUInt8", "Float8_e5m2", "Float8_e4m3fn", "Float8_e5m2fnuz",
      "Float8_e4m3fnuz", "Float8_e8m0fnu", "Float4_e2m1fn_x2":
      1
    case "Short", "Half", "BFloat16", "UInt16": 2
    case "Int", "Float", "QInt32", "UInt32", "ComplexHalf": 4
    case "Long", "Double", "UInt64", "ComplexFloat": 8
    case "ComplexDouble": 16
    default: nil
    }
  }

  // MARK: The recording

  mutating func finish() throws -> Recording {
    dumps.sort { $0.rank < $1.rank }
    let first = dumps.lazy.compactMap { $0.entries.lazy.map(\.created).min() }.min() ?? 0
    for dump in dumps {
      var rank = RankRecording(rank: dump.rank, file: dump.file)
      rank.properties = dump.properties
      rank.origin = first &* 1000
      var state = FlightRecorderRank(rank: dump.rank)
      state.positions = dump.positions
      let order = dump.entries.indices.sorted {
        (dump.entries[$0].created, $0) < (dump.entries[$1].created, $1)
      }
      for entry in order.lazy.map({ dump.entries[$0] }) {
        let (start, overflow) = (entry.created - first).multipliedReportingOverflow(by: 1000)
        guard !overflow else {
          throw Diagnostic(
            .data, "the dumps' times lie too far apart", file: dump.file,
            path: "\(entry.path).time_created_ns",
            found: "\(entry.created - first) ns after the first", allowed: "at most 106 days")
        }
        rank.append(
          .communication, name: entry.name, start: start, duration: entry.duration, stream: entry.stream,
          communication: entry.communication)
        state.states.append(entry.state)
        state.isMessage.append(entry.isMessage)
        state.inputRows.append(entry.rows.input)
        state.outputRows.append(entry.rows.output)
      }
      recording.ranks.append(rank)
      recording.flightRecorder.append(state)
    }
    recording.worldSize = recording.groups.first { $0.description == "default_pg" || $0.name == "0" }?.size
    markUnevenExchanges()
    if unknownBytes > 0 { recording.notes.append("\(unknownBytes) operations have buffers of unknown size") }
    if unplaced > 0 { recording.notes.append("\(unplaced) groups' positions name no group and are left out") }
    return recording
  }

  /// PyTorch calls an exchange `all_to_all` whatever its splits; where a member sends other than it gets, it has some.
  private mutating func markUnevenExchanges() {
    struct Place: Hashable {
      var group: Int32
      var sequence: Int64
    }
    var uneven: Set<Place> = []
    for rank in recording.ranks {
      for exchange in rank.communications where exchange.kind == .allToAll {
        guard let sequence = exchange.sequence, exchange.inputBytes != exchange.outputBytes else { continue }
        uneven.insert(Place(group: exchange.group, sequence: sequence))
      }
    }
    for rank in recording.ranks.indices {
      for index in recording.ranks[rank].communications.indices {
        let exchange = recording.ranks[rank].communications[index]
        guard exchange.kind == .allToAll, let sequence = exchange.sequence else { continue }
        if uneven.contains(Place(group: exchange.group, sequence: sequence)) {
          recording.ranks[rank].communications[index].kind = .allToAllV
        }
      }
    }
  }
}

/// A mapping's entries by key, so that each is found at once.
private struct Fields {
  let node: Node
  private let byKey: [String: Node]

  init(_ node: Node) throws {
    self.node = node
    byKey = Dictionary(try node.entries().map { ($0.key, $0.node) }) { _, last in last }
  }

  /// Nil where the key is absent or null.
  subscript(_ key: String) -> Node? {
    guard let node = byKey[key], node.value != .null else { return nil }
    return node
  }

  func required(_ key: String) throws -> Node { try self[key] ?? node.required(key) }
}
