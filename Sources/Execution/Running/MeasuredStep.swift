import Programs
import Timelines

/// When the tasks of a step ran on every rank, and what they moved: `[rank][task]`.
public struct MeasuredStep: Sendable {
  public let program: VerifiedProgram
  /// Nanoseconds since the first task of any rank started.
  public internal(set) var started: [[Int64]] = []
  public internal(set) var ended: [[Int64]] = []
  /// Nanoseconds of processor time; zero for communication.
  public internal(set) var processor: [[Int64]] = []
  /// Bytes to and from other ranks, as the transport counted them.
  public internal(set) var sent: [[Int64]] = []
  public internal(set) var received: [[Int64]] = []
  /// Which rows really travelled; nil where no tokens do.
  public internal(set) var traffic: TrafficTable?

  init(_ program: VerifiedProgram) { self.program = program }

  /// From the first start to the last end.
  public var seconds: Double { Double(ended.lazy.compactMap { $0.max() }.max() ?? 0) * 1e-9 }

  /// Adds the next rank's record.
  mutating func append(_ record: TaskRecord) {
    started.append(record.started)
    ended.append(record.ended)
    processor.append(record.processor)
    sent.append(record.sent)
    received.append(record.received)
  }

  /// Counts from the first start on.
  mutating func settle() {
    let first = started.lazy.compactMap { $0.min() }.min() ?? 0
    for rank in started.indices {
      for task in started[rank].indices {
        started[rank][task] -= first
        ended[rank][task] -= first
      }
    }
  }

  /// The step as a timeline of its roles, each shown by its first rank.
  public var timeline: Timeline {
    var timeline = Timeline(program)
    for (role, rank) in program.roles.representative.enumerated() {
      timeline.started[role] = started[Int(rank)].map { $0 * 1000 }
      timeline.began[role] = timeline.started[role]
      timeline.ended[role] = ended[Int(rank)].map { $0 * 1000 }
    }
    return timeline
  }

  /// Tasks whose bytes are not those that the program, with the step's own traffic, says: none, if all is well.
  public func bytesThatDiffer() -> [(rank: Int, task: Int, counted: Int64, lowered: Int64)] {
    var program = program.program
    program.traffic = traffic
    var differences: [(rank: Int, task: Int, counted: Int64, lowered: Int64)] = []
    for rank in sent.indices {
      for task in sent[rank].indices {
        let pairs = [
          (sent[rank][task], program.bytesSent(rank: rank, task: task)),
          (received[rank][task], program.bytesReceived(rank: rank, task: task)),
        ]
        for (counted, lowered) in pairs where counted != lowered {
          differences.append((rank, task, counted, lowered))
        }
      }
    }
    return differences
  }
}

extension RankZero {
  /// All ranks' records on rank 0; nil elsewhere.
  func collect(
    _ record: TaskRecord, traffic: [TrafficRow], of program: VerifiedProgram
  ) throws -> MeasuredStep? {
    var writer = ByteWriter()
    for column in [record.started, record.ended, record.processor, record.sent, record.received] {
      writer.append(values: column)
    }
    for row in traffic { row.append(to: &writer) }
    var step = MeasuredStep(program)
    var rows: [TrafficRow] = []
    try gather(writer.bytes) { _, bytes in
      var reader = ByteReader(bytes)
      var record = TaskRecord(tasks: 0)
      record.started = reader.readValues(Int64.self)
      record.ended = reader.readValues(Int64.self)
      record.processor = reader.readValues(Int64.self)
      record.sent = reader.readValues(Int64.self)
      record.received = reader.readValues(Int64.self)
      step.append(record)
      while !reader.isAtEnd { rows.append(TrafficRow(&reader)) }
    }
    guard transport.rank == 0 else { return nil }
    step.settle()
    step.traffic = TrafficTable(rows)
    return step
  }
}

/// Tokens that one member of an expert group sent to each member in one dispatch.
struct TrafficRow {
  var layer: Int
  var batch: Int
  var group: Int
  var member: Int
  var tokens: [Int32]
  /// The same to each node, where exchanges take two hops.
  var nodeTokens: [Int32]
  /// Pairs of token and expert for each member.
  var pairs: [Int32]

  init(
    layer: Int, batch: Int, group: Int, member: Int, tokens: [Int32], nodeTokens: [Int32], pairs: [Int32]
  ) {
    self.layer = layer
    self.batch = batch
    self.group = group
    self.member = member
    self.tokens = tokens
    self.nodeTokens = nodeTokens
    self.pairs = pairs
  }

  init(_ reader: inout ByteReader) {
    layer = reader.read(Int.self)
    batch = reader.read(Int.self)
    group = reader.read(Int.self)
    member = reader.read(Int.self)
    tokens = reader.readValues(Int32.self)
    nodeTokens = reader.readValues(Int32.self)
    pairs = reader.readValues(Int32.self)
  }

  func append(to writer: inout ByteWriter) {
    for number in [layer, batch, group, member] { writer.append(number) }
    writer.append(values: tokens)
    writer.append(values: nodeTokens)
    writer.append(values: pairs)
  }
}

extension TrafficTable {
  /// The table that all members' rows make; nil without any.
  init?(_ rows: [TrafficRow]) {
    guard let first = rows.first else { return nil }
    let (members, nodes) = (first.tokens.count, first.nodeTokens.count)
    self.init(members: members, membersPerNode: nodes > 0 ? members / nodes : nil)
    var tables: [Key: (rows: [Int32], nodeRows: [Int32], pairs: [Int32])] = [:]
    let empty = (
      Array(repeating: Int32(0), count: members * members),
      Array(repeating: Int32(0), count: members * nodes),
      Array(repeating: Int32(0), count: members)
    )
    for row in rows {
      let key = Key(layer: row.layer, batch: row.batch, group: row.group)
      var table = tables[key] ?? empty
      table.rows.replaceSubrange(row.member * members..<(row.member + 1) * members, with: row.tokens)
      table.nodeRows.replaceSubrange(row.member * nodes..<(row.member + 1) * nodes, with: row.nodeTokens)
      for member in 0..<members { table.pairs[member] += row.pairs[member] }
      tables[key] = table
    }
    for key in tables.keys.sorted() {
      guard let table = tables[key] else { continue }
      set(table.rows, nodeRows: table.nodeRows, at: key)
      setPairs(table.pairs, at: key)
    }
  }
}
