import Clusters
import Documents
import Programs
import Testing
import Traces
import Units

@testable import Replaying

@Suite struct `Recordings as programs` {
  private func replay(_ recording: Recording, on cluster: Cluster? = nil) throws -> Replay {
    try Replay(importProgram(recording), on: cluster)
  }

  @Test func `a job replayed as it was recorded takes what it took`() throws {
    let recording = Samples.reduction(first: [10, 30, 20, 30])
    let imported = try importProgram(recording)
    #expect(imported.recordedStep == Span(microseconds: 38))
    let replay = try Replay(imported, on: nil)
    #expect(replay.step == Span(microseconds: 38))
    let report = ReplayReport(replay, recordedStep: imported.recordedStep)
    let kind = try #require(report.kinds.first)
    #expect(report.kinds.count == 1 && kind.kind == .allReduce && kind.groupSize == 4)
    // 25, 5, 15 and 5 were recorded; 5 of each moved data.
    #expect(kind.recorded == Span(microseconds: 12.5))
    #expect(kind.recordedTransfer == Span(microseconds: 5) && kind.replayedTransfer == Span(microseconds: 5))
    #expect(kind.replayedWaiting == Span(microseconds: 7.5))
  }

  @Test func `on a cluster communication is timed anew and waiting follows from computation`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    let replay = try replay(Samples.reduction(first: [10, 30, 20, 30]), on: cluster)
    let report = ReplayReport(replay, recordedStep: nil)
    let kind = try #require(report.kinds.first)
    #expect(kind.replayedTransfer != Span(microseconds: 5))
    #expect(replay.step == Span(microseconds: 33) + kind.replayedTransfer)
    #expect(kind.bytesSent > 0)
    #expect(report.bytesOfLink[0] > 0 && report.bytesOfLink[2] == 0, "four ranks of one node use NVLink")
    #expect(report.busiest.first?.link == .nvlinkOut || report.busiest.first?.link == .nvlinkIn)
  }

  @Test func `bytes that a recording does not say stay unknown`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    let imported = try importProgram(Samples.reduction(first: [10, 30], bytes: nil))
    #expect(imported.notes.contains { $0.contains("no bytes") })
    let replay = try Replay(imported, on: cluster)
    #expect(replay.step == Span(microseconds: 38), "the shortest recorded duration is used")
    #expect(ReplayReport(replay, recordedStep: nil).kinds[0].hasBytes == false)
  }

  @Test func `uneven parts are transposed and verified`() throws {
    let imported = try importProgram(Samples.uneven())
    #expect(imported.program.splits.count == 3)
    #expect(imported.program.splits[1] == Splits(sent: [2000, 0, 3000], received: [4000, 0, 500]))
    let verified = try VerifiedProgram(imported.program)
    #expect(verified.program.bytes(rank: 0, task: 0) == (5000, 2500))
    var wrong = Samples.uneven()
    // What a rank says it got counts only where a sender does not say what it sent.
    wrong.ranks[2].communications[0].outputSplits = [9, 9, 9]
    #expect(try importProgram(wrong).program == imported.program)
  }

  @Test func `a rank that was not recorded behaves as one that was`() throws {
    var recording = Samples.reduction(first: [30, 30, 30, 30, 30, 30, 30, 30])
    recording.ranks = [recording.ranks[0]]
    let imported = try importProgram(recording)
    #expect(imported.program.ranks == 8 && imported.program.codes.count == 1)
    #expect(imported.notes.contains { $0.contains("7 of 8 ranks were not recorded") })
    #expect(try Replay(imported, on: nil).step == Span(microseconds: 38))
    // Groups of every fourth rank are moved along.
    recording.groups[0].ranks = [0, 4]
    recording.ranks[0].communications[0].groupSize = 2
    let moved = try importProgram(recording).program
    #expect(moved.communicators[0].groupCount == 4)
    #expect(Array(moved.communicators[0].group(ofRank: 6)) == [2, 6])
    _ = try VerifiedProgram(moved)
  }

  @Test func `operations that wait in a circle are named`() throws {
    var recording = Recording(.chakra)
    var rank = RankRecording(rank: 0, file: "et")
    rank.append(.compute, name: "a", after: [1])
    rank.append(.compute, name: "b", after: [0])
    recording.ranks = [rank]
    #expect {
      try importProgram(recording)
    } throws: {
      ($0 as? Diagnostic)?.status == .data && "\($0)".contains("circle") && "\($0)".contains("et")
    }
  }

  @Test func `sends before receives do not stop each other`() throws {
    var recording = Recording(.goal)
    for index in 0..<2 {
      var rank = RankRecording(rank: index, file: "goal")
      let peer = Int32(1 - index)
      let sent = rank.append(
        .communication, name: "send",
        communication: Samples.communication(.send, bytes: 64, group: -1, peer: peer))
      rank.append(
        .communication, name: "recv",
        communication: Samples.communication(.receive, bytes: 64, group: -1, peer: peer),
        after: [sent])
      recording.ranks.append(rank)
    }
    let imported = try importProgram(recording)
    #expect(imported.notes.contains { $0.contains("buffered") })
    let replay = try Replay(imported, on: resolveCluster("h800-2048").cluster)
    #expect(replay.step > .zero && replay.verified.meetings.count == 2)
  }
}
