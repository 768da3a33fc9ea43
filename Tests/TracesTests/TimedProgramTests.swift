import Documents
import Foundation
import Programs
import Testing

@testable import Traces

private let text = """
  program 1 "two stages"
  ranks 2 codes 0x1 1x1
  communicator "pipeline" ranks=2
    group 0 1
  exchange tokens=16.0 nodes=1.0 remote_nodes=0.0 ranks=2.0 forwarded=0.0 bytes=8.0
  work forward "layer forward"
    pass norm read=100.0 written=50.0 launches=1
  code "first"
    slot forward forward=0.0.0
      0 compute compute work=0 pass=forward
      1 send send_activation_up communicator=0 peer=1 tag=3 bytes=4096 after=0
      2 all_gather reduction communicator=0 bytes=1002 element=2
  code "second"
    slot forward forward=1.0.0
      0 receive receive_activation_down communicator=0 peer=0 tag=3 bytes=4096
      1 compute compute work=0 pass=forward after=0
      2 all_gather reduction communicator=0 bytes=1002 element=2

  """

private let times = """
  rank,task,kind,started_ns,ended_ns,processor_ns,bytes_sent,bytes_received
  0,0,compute,5,105,90,0,0
  0,1,send,105,120,0,4096,0
  0,2,all_gather,0,40,0,502,500
  1,0,receive,10,120,0,0,4096
  1,1,compute,120,220,95,0,0
  1,2,all_gather,0,40,0,500,502

  """

private func input(_ text: String, _ times: String?) -> TraceInput {
  TraceInput(
    bytes: Array(text.utf8), named: "step.program",
    beside: times.map { ["step.program.csv": Array($0.utf8)] } ?? [:])
}

private func problem(_ text: String, _ times: String?) -> String? {
  do {
    _ = try TimedProgram(input(text, times))
    return nil
  } catch { return (error as? Diagnostic).map { "\($0.problem) at \($0.path ?? "?")" } }
}

@Suite struct TimedProgramTests {
  private func whole() throws -> TimedProgram { try TimedProgram(input(text, times)) }

  @Test func `a program and its times are read back as they were written`() throws {
    let timed = try whole()
    #expect(timed.csv == times)
    #expect(timed.program.program.text == text)
    let again = try TimedProgram(input(timed.program.program.text, timed.csv))
    #expect(again.program.program == timed.program.program)
    #expect(again.started == timed.started)
    #expect(again.received == timed.received)
  }

  @Test func `tasks become events in the order of time`() throws {
    let recording = try Recording.program(input(text, times))
    let rank = recording.ranks[0]
    #expect(rank.name.map { rank.names[Int($0)] } == ["all_gather", "layer forward", "send"])
    #expect(rank.start == [0, 5000, 105_000])
    #expect(rank.duration == [40_000, 100_000, 15_000])
    #expect(Array(rank.dependencies(of: 2)) == [1])
    #expect(rank.chunks.map(\.ordinal) == [2, 0, 1])
    #expect(rank.marks.map(\.duration) == [120_000])
    #expect(recording.groups == [ProcessGroup(name: "pipeline 0", ranks: [0, 1])])
    #expect(recording.worldSize == 2)
    let gather = rank.communications[0]
    // 501 elements of two bytes: 250 are the first member's.
    #expect(gather.inputBytes == 500)
    #expect(gather.outputBytes == 1002)
    #expect(rank.communications[1].peer == 1)
  }

  @Test func `a program without times has events without times`() throws {
    let recording = try Recording.program(input(text, nil))
    #expect(recording.ranks[0].start.allSatisfy { $0 == RankRecording.unknownTime })
    #expect(recording.notes == ["there are no times beside the program"])
  }

  @Test func `a program on disk finds the file beside it`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(component: "program-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(component: "run").path
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    try times.write(toFile: file + ".csv", atomically: true, encoding: .utf8)
    #expect(try TimedProgram(TraceInput(path: file)).hasTimes)
    #expect(try recordingFormat(of: file) == .program)
  }

  @Test(
    arguments: [
      ("program 2 \"x\"\n", nil, "the number is out of range at line 1, column 9"),
      (text, "rank,task\n", "the first line names the columns at line 1"),
      (text, times.replacing("0,1,send", with: "0,1,compute"), "a line is of another task at line 3"),
      (text, times.replacing(",105,120,", with: ",120,105,"), "a task ends before it starts at line 3"),
      (text, times.replacing(",105,120,", with: ",-1,105,"), "a time or size is out of range at line 3"),
      (text, times + "2,0,compute,0,0,0,0,0\n", "there are more lines than tasks at line 8"),
      (
        text.replacing("tag=3 bytes=4096 after", with: "tag=4 bytes=4096 after"), nil,
        "the program cannot run at the program"
      ),
    ] as [(String, String?, String)])
  func `what is wrong is refused with its place`(text: String, times: String?, expected: String) {
    #expect(problem(text, times) == expected)
  }

  @Test func `a program or its times cut off at any byte are refused or read as a shorter number`() {
    let bytes = Array(times.utf8)
    // The last number may lose digits without anyone knowing.
    for count in 0..<bytes.count - 4 {
      #expect(throws: Diagnostic.self) {
        try TimedProgram(
          TraceInput(bytes: Array(text.utf8), named: "p", beside: ["p.csv": Array(bytes[..<count])]))
      }
    }
    for count in 0..<text.utf8.count {
      do {
        _ = try TimedProgram(
          TraceInput(bytes: Array(Array(text.utf8)[..<count]), named: "p", beside: ["p.csv": bytes]))
        #expect(count > text.utf8.count - 14)
      } catch { #expect((error as? Diagnostic)?.path != nil) }
    }
  }

  @Test func `ten thousand broken programs and times are read or refused`() {
    let words = [
      "peer=", "after=", "ranks 1048576 codes 0x1048576", "bytes=1125899906842624", "group", "0..7", "idle=",
    ]
    var turn = 0
    expectSurvival(of: [Array(text.utf8), Array(times.utf8)], words: words) { source in
      var source = source
      let mutant = try source.rest()
      turn += 1
      let (first, second) = turn % 2 == 1 ? (mutant, Array(times.utf8)) : (Array(text.utf8), mutant)
      _ = try Recording.program(TraceInput(bytes: first, named: "mutant", beside: ["mutant.csv": second]))
    }
  }
}
