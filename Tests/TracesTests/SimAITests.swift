import Documents
import Foundation
import Testing

@testable import Traces

private let workload = """
  HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 4 pp: 1 vpp: 2 ga: 1 all_gpus: 16 checkpoints: 1 0 checkpoint_initiates: 0 pp_comm: 0
  2
  attention -1 100 ALLGATHER 4000 200 REDUCESCATTER 4000 50 REDUCESCATTER 6400 10
  experts\t-1\t300\tALLTOALL_EP\t800\t400\tALLTOALL_EP\t800\t60\tALLREDUCE_DP_EP\t1600\t0

  """

private func read(_ text: String) throws -> Recording {
  try Recording.simAI(TraceInput(bytes: Array(text.utf8), named: "workload.txt"))
}

private func problem(_ text: String) -> String? {
  do {
    _ = try read(text)
    return nil
  } catch { return (error as? Diagnostic).map { "\($0.problem) at \($0.path ?? "?")" } }
}

@Suite struct SimAITests {
  @Test func `rows run forward in order and backward from the last`() throws {
    let recording = try read(workload)
    let rank = recording.ranks[0]
    #expect(
      rank.name.map { rank.names[Int($0)] } == [
        "attention forward", "attention forward ALLGATHER", "experts forward", "experts forward ALLTOALL_EP",
        "experts input gradient", "experts input gradient ALLTOALL_EP", "experts weight gradient",
        "experts weight gradient ALLREDUCE_DP_EP", "attention input gradient",
        "attention input gradient REDUCESCATTER",
        "attention weight gradient", "attention weight gradient REDUCESCATTER",
      ])
    #expect(rank.duration[0] == 100_000)
    // The weight gradients' reduction holds nothing up.
    #expect(Array(rank.dependencies(of: 8)) == [6])
    #expect(recording.worldSize == 16)
    #expect(recording.notes.contains { $0.contains("checkpoints repeat") })
    #expect(
      recording.omissions == [
        Omission(
          rank: 0, reason: "update of a row, which the simulator runs with the communication", count: 1)
      ])
  }

  @Test func `bytes are those of the whole tensor, and groups follow from the header`() throws {
    let recording = try read(workload)
    let communications = recording.ranks[0].communications
    #expect(
      communications.map(\.kind) == [
        .allGather, .allToAll, .allToAll, .allReduce, .reduceScatter, .reduceScatter,
      ])
    #expect(communications.map(\.groupSize) == [2, 4, 4, 2, 2, 8])
    #expect(communications.map(\.inputBytes) == [2000, 800, 800, 1600, 4000, 6400])
    #expect(communications.map(\.outputBytes) == [4000, 800, 800, 1600, 2000, 800])
    #expect(
      recording.groups.map(\.ranks) == [
        [0, 1], [0, 2, 4, 6, 8, 10, 12, 14], [0, 2, 4, 6], [0, 8], Array(0..<16),
      ])
  }

  @Test func `ASTRA-sim 1_0 counts an all-gather's shard`() throws {
    let recording = try read("DATA\n1\nlayer -1 5 NONE 0 5 NONE 0 5 ALLGATHER 100 5\n")
    #expect(recording.ranks[0].communications[0].inputBytes == 100)
    #expect(recording.ranks[0].communications[0].outputBytes == nil)
    #expect(recording.ranks[0].communications[0].groupSize == nil)
  }

  @Test(arguments: [
    ("", "the workload is empty at line 1"), ("WALTZ\n0\n", "this is no workload file at line 1"),
    ("DATA ep: 0\n0\n", "there are not that many ranks at line 1"),
    ("DATA ep:\n0", "the header's ep needs a number at line 1"),
    ("DATA\n99999999999\n", "the second line is the number of rows at line 2"),
    ("DATA\n2\na -1 1 NONE 0 1 NONE 0 1 NONE 0 1\n", "the workload is cut off at line 3"),
    (
      "DATA\n0\na -1 1 NONE 0 1 NONE 0 1 NONE 0 1\n",
      "there are more rows than the second line says at line 3"
    ),
    ("DATA\n1\na -1 1 HUG 0 1 NONE 0 1 NONE 0 1\n", "there is no such collective at line 3"),
    ("DATA\n1\na -1 -1 NONE 0 1 NONE 0 1 NONE 0 1\n", "a time is nanoseconds at line 3"),
    ("DATA\n1\na -1 1 NONE 0.5 1 NONE 0 1 NONE 0 1\n", "a size is whole bytes at line 3"),
    (
      "HYBRID_TRANSFORMER model_parallel_NPU_group: 3 all_gpus: 8\n0\n",
      "the groups do not divide the ranks at line 1"
    ),
  ])
  func `what is wrong is refused with its line`(text: String, expected: String) {
    #expect(problem(text) == expected)
  }

  @Test func `a workload cut off at any byte is refused`() {
    // Nothing tells that the last number has lost digits; it has one.
    expectTruncationNoticed(Array(workload.utf8)) { source in
      var source = source
      _ = try Recording.simAI(TraceInput(bytes: try source.rest(), named: "cut"))
    }
  }

  @Test func `ten thousand broken workloads are read or refused`() {
    expectSurvival(
      of: [Array(workload.utf8)], words: ["ALLREDUCE_EP", "MICRO", "all_gpus: 10000000", " NONE ", "ep:"]
    ) {
      source in
      var source = source
      _ = try Recording.simAI(TraceInput(bytes: try source.rest(), named: "mutant"))
    }
  }
}

@Suite(.enabled(if: recordedTraces != nil, "no recorded traces: set REHEARSAL_TRACES to their folder"))
struct RecordedSimAITests {
  @Test func `SimAI's example of 9,216 GPUs is read whole`() throws {
    let recording = try Recording.simAI(
      TraceInput(path: "\(recordedTraces ?? "")/simai/workload_analytical.txt"))
    #expect(recording.worldSize == 9216)
    var counts: [String: Int] = [:]
    for communication in recording.ranks[0].communications {
      counts[communication.recordedName, default: 0] += 1
    }
    let zero =
      recording.notes.first { $0.contains("of 0 bytes") }.flatMap { Int($0.prefix { $0 != " " }) } ?? 0
    // Collectives of the three columns together, as a count of the file's words gives them.
    #expect(zero == 216)
    #expect(counts.values.reduce(0, +) + zero == 3540)
    #expect(counts["ALLTOALL_EP"] == 768)
    #expect(recording.groups.map(\.size) == [2, 384, 16, 24, 9216])
    #expect(recording.ranks[0].properties.contains { $0.name == "pp_comm" && $0.value == "50331648" })
  }

  @Test func `the micro-benchmark is read`() throws {
    let recording = try Recording.simAI(TraceInput(path: "\(recordedTraces ?? "")/simai/microAllReduce.txt"))
    #expect(recording.ranks[0].communications.map(\.inputBytes) == [16_777_216, 67_108_864])
    #expect(recording.ranks[0].communications.allSatisfy { $0.kind == .allReduce && $0.groupSize == 8 })
  }
}
