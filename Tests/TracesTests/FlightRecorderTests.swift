import Documents
import Foundation
import Testing

@testable import Traces

/// One entry of a dump.
private struct Entry {
  var group = "1"
  var sequence: Int
  var name = "nccl:all_reduce"
  var state = "scheduled"
  var input = [4, 8]
  var output = [4, 8]
  var type = "BFloat16"
}

/// A dump of four ranks: group 0 is all of them, group 1 the same as expert group, group 2 pairs.
private func dump(rank: Int, _ entries: [Entry], enqueued: Int? = nil, completed: Int? = nil) -> Value {
  func group(_ name: String, _ description: String, _ ranks: String) -> Value.Entry {
    .init(
      name,
      .mapping([.init("name", .text(name)), .init("desc", .text(description)), .init("ranks", .text(ranks))]))
  }
  let values = entries.enumerated().map { index, entry in
    let isMessage = entry.name.contains(" ")
    return Value.mapping([
      .init("record_id", .integer(index)),
      .init("pg_id", .integer(entry.group == "2" ? 7 : Int(entry.group) ?? 0)),
      .init("process_group", .list([.text(entry.group), .text("EXPERT")])),
      .init("collective_seq_id", .integer(isMessage ? 0 : entry.sequence)),
      .init("p2p_seq_id", .integer(isMessage ? entry.sequence : 0)),
      .init("profiling_name", .text(entry.name)),
      .init("time_created_ns", .integer(1_700_000_000_000_000_000 + index)),
      .init("input_sizes", .list([.list(entry.input.map { .integer($0) })])),
      .init("input_dtypes", .list([.text(entry.type)])),
      .init("output_sizes", .list([.list(entry.output.map { .integer($0) })])),
      .init("output_dtypes", .list([.text(entry.type)])), .init("state", .text(entry.state)),
      .init("time_discovered_started_ns", .null), .init("is_p2p", .bool(isMessage)),
      .init("frames", .list([.mapping([.init("name", .text("forward"))])])),
    ])
  }
  func status(_ enqueued: Int, _ completed: Int) -> Value {
    .mapping([
      .init("last_enqueued_collective", .integer(enqueued)), .init("last_started_collective", .integer(-1)),
      .init("last_completed_collective", .integer(completed)),
    ])
  }
  return .mapping([
    .init("version", .text("2.9")), .init("nccl_version", .text("2.27.3")),
    .init(
      "pg_config",
      .mapping([
        group("0", "default_pg", "[0, 1, 2, 3]"), group("1", "EXPERT", "[0, 1, 2, 3]"),
        group("2", "PIPELINE", rank % 2 == 0 ? "[0, 2]" : "[1, 3]"),
      ])),
    .init(
      "pg_status",
      .mapping([
        .init("0", status(3, 3)), .init("1", status(enqueued ?? 9, completed ?? 9)),
        .init("7", status(-1, -1)),
      ])), .init("entries", .list(values)),
  ])
}

private func recording(_ dumps: [Value]) throws -> Recording {
  try Recording.flightRecorder(
    dumps.enumerated().map { TraceInput(bytes: pickled($1), named: "run/_dump_\($0)") })
}

/// The same as JSON.
private func json(_ value: Value) -> String {
  switch value {
  case .null: "null"
  case .bool(let flag): "\(flag)"
  case .integer(let whole): "\(whole)"
  case .number(let double): "\(double)"
  case .text(let text): "\"\(text)\""
  case .list(let items): "[" + items.map(json).joined(separator: ",") + "]"
  case .mapping(let entries):
    "{" + entries.map { "\"\($0.key)\":\(json($0.value))" }.joined(separator: ",") + "}"
  }
}

@Suite struct FlightRecorderTests {
  @Test func `pickle and JSON say the same`() throws {
    let value = dump(rank: 0, [Entry(sequence: 9), Entry(group: "2", sequence: 4, name: "nccl:send 0->1")])
    let pickle = try Recording.flightRecorder([TraceInput(bytes: pickled(value), named: "_dump_0")])
    let text = try Recording.flightRecorder([
      TraceInput(bytes: Array(json(value).utf8), named: "_dump_0.json")
    ])
    for recording in [pickle, text] {
      let rank = recording.ranks[0]
      #expect(rank.rank == 0)
      #expect(rank.communications[0].kind == .allReduce)
      #expect(rank.communications[0].inputBytes == 64)
      #expect(rank.communications[0].groupSize == 4)
      #expect(rank.communications[1].kind == .send)
      // Member 1 of the pair (0, 2).
      #expect(rank.communications[1].peer == 2)
      #expect(rank.names == ["nccl:all_reduce", "nccl:send"])
      #expect(rank.start == [0, 1000])
      #expect(recording.worldSize == 4)
      #expect(recording.flightRecorder[0].states == [.scheduled, .scheduled])
    }
    #expect(pickle.groups == text.groups)
    #expect(pickle.flightRecorder == text.flightRecorder)
  }

