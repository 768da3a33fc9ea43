import Documents
import Foundation
import Testing

@testable import Traces

/// A trace of actions, and files beside it.
private func trace(_ text: String, beside files: [String: String] = [:]) -> TraceInput {
  TraceInput(bytes: Array(text.utf8), named: "trace", beside: files.mapValues { Array($0.utf8) })
}

private func problem(_ text: String, beside files: [String: String] = [:]) -> String? {
  do {
    _ = try Recording.timeIndependent(trace(text, beside: files))
    return nil
  } catch { return (error as? Diagnostic).map { "\($0.problem) at \($0.path ?? "?")" } }
}

private func communication(_ recording: Recording, _ rank: Int, _ event: Int) throws -> RecordedCommunication
{
  let rank = recording.ranks[rank]
  try #require(rank.communication[event] >= 0)
  return rank.communications[Int(rank.communication[event])]
}

/// Two ranks with every action, lists of two entries.
private let everyAction = """
  0 init 1
  1 init 1
  0 compute 1e9
  1 compute 0
  0 sleep 0.5
  1 sleep 0
  0 isend 1 7 1e3 5
  1 irecv 0 7 1e3 5
  0 wait 0 1 7
  1 test 0 1 7
  1 waitall
  0 send 1 8 10
  1 recv 0 8 -1
  0 barrier
  1 barrier
  0 bcast 100 1 6
  1 bcast 100 1 6
  0 reduce 10 5e3 0 1
  1 reduce 10 5e3 0 1
  0 allreduce 4 8
  1 allreduce 4 8
  0 alltoall 3 3 6 6
  1 alltoall 3 3 6 6
  0 alltoallv 10 1 2 10 3 4 6 5
  1 alltoallv 10 2 4 10 2 4 6 5
  0 gather 5 5 1 6 6
  1 gather 5 5 1 6 6
  0 allgather 5 5 6 6
  1 allgather 5 5 6 6
  0 gatherv 5 5 6 0 6 6
  1 gatherv 6 5 6 0 6 6
  0 allgatherv 5 5 6 6 6
  1 allgatherv 6 5 6 6 6
  0 scatter 5 5 0 6 6
  1 scatter 5 5 0 6 6
  0 scatterv 5 6 5 0 6 6
  1 scatterv 5 6 6 0 6 6
  0 reducescatter 5 6 100 6
  1 reducescatter 5 6 100 6
  0 scan 4 8 6
  1 scan 4 8 6
  0 comm_size 2
  1 comm_size 2
  0 finalize
  1 finalize

  """

