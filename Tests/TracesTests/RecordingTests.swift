import Testing

@testable import Traces

@Suite struct RecordingTests {
  @Test func `names are entered once`() {
    var rank = RankRecording(rank: 0, file: "a.json")
    rank.append(.compute, name: "gemm")
    rank.append(.compute, name: "norm")
    rank.append(.compute, name: "gemm", after: [0, 1])
    #expect(rank.names == ["gemm", "norm"])
    #expect(rank.name == [0, 1, 0])
    #expect(Array(rank.dependencies(of: 2)) == [0, 1])
  }

  @Test func `what a file does not say stays unknown`() {
    var rank = RankRecording(rank: 0, file: "a.json")
    rank.append(
      .communication, name: "ncclKernel_SendRecv",
      communication: RecordedCommunication(.sendReceive, recordedName: "ncclKernel_SendRecv"))
    #expect(rank.duration == [RankRecording.unknownTime])
    #expect(rank.communications[0].inputBytes == nil)
    #expect(rank.communications[0].dataType == nil)
  }
}
