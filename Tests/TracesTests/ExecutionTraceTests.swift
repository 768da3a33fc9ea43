import Documents
import Testing

@testable import Traces

/// Small execution traces of our own making.
enum ExecutionSamples {
  /// Schema 1.0.1: values lie in the node, the group is an address.
  static let old = """
    {"schema": "1.0.1", "pid": 5, "time": "2026-01-01", "start_ts": 1, "nodes": [
      {"name": "aten::mm", "id": 9, "rf_id": 1, "parent": 1, "inputs": [[1, 2, 0, 8, 4, "cuda:0"]], "input_shapes": [[8]],
       "input_types": ["Tensor(float)"], "outputs": []},
      {"name": "record_param_comms", "id": 20, "rf_id": 8, "parent": 1, "inputs": [[1, 2, 0, 24, 4, "cuda:0"], 31, 94594108284448,
       1, "all_to_allv", [1, 5], [2, 3]], "input_types": ["Tensor(float)", "Int"],
       "outputs": [[3, 4, 0, 20, 4, "cuda:0"]], "output_types": ["Tensor(float)"]},
      {"name": "record_param_comms", "id": 12, "rf_id": 3, "parent": 1, "inputs": [[[1, 2, 0, 105, 2, "cuda:0"], [1, 2, 0, 100, 2,
       "cuda:0"]], 30, 94594108284448, 1, "allreduce", [], []], "input_types": ["GenericList[Tensor(c10::Half),Tensor(c10::Half)]"],
       "outputs": [[[1, 2, 0, 105, 2, "cuda:0"], [1, 2, 0, 100, 2, "cuda:0"]]]},
      {"name": "record_param_comms", "id": 30, "rf_id": 9, "parent": 1, "inputs": [31, 0, 0, "wait", [], []], "outputs": []}
    ], "finish_ts": 2}
    """

  /// Schema 1.1.1: values, shapes and types in objects, attributes, a list of groups, a sequence with a flag.
  static let new = """
    {"schema": "1.1.1-chakra.0.0.4", "pid": 5, "nodes": [
      {"id": 4, "name": "## process_group:init ##", "ctrl_deps": 3, "inputs": {"values": ["[{\\"pg_name\\": \\"0\\", \\"pg_desc\\": \\"default_pg\\", \\"ranks\\": [], \\"group_size\\": 4}, {\\"pg_name\\": \\"3\\", \\"pg_desc\\": \\"TP\\", \\"ranks\\": [2, 3], \\"group_size\\": 2}]"],
       "shapes": [[]], "types": ["String"]}, "outputs": {"values": [], "shapes": [], "types": []}, "attrs": []},
      {"id": 10, "name": "record_param_comms", "ctrl_deps": 3, "inputs": {"values": [[5, 6, 0, 10, 8, "cuda:0"], [17, false],
       ["0", "default_pg"], 2, "_allgather_base", [], [], 0, 1, 4], "shapes": [], "types": ["Tensor(long)", "Tuple[Int,Bool]"]},
       "outputs": {"values": [[5, 6, 0, 40, 8, "cuda:0"]], "shapes": [], "types": ["Tensor(long)"]},
       "attrs": [{"name": "rf_id", "type": "uint64", "value": 77}, {"name": "dtype", "type": "string", "value": "Long"},
       {"name": "pg_size", "type": "uint64", "value": 4}]},
      {"id": 11, "name": "record_param_comms", "ctrl_deps": 3, "inputs": {"values": [[5, 6, 0, 10, 8, "cuda:0"], [2, true],
       ["3", "TP"], 0, "send", [], [], 2, 1, 2], "shapes": [], "types": ["Tensor(long)"]},
       "outputs": {"values": [], "shapes": [], "types": []}, "attrs": []},
      {"id": 12, "name": "record_param_comms", "ctrl_deps": 3, "inputs": {"values": [], "shapes": [], "types": []},
       "outputs": {"values": [], "shapes": [], "types": []}, "attrs": []}
    ]}
    """
}

private func read(_ text: String) throws -> Recording {
  try readExecutionTrace(ByteSource(bytes: Array(text.utf8), named: "trace.json"))
}

private func refusal(_ text: String) -> Diagnostic? {
  do {
    _ = try read(text)
    return nil
  } catch { return error as? Diagnostic }
}

