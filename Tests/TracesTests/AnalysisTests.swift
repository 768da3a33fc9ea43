import Testing
import Units

@testable import Traces

@Suite struct `What a recording shows` {
  private func microseconds(_ number: Int64) -> Int64 { number * 1_000_000 }

  private func reduction(_ bytes: Int64?, size: Int, sequence: Int64? = nil) -> RecordedCommunication {
    var communication = RecordedCommunication(.allReduce, recordedName: "nccl")
    communication.inputBytes = bytes
    communication.outputBytes = bytes
    communication.groupSize = size
    communication.group = 0
    communication.sequence = sequence
    return communication
  }

  /// Two ranks; the second computes longer and begins its clock 1000 microseconds later.
  private func pair() -> Recording {
    var recording = Recording(.kineto)
    recording.worldSize = 2
    recording.groups = [ProcessGroup(name: "0", ranks: [0, 1])]
    for (index, length) in [Int64(10), 30].enumerated() {
      var rank = RankRecording(rank: index, file: "\(index)")
      let clock = Int64(index) * 1000
      rank.append(
        .compute, name: "gemm", start: microseconds(clock), duration: microseconds(length), stream: 7)
      rank.append(
        .communication, name: "nccl", start: microseconds(clock + length),
        duration: microseconds(40 - length),
        stream: 9, communication: reduction(1_000_000, size: 2))
      rank.append(
        .memory, name: "copy", start: microseconds(clock + 35), duration: microseconds(2), stream: 8)
      rank.append(
        .compute, name: "norm", start: microseconds(clock + 38), duration: microseconds(10), stream: 7)
      rank.marks = [
        RecordedMark(.step, name: "ProfilerStep#3", start: microseconds(clock), duration: microseconds(20)),
        RecordedMark(
          .step, name: "ProfilerStep#4", start: microseconds(clock + 36), duration: microseconds(5)),
      ]
      recording.ranks.append(rank)
    }
    return recording
  }

  @Test func `time is divided as the definitions say`() {
    let summary = TraceSummary(pair().ranks[0])
    #expect(summary.kernels.count == 3 && summary.memory.count == 1)
    #expect(summary.span == Span(microseconds: 48) && summary.busy == Span(microseconds: 48))
    #expect(summary.communicating == Span(microseconds: 30))
    #expect(
      summary.exposed == Span(microseconds: 28) && summary.exposedBesideCopies == Span(microseconds: 26))
    #expect(abs((summary.overlapPercent ?? 0) - 100 * 2 / 30) < 1e-9)
    let all = TraceSummary(pair().ranks.map { TraceSummary($0) })
    #expect(all.kernels.count == 6 && all.byKind.count == 1 && all.byKind[0].bytes == 2_000_000)
  }

  @Test func `the shortest duration over ranks is the transfer and the rest waiting`() throws {
    let comparison = RankComparison(pair())
    let transfer = try #require(comparison.transfers.first)
    #expect(comparison.transfers.count == 1 && transfer.operations == 1 && transfer.compared == 1)
    #expect(transfer.recorded == Span(microseconds: 40) && transfer.waiting == Span(microseconds: 20))
    #expect(abs((transfer.algorithmBandwidth?.value ?? 0) - 1e11) < 1)
    #expect(transfer.busBandwidth == transfer.algorithmBandwidth, "2 (n - 1) / n of two ranks is one")
    #expect(comparison.standings[1].timesLast == 1)
    #expect(comparison.standings[1].keptOthersWaiting == Span(microseconds: 20))
    #expect(comparison.standings[0].waiting == Span(microseconds: 20))
    #expect(
      comparison.clocks.offset == [0, microseconds(-1000)] && comparison.clocks.isTied == [true, true])
  }

  @Test func `the critical path goes through the rank that came last`() {
    var recording = pair()
    for rank in 0..<2 { recording.ranks[rank].start[3] += microseconds(2) }
    let comparison = RankComparison(recording)
    let path = recording.criticalPath(comparison)
    let summary = CriticalPathSummary(path, ranks: 2)
    #expect(summary.total == Span(microseconds: 50))
    #expect(path.first?.rank == 1 && path.first?.part == .compute)
    #expect(path.first?.time == Span(microseconds: 30))
  }

  @Test func `steps are cut out with their edges`() throws {
    let recording = pair()
    #expect(recording.ranks[0].steps.map(\.number) == [3, 4])
    let third = recording.limited(to: 3...3)
    #expect(third.ranks.map(\.count) == [3, 3])
    #expect(
      third.omissions == [0, 1].map { Omission(rank: $0, reason: "outside the chosen steps", count: 1) })
    #expect(recording.limited(to: 9...9).ranks.isEmpty)
  }

  @Test func `sequence numbers match where ranks begin to record at different times`() {
    var recording = pair()
    for (index, first) in [Int64(5), 6].enumerated() {
      var rank = RankRecording(rank: index, file: "\(index)")
      for number in 0..<3 {
        rank.append(
          .communication, name: "nccl", start: microseconds(Int64(number) * 10), duration: microseconds(5),
          stream: 1,
          communication: reduction(64, size: 2, sequence: first + Int64(number)))
      }
      recording.ranks[index] = rank
    }
    let matched = recording.matchedCommunications()
    #expect(matched.map(\.parts.count).sorted() == [1, 1, 2, 2])
    // Without them the n-th meets the n-th.
    for index in 0..<2 {
      for number in 0..<3 { recording.ranks[index].communications[number].sequence = nil }
    }
    #expect(recording.matchedCommunications().map(\.parts.count) == [2, 2, 2])
    recording.ranks[1].communications[1].kind = .broadcast
    #expect(
      recording.matchedCommunications().allSatisfy { $0.parts.count == 1 }, "nothing is matched by guess")
  }

  @Test func `unequal exchanges show who is fullest`() throws {
    var recording = Recording(.pytorchExecution)
    recording.groups = [ProcessGroup(name: "ep", ranks: [0, 1])]
    for index in 0..<2 {
      var rank = RankRecording(rank: index, file: "\(index)")
      var communication = RecordedCommunication(.allToAllV, recordedName: "all_to_allv")
      communication.group = 0
      communication.outputBytes = index == 0 ? 100 : 300
      rank.append(.communication, name: "all_to_allv", communication: communication)
      recording.ranks.append(rank)
    }
    let load = try #require(RankComparison(recording).expertLoads.first)
    #expect(load.fullestRank == 1 && load.meanImbalance == 1.5 && load.exchanges == 1)
  }

  @Test func `absurd times and sizes neither trap nor pretend`() {
    var rank = RankRecording(rank: 0, file: "x")
    rank.append(.compute, name: "a", start: .max - 1, duration: .max)
    rank.append(.compute, name: "b", start: 0, duration: .max)
    rank.append(.compute, name: "c", start: 0, duration: .max)
    var communication = reduction(.max, size: 2)
    communication.outputBytes = .max
    for _ in 0..<3 {
      rank.append(.communication, name: "d", start: .min + 1, duration: 5, communication: communication)
    }
    var recording = Recording(.chakra)
    recording.groups = [ProcessGroup(name: "0", ranks: [0, 1])]
    recording.ranks = [rank]
    let analysis = TraceAnalysis(recording)
    #expect(analysis.total.kernels.count == 6)
    #expect(analysis.total.byKind.first?.bytes == .max)
  }
}