  @Test func `a rank that never joined is named`() throws {
    // Rank 2 has completed 9 and enqueued no more, the others wait in 10.
    let waiting = [Entry(sequence: 10)]
    let recording = try recording([
      dump(rank: 0, waiting, enqueued: 10), dump(rank: 1, waiting, enqueued: 10), dump(rank: 2, []),
      dump(rank: 3, waiting, enqueued: 10),
    ])
    let analysis = FlightRecorderAnalysis(recording)
    #expect(
      analysis.faults == [
        .init(
          rank: 2, reason: .neverJoined, group: 1, sequence: 10, operation: "nccl:all_reduce",
          others: [0, 1, 3], count: 1)
      ])
    #expect(analysis.unfinishedCollectives == 1)
    #expect(analysis.ranksWithoutDump.isEmpty)
  }

  @Test func `a rank whose device stopped is named`() throws {
    // All enqueued 10; it ended on all but rank 1. In 11 all wait.
    let ended = [Entry(sequence: 11)]
    let recording = try recording([
      dump(rank: 0, ended, enqueued: 11, completed: 10),
      dump(rank: 1, [Entry(sequence: 10), Entry(sequence: 11)], enqueued: 11, completed: 9),
      dump(rank: 2, ended, enqueued: 11, completed: 10), dump(rank: 3, ended, enqueued: 11, completed: 10),
    ])
    let faults = FlightRecorderAnalysis(recording).faults
    #expect(faults.map(\.rank) == [1])
    #expect(faults.first?.reason == .stopped)
    #expect(faults.first?.sequence == 10)
    #expect(faults.first?.others == [0, 2, 3])
  }

  @Test func `a broadcast that ended early on its root accuses nobody`() throws {
    let recording = try recording([
      dump(
        rank: 0, [Entry(sequence: 10, name: "nccl:broadcast", state: "completed")], enqueued: 10,
        completed: 10),
      dump(rank: 1, [Entry(sequence: 10, name: "nccl:broadcast")], enqueued: 10),
    ])
    #expect(FlightRecorderAnalysis(recording).faults.isEmpty)
    #expect(FlightRecorderAnalysis(recording).ranksWithoutDump == [2, 3])
  }

  @Test func `where the absent rank waits itself, it is only held up`() throws {
    // Rank 1 waits for a message, and is missing in the collective that rank 0 waits in.
    let recording = try recording([
      dump(rank: 0, [Entry(sequence: 10)], enqueued: 10),
      dump(rank: 1, [Entry(group: "2", sequence: 4, name: "nccl:recv 0<-1")]),
    ])
    let faults = FlightRecorderAnalysis(recording).faults
    #expect(faults.map(\.rank) == [1])
    #expect(faults.first?.reason == .heldUp)
  }

  @Test func `a job in which all wait alike has no rank at fault`() throws {
    let recording = try recording((0..<4).map { dump(rank: $0, [Entry(sequence: 10)], enqueued: 10) })
    #expect(FlightRecorderAnalysis(recording).faults.isEmpty)
    #expect(FlightRecorderAnalysis(recording).unfinishedCollectives == 1)
  }

  @Test func `operations that differ under one number are found`() throws {
    let recording = try recording([
      dump(rank: 0, [Entry(sequence: 10)]), dump(rank: 1, [Entry(sequence: 10, name: "nccl:all_to_all")]),
    ])
    let mismatch = FlightRecorderAnalysis(recording).mismatches
    #expect(
      mismatch == [
        .init(group: 1, sequence: 10, operations: ["nccl:all_reduce", "nccl:all_to_all"], ranks: [0, 1])
      ])
  }

  @Test func `uneven expert exchanges give each rank's tokens`() throws {
    let name = "nccl:all_to_all"
    let recording = try recording([
      dump(rank: 0, [Entry(sequence: 10, name: name, input: [16, 8], output: [20, 8])]),
      dump(rank: 1, [Entry(sequence: 10, name: name, input: [16, 8], output: [12, 8])]),
    ])
    #expect(recording.ranks.allSatisfy { $0.communications[0].kind == .allToAllV })
    let exchange = try #require(FlightRecorderAnalysis(recording).unevenExchanges.first)
    #expect(exchange.sentRows == [16, 16])
    #expect(exchange.receivedRows == [20, 12])
    #expect(exchange.receivedBytes == [320, 192])
  }

  @Test(arguments: [
    ("[]", "a mapping is needed here"), ("{}", "this is no dump of the flight recorder"),
    ("{\"entries\": 5}", "a list is needed here"),
    ("{\"entries\": [{}]}", "a key is missing"),
    (
      "{\"entries\": [], \"pg_config\": {\"0\": {\"ranks\": \"[0, 0]\"}}}", "a rank stands twice in its group"
    ),
    ("{\"entries\": [], \"pg_config\": {\"0\": {\"ranks\": \"[a]\"}}}", "this is no list of ranks"),
    ("{\"entries\": [], \"pg_status\": {\"x\": {}}}", "a group's number must be whole"),
    ("{\"entries\": [{\"profiling_name\": \"x\", \"time_created_ns\": -1}]}", "the number is out of range"),
  ])
  func `what is no dump is refused`(text: String, expected: String) {
    #expect {
      try Recording.flightRecorder([TraceInput(bytes: Array(text.utf8), named: "_dump_0.json")])
    } throws: {
      ($0 as? Diagnostic)?.problem == expected && ($0 as? Diagnostic)?.path != nil
    }
  }

  @Test func `two files of one rank, and files without a rank, are refused`() throws {
    let bytes = pickled(dump(rank: 0, []))
    for names in [["_dump_1", "other/_dump_1"], ["a", "_dump_1"]] {
      #expect(throws: Diagnostic.self) {
        try Recording.flightRecorder(names.map { TraceInput(bytes: bytes, named: $0) })
      }
    }
  }

  private var whole: Value {
    dump(
      rank: 0, [Entry(sequence: 9), Entry(group: "2", sequence: 4, name: "nccl:send 0->1")], enqueued: 9,
      completed: 8)
  }

  @Test func `a dump cut off at any byte is refused`() {
    for bytes in [pickled(whole), Array(json(whole).utf8)] {
      expectTruncationNoticed(bytes) { source in
        var source = source
        _ = try Recording.flightRecorder([TraceInput(bytes: try source.rest(), named: "_dump_0")])
      }
    }
  }

  @Test func `ten thousand broken dumps are read or refused`() {
    expectSurvival(
      of: [pickled(whole), Array(json(whole).utf8)],
      words: ["cos\nsystem\n", "R", ")", "h\u{1}", "q\u{1}", "entries", "[1099511627776,1099511627776]"]
    ) { source in
      var source = source
      let recording = try Recording.flightRecorder([TraceInput(bytes: try source.rest(), named: "_dump_0")])
      _ = FlightRecorderAnalysis(recording)
    }
  }
}