@Suite struct TimeIndependentTests {
  @Test func `every action of the replay is read with its bytes`() throws {
    let recording = try Recording.timeIndependent(trace(everyAction))
    #expect(recording.ranks.map(\.rank) == [0, 1])
    #expect(recording.worldSize == 2)
    #expect(recording.groups == [ProcessGroup(name: "MPI_COMM_WORLD", ranks: [0, 1])])
    struct Row: Hashable {
      var name: String
      var input: Int64?
      var output: Int64?
    }
    func rows(_ rank: Int) -> [Row] {
      recording.ranks[rank].communications.map {
        Row(name: $0.recordedName, input: $0.inputBytes, output: $0.outputBytes)
      }
    }
    #expect(
      rows(0) == [
        Row(name: "isend", input: 4000, output: nil), Row(name: "send", input: 80, output: nil),
        Row(name: "barrier", input: nil, output: nil), Row(name: "bcast", input: 0, output: 100),
        Row(name: "reduce", input: 40, output: 40), Row(name: "allreduce", input: 32, output: 32),
        Row(name: "alltoall", input: 6, output: 6), Row(name: "alltoallv", input: 3, output: 28),
        Row(name: "gather", input: 5, output: 0), Row(name: "allgather", input: 5, output: 10),
        Row(name: "gatherv", input: 5, output: 11), Row(name: "allgatherv", input: 5, output: 11),
        Row(name: "scatter", input: 10, output: 5), Row(name: "scatterv", input: 11, output: 5),
        Row(name: "reducescatter", input: 11, output: 5), Row(name: "scan", input: 4, output: 4),
      ])
    #expect(
      rows(1)[..<3] == [
        Row(name: "irecv", input: nil, output: 4000), Row(name: "recv", input: nil, output: nil),
        Row(name: "barrier", input: nil, output: nil),
      ])
    let exchange = try #require(recording.ranks[0].communications.first { $0.kind == .allToAllV })
    #expect(exchange.inputSplits == [1, 2])
    #expect(exchange.outputSplits == [12, 16])
    #expect(exchange.dataType == "MPI_BYTE")
    #expect(recording.ranks[0].operations.filter { $0 > 0 } == [1e9, 5e3, 8, 100, 8])
    #expect(recording.ranks[0].duration[1] == 500_000_000_000)
    #expect(recording.omissions.reduce(0) { $0 + $1.count } == 7)
    #expect(recording.notes.contains { $0.hasPrefix("1 receives do not say") })
    #expect(!recording.notes.contains { $0.contains("finalize") })
  }

  @Test func `messages hold nothing up until they are waited for`() throws {
    let recording = try Recording.timeIndependent(
      trace(
        "0 init\n0 compute 5\n0 isend 1 0 8\n0 compute 6\n0 wait 0 1 0\n0 compute 7\n0 finalize\n1 recv 0 0 8\n"
      ))
    let rank = recording.ranks[0]
    #expect(rank.names == ["compute", "isend", "wait"])
    #expect((0..<rank.count).map { Array(rank.dependencies(of: $0)) } == [[], [0], [0], [2, 1], [3]])
    #expect(try communication(recording, 0, 1).peer == 1)
  }

  @Test func `several jobs get ranks one after the other`() throws {
    let files = [
      "job.txt": "a.txt\nb.txt\n", "a.txt": "0 init\n0 send 1 0 4\n0 finalize\n",
      "b.txt": "1 init\n1 recv 0 0 4\n1 finalize\n",
    ]
    let recording = try Recording.timeIndependent(
      trace("first job.txt 2 0\nsecond job.txt 2 1e6\n", beside: files))
    #expect(recording.ranks.map(\.rank) == [0, 1, 2, 3])
    #expect(recording.groups.map(\.name) == ["first", "second"])
    #expect(recording.groups[1].ranks == [2, 3])
    #expect(try communication(recording, 2, 1).peer == 3)
    #expect(recording.ranks[2].operations[0] == 1e6)
  }

  @Test(arguments: [
    ("", "the trace is empty at line 1"), ("0 dance 5", "this is no time-independent trace at line 1"),
    ("0 init\n0 dance 5", "there is no such action at line 2"),
    ("0 compute nan", "operations must be a number at line 1"),
    ("0 compute -1", "operations must be a number at line 1"),
    ("0 compute", "the action has the wrong number of words at line 1"),
    ("0 init\n-1 init", "a line begins with its rank at line 2"),
    ("0 init\n9999999999 init", "a line begins with its rank at line 2"),
    ("0 init\n0 bcast 5 0 99", "there is no such datatype at line 2"),
    ("0 init\n0 bcast 5 3", "the root is no rank of the job at line 2"),
    ("0 init\n1 init\n0 alltoallv 1 2 3", "the action has the wrong number of words at line 3"),
    ("0 init\n0 allreduce 1e19 5", "the buffer is too large at line 2"),
    ("missing.txt", "there is no such file at line 1"),
  ])
  func `what is wrong is refused with its line`(text: String, expected: String) {
    #expect(problem(text) == expected)
  }

  @Test func `a trace that stops early says so`() throws {
    let lines = everyAction.split(separator: "\n", omittingEmptySubsequences: false)
    for count in 1..<lines.count - 2 {
      let cut = lines[..<count].joined(separator: "\n") + "\n"
      let recording = try Recording.timeIndependent(trace(cut))
      #expect(recording.notes.contains { $0.contains("`finalize`") })
    }
  }

  @Test func `a trace cut off at any byte is read or refused`() {
    let bytes = Array(everyAction.utf8)
    for count in 0..<bytes.count {
      do {
        let recording = try Recording.timeIndependent(TraceInput(bytes: Array(bytes[..<count]), named: "cut"))
        #expect(count > bytes.count - 3 || recording.notes.contains { $0.contains("`finalize`") })
      } catch {
        #expect((error as? Diagnostic)?.path != nil)
      }
    }
  }

  @Test func `ten thousand broken traces are read or refused`() {
    let jobs = "a job.txt 2 0\nb job.txt 2 5\n"
    expectSurvival(
      of: [Array(everyAction.utf8), Array(jobs.utf8)],
      words: ["init", "waitall", "alltoallv", "1e300", "\n0 ", " 1048575 "]
    ) { source in
      var source = source
      let files = ["job.txt": Array(everyAction.utf8)]
      _ = try Recording.timeIndependent(TraceInput(bytes: try source.rest(), named: "mutant", beside: files))
    }
  }
}

