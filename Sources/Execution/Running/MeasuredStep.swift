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

  init(layer: Int, batch: Int, group: Int, member: Int, tokens: [Int32]) {
    self.layer = layer
    self.batch = batch
    self.group = group
    self.member = member
    self.tokens = tokens
  }

  init(_ reader: inout ByteReader) {
    layer = reader.read(Int.self)
    batch = reader.read(Int.self)
    group = reader.read(Int.self)
    member = reader.read(Int.self)
    tokens = reader.readValues(Int32.self)
  }

  func append(to writer: inout ByteWriter) {
    for number in [layer, batch, group, member] { writer.append(number) }
    writer.append(values: tokens)
  }
}

extension TrafficTable {
  /// The table that all members' rows make; nil without any.
  init?(_ rows: [TrafficRow]) {
    guard let members = rows.first?.tokens.count else { return nil }
    self.init(members: members)
    var tables: [Key: [Int32]] = [:]
    for row in rows {
      let key = Key(layer: row.layer, batch: row.batch, group: row.group)
      var table = tables[key] ?? Array(repeating: 0, count: members * members)
      table.replaceSubrange(row.member * members..<(row.member + 1) * members, with: row.tokens)
      tables[key] = table
    }
    for key in tables.keys.sorted() { set(tables[key] ?? [], at: key) }
  }
}