@Suite(.enabled(if: recordedTraces != nil, "no recorded traces: set REHEARSAL_TRACES to their folder"))
struct RecordedFlightRecorderTests {
  private func read() throws -> Recording {
    try Recording.flightRecorder(
      (0..<16).map { TraceInput(path: "\(recordedTraces ?? "")/flight-recorder/gpu_error_1st/_dump_\($0)") })
  }

  @Test func `the dumps of 16 ranks are read to the byte`() throws {
    let recording = try read()
    struct Sum: Codable, Equatable {
      var count = 0
      var in_bytes: Int64 = 0
      var out_bytes: Int64 = 0
    }
    struct Expected: Decodable {
      var ranks: Int
      var entries: Int
      var process_groups: Int
      var ops: [String: Sum]
    }
    struct File: Decodable { var flight_recorder: [String: Expected] }
    let data = try Data(contentsOf: URL(filePath: "\(recordedTraces ?? "")/expected.json"))
    let expected = try #require(
      try JSONDecoder().decode(File.self, from: data).flight_recorder["gpu_error_1st"])
    #expect(recording.ranks.count == expected.ranks)
    #expect(recording.groups.count == expected.process_groups)
    #expect(recording.ranks.reduce(0) { $0 + $1.count } == expected.entries)
    var sums: [String: Sum] = [:]
    for rank in recording.ranks {
      for event in 0..<rank.count {
        let communication = rank.communications[Int(rank.communication[event])]
        var sum = sums[rank.names[Int(rank.name[event])]] ?? Sum()
        sum.count += 1
        sum.in_bytes += try #require(communication.inputBytes)
        sum.out_bytes += try #require(communication.outputBytes)
        sums[rank.names[Int(rank.name[event])]] = sum
      }
    }
    #expect(sums == expected.ops)
  }

  @Test func `the ranks with the injected fault are named, and no others`() throws {
    let log = try String(
      contentsOfFile: "\(recordedTraces ?? "")/flight-recorder/gpu_error_1st/fault_injection.log",
      encoding: .utf8)
    let injected = log.split(separator: "\n").compactMap { line in
      line.hasPrefix("Rank ") ? Int(line.dropFirst(5).prefix { $0.isNumber }) : nil
    }
    let analysis = FlightRecorderAnalysis(try read())
    #expect(injected == [12, 14])
    #expect(analysis.faults.map(\.rank) == injected)
    #expect(analysis.faults.allSatisfy { $0.reason == .stopped })
    #expect(analysis.mismatches.isEmpty)
  }

  @Test func `expert exchanges differ by rank`() throws {
    let recording = try read()
    let exchanges = FlightRecorderAnalysis(recording).unevenExchanges
    #expect(
      exchanges.allSatisfy { recording.groups[Int($0.group)].description == "EXPERT_MODEL_PARALLEL_GROUP" })
    let first = try #require(
      exchanges.first { recording.groups[Int($0.group)].name == "71" && $0.sequence == 20542 })
    #expect(first.ranks == [0, 1, 2, 3])
    #expect(first.sentRows == [4096, 4096, 4096, 4096])
    #expect(first.receivedRows[0] == 4107)
    #expect(first.receivedRows.compactMap { $0 }.reduce(0, +) == 4 * 4096)
  }
}