@Suite(.enabled(if: recordedTraces != nil, "no recorded traces: set REHEARSAL_TRACES to their folder"))
struct RecordedTimeIndependentTests {
  private func read(_ file: String) throws -> Recording {
    try Recording.timeIndependent(TraceInput(path: "\(recordedTraces ?? "")/smpi-ti/\(file)"))
  }

  @Test func `every trace of SimGrid's tests is read`() throws {
    var counts: [String: Int] = [:]
    for name in [
      "allgatherv", "allreduce", "alltoall", "alltoallv", "barrier", "bcast", "bcast_reduce_datatypes",
      "gather",
      "reducescatter", "waitall", "with_isend",
    ] {
      let recording = try read("single/actions_\(name).txt")
      counts[name] = recording.ranks.reduce(0) { $0 + $1.count }
    }
    #expect(
      counts == [
        "allgatherv": 4, "allreduce": 9, "alltoall": 3, "alltoallv": 3, "barrier": 8, "bcast": 18,
        "bcast_reduce_datatypes": 18, "gather": 4, "reducescatter": 8, "waitall": 9, "with_isend": 16,
      ])
    let gathered = try read("single/actions_allgatherv.txt").ranks[3].communications[0]
    #expect(gathered.inputBytes == 1_632_160)
    #expect(gathered.outputBytes == 8_242_408)
    let typed = try read("single/actions_bcast_reduce_datatypes.txt").ranks[1].communications
    #expect(typed.map(\.dataType) == ["MPI_DOUBLE", "MPI_SHORT", "MPI_LONG"])
  }

  @Test func `a list of files is followed`() throws {
    let recording = try read("single/split_traces")
    #expect(recording.ranks.map(\.rank) == [0, 1])
    #expect(recording.ranks[1].communications.map(\.recordedName) == ["recv", "isend", "irecv"])
    #expect(recording.ranks[0].communications[0].inputBytes == 1_000_000)
  }

  @Test func `two jobs of 32 ranks are read whole`() throws {
    let recording = try read("multiple/description_file")
    #expect(recording.ranks.count == 64)
    #expect(recording.worldSize == 64)
    #expect(recording.groups.map(\.size) == [32, 32])
    // 128 + 64 allreduces, 160 alltoalls, 64 alltoallvs, 512 barriers, 288 broadcasts and 32 gathers in each job.
    let communications = recording.ranks.reduce(0) { $0 + $1.communications.count }
    #expect(communications == 2 * 1248)
    #expect(recording.ranks[32].names[Int(recording.ranks[32].name[0])] == "start delay")
    #expect(recording.ranks[32].operations[0] == 125e9)
  }
}