@Suite struct ExecutionTraceTests {
  @Test func `the oldest schema is read in the order of beginnings`() throws {
    let recording = try read(ExecutionSamples.old)
    let rank = recording.ranks[0]
    #expect(recording.format == .pytorchExecution && rank.rank == 1)
    #expect(
      rank.names == ["allreduce", "all_to_allv"]
        && rank.communications.map(\.kind) == [.allReduce, .allToAllV])
    #expect(rank.communications.map(\.inputBytes) == [410, 96])
    #expect(rank.communications.map(\.outputBytes) == [410, 80])
    #expect(rank.communications.map(\.dataType) == ["c10::Half", "float"])
    #expect(
      rank.communications[1].inputSplits == [16, 80] && rank.communications[1].outputSplits == [32, 48])
    #expect(rank.communications.map(\.sequence) == [30, 31])
    // The group's size shows in the splits alone.
    #expect(rank.communications.map(\.groupSize) == [2, 2])
    #expect(recording.groups == [ProcessGroup(name: "94594108284448", size: 2)])
    #expect(rank.start.allSatisfy { $0 == RankRecording.unknownTime })
    #expect(
      recording.omissions == [
        Omission(rank: 1, reason: "operation of the host", count: 1),
        Omission(rank: 1, reason: "wait for a communication", count: 1),
      ])
  }

  @Test func `the newest schema is read with its groups`() throws {
    let recording = try read(ExecutionSamples.new)
    let rank = recording.ranks[0]
    #expect(rank.rank == 2 && recording.worldSize == 4)
    #expect(rank.communications.map(\.kind) == [.allGather, .send, .unknown])
    #expect(rank.communications[0].inputBytes == 80 && rank.communications[0].outputBytes == 320)
    #expect(rank.communications[0].dataType == "Long" && rank.communications[0].sequence == 17)
    #expect(rank.communications[1].peer == 2)
    #expect(
      recording.groups == [
        ProcessGroup(name: "0", description: "default_pg", ranks: [0, 1, 2, 3]),
        ProcessGroup(name: "3", description: "TP", ranks: [2, 3]),
      ])
    #expect(recording.notes.first == "1 record_param_comms have an unknown form; what they do is unknown")
  }

  @Test func `groups named by addresses are one across ranks`() throws {
    func rank(_ rank: Int) throws -> Recording {
      try read(
        ExecutionSamples.old.replacing("94594108284448", with: "9459410828444\(rank)").replacing(
          " 1, \"all", with: " \(rank), \"all"
        ).replacing("\n       1, \"all", with: "\n       \(rank), \"all"))
    }
    let merged = merge([try rank(1), try rank(0)])
    #expect(merged.ranks.map(\.rank) == [0, 1])
    #expect(merged.groups.map(\.ranks) == [[0, 1]])
    #expect(merged.ranks.allSatisfy { $0.communications.allSatisfy { $0.group == 0 } })
    #expect(merged.notes.contains("groups of 2 ranks are taken for all ranks that files were given of"))
  }

  @Test func `Kineto's kernels get splits and groups of their execution trace`() throws {
    let kineto = Array(KinetoSamples.old.utf8)
    let trace = try ExecutionTraceParser(
      ByteSource(bytes: Array(ExecutionSamples.old.utf8), named: "et.json")
    ).read()
    // The trace ends with a wait that the profile does not have: what both have lies at one place only.
    let recording = try readKineto(ByteSource(bytes: kineto, named: "trace.json"), linkedWith: trace)
    let communications = recording.ranks[0].communications
    #expect(communications.map(\.kind) == [.allReduce, .allToAllV, .allReduce])
    #expect(communications.map(\.outputBytes) == [410, 80, nil])
    #expect(communications[1].inputSplits == [16, 80])
    #expect(communications.map(\.group) == [0, 0, -1])
    #expect(recording.notes.contains("2 kernels are linked with the execution trace"))
    #expect(recording.notes.contains("1 kernels are not linked with the execution trace"))
  }

  @Test func `an execution trace that does not fit is not linked`() throws {
    let other = ExecutionSamples.old.replacing("105", with: "106")
    let trace = try ExecutionTraceParser(ByteSource(bytes: Array(other.utf8), named: "et.json")).read()
    let recording = try readKineto(
      ByteSource(bytes: Array(KinetoSamples.old.utf8), named: "t"), linkedWith: trace)
    #expect(recording.ranks[0].communications[1].kind == .allToAll)
    #expect(recording.notes.contains { $0.hasSuffix("they are not linked") })
  }

  @Test func `broken traces are refused with their byte`() {
    let duplicate = ExecutionSamples.old.replacing("\"id\": 12", with: "\"id\": 20")
    #expect(refusal(duplicate)?.problem == "two nodes have one id")
    #expect(refusal("{\"schema\": \"1.0.1\"}")?.problem == "the file has no nodes")
    #expect(refusal("{\"nodes\": [{\"name\": \"a\"}]}")?.path == "byte 11")
    #expect(
      refusal(ExecutionSamples.old.replacing("[1, 5]", with: "[1, -5]"))?.problem == "a split is impossible")
    let deep = "{\"nodes\": [{\"id\": 1, \"inputs\": " + String(repeating: "[", count: 10_000)
    #expect(refusal(deep)?.problem == "the JSON is nested too deeply")
  }

  @Test func `impossible tensors are unknown`() throws {
    let huge = ExecutionSamples.old.replacing("0, 24, 4", with: "0, 9223372036854775807, 9223372036854775807")
    #expect(try read(huge).ranks[0].communications[1].inputBytes == nil)
  }

  @Test func `a trace that is cut off anywhere is refused`() {
    for sample in [ExecutionSamples.old, ExecutionSamples.new] {
      expectTruncationNoticed(Array(sample.utf8)) { _ = try readExecutionTrace($0) }
    }
  }

  @Test func `ten thousand mutants are read or refused`() {
    let samples = [ExecutionSamples.old, ExecutionSamples.new].map { Array($0.utf8) }
    expectSurvival(
      of: samples, words: ["record_param_comms", "\"id\": 4", "[1, 2, 0, 8, 4, \"cuda:0\"]", "nodes"]
    ) {
      _ = try readExecutionTrace($0)
    }
  }
}
