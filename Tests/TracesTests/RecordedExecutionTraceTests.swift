import Documents
import Testing

@testable import Traces

/// The real execution traces, where they are at hand.
@Suite(.enabled(if: ExpectedFigures.shared != nil, "the recordings of others lie beside the project"))
struct
  RecordedExecutionTraceTests
{
  static let names = (ExpectedFigures.shared?.pytorchEt.keys).map { $0.sorted() } ?? []

  private func path(_ path: String) throws -> String { try #require(recordedTraces) + "/" + path }

  @Test(arguments: names) func `a trace has the communication that others found`(name: String) throws {
    let expected = try #require(ExpectedFigures.shared?.pytorchEt[name])
    let recording = try readExecutionTrace(at: path(expected.path))
    let rank = recording.ranks[0]
    #expect(rank.properties.contains { $0 == ("schema", expected.schema) })
    #expect(rank.count + recording.omissions.reduce(0) { $0 + $1.count } == expected.nodes)
    #expect("\(rank.rank)" == name.suffix(1))
    let waits = recording.omissions.first { $0.reason == "wait for a communication" }?.count ?? 0
    #expect(waits == expected.recordParamComms["wait"]?.count)
    var found: [String: [Int64]] = [:]
    for communication in rank.communications {
      var entry = found[communication.recordedName] ?? [0, 0, 0]
      entry[0] += 1
      entry[1] += communication.inputBytes ?? -1
      entry[2] += communication.outputBytes ?? -1
      found[communication.recordedName] = entry
    }
    let figures = expected.recordParamComms.filter { $0.key != "wait" }
    #expect(found == figures.mapValues { [Int64($0.count), $0.inBytes, $0.outBytes] })
  }

  @Test(arguments: [
    ("1.0.3-chakra.0.0.4/resnet_1gpu_et.json.gz", 14391, 21, 1),
    ("1.1.0-chakra.0.0.4/resnet_2gpu_et.json.gz", 14392, 21, 2),
    ("linear_et.json.gz", 931, 0, nil),
  ]) func `the other schemas are read`(name: String, nodes: Int, communications: Int, worldSize: Int?) throws
  {
    let recording = try readExecutionTrace(at: path("pytorch-et/schemas/" + name))
    let rank = recording.ranks[0]
    #expect(rank.count == communications)
    #expect(rank.count + recording.omissions.reduce(0) { $0 + $1.count } == nodes)
    #expect(recording.worldSize == worldSize)
    #expect(
      rank.communications.allSatisfy { $0.inputBytes != nil && $0.groupSize == worldSize && $0.group == 0 })
    if let worldSize {
      #expect(
        recording.groups == [
          ProcessGroup(name: "0", description: "default_pg", ranks: (0..<Int32(worldSize)).map { $0 })
        ])
    }
  }

  @Test func `uneven splits of DLRM are those that others found, and fit across ranks`() throws {
    let expected = try #require(ExpectedFigures.shared)
    let recording = try readExecutionTrace(
      at: (0..<8).map { try path(#require(expected.pytorchEt["dlrm_8gpu_rank\($0)"]).path) })
    try checkSplits(of: recording, expected.dlrmAlltoallvSplits)
  }
}

/// Compares each rank's collectives with the figures, and what rank i sends j with what j receives from i.
func checkSplits(of recording: Recording, _ expected: [ExpectedSplits]) throws {
  #expect(recording.ranks.map(\.rank) == Array(0..<8))
  #expect(recording.groups.count == 1 && recording.groups.first?.ranks == (0..<8).map { $0 })
  for figures in expected {
    let communications = try recording.ranks.map { rank in
      try #require(figures.index < rank.communications.count ? rank.communications[figures.index] : nil)
    }
    #expect(
      communications.allSatisfy {
        $0.recordedName == figures.collective && $0.group == 0 && $0.groupSize == 8
      })
    #expect(communications.map(\.inputBytes) == figures.inBytes)
    #expect(communications.map(\.outputBytes) == figures.outBytes)
    #expect(communications.allSatisfy { figures.dtype.contains("Tensor(\($0.dataType ?? "?"))") })
    #expect(Set(communications.map(\.sequence)).count == 1)
    guard figures.collective == "all_to_allv" else { continue }
    let size = try #require(communications[0].dataType.flatMap(ElementTypes.size))
    #expect(communications.map { $0.inputSplits ?? [] } == figures.inSplitByRank.map { $0.map { $0 * size } })
    #expect(
      communications.map { $0.outputSplits ?? [] } == figures.outSplitByRank.map { $0.map { $0 * size } })
    for sender in 0..<8 {
      for receiver in 0..<8 {
        #expect(
          communications[sender].inputSplits?[receiver] == communications[receiver].outputSplits?[sender])
      }
    }
  }
}

/// Kineto and execution traces of the same ranks, where they are at hand.
@Suite(.enabled(if: ExpectedFigures.shared != nil, "the recordings of others lie beside the project"))
struct
  LinkedRecordingTests
{
  @Test func `all eight ranks of DLRM are linked, with splits that fit across ranks`() throws {
    let expected = try #require(ExpectedFigures.shared)
    let folder = try #require(recordedTraces)
    let recording = try readPyTorch(
      at: recordingFiles(at: folder + "/pytorch-et/dlrm-8gpu")
        + recordingFiles(at: folder + "/kineto/dlrm-8gpu"))
    #expect(recording.format == .kineto && recording.worldSize == 8)
    try checkSplits(of: recording, expected.dlrmAlltoallvSplits)
    for rank in 0..<8 {
      #expect(recording.notes.contains("rank \(rank): 8 kernels are linked with the execution trace"))
    }
    // Times stay those of Kineto.
    for rank in recording.ranks {
      let figures = try #require(expected.kineto["dlrm_8gpu_rank\(rank.rank)"])
      #expect(abs(rank.microseconds(rank.events(.communication)) - figures.commUsSum) < 0.1)
    }
    // One clock: a collective's kernels of all ranks overlap.
    for index in 0..<8 {
      let spans = recording.ranks.map { rank in
        let event = rank.events(.communication)[index]
        return rank.start[event]...(rank.start[event] + rank.duration[event])
      }
      let latest = spans.map(\.lowerBound).max() ?? 0
      #expect(spans.allSatisfy { $0.upperBound >= latest })
    }
  }

  @Test func `an execution trace of another run is not linked`() throws {
    let folder = try #require(recordedTraces) + "/"
    let recording = try readKineto(
      at: folder + #require(ExpectedFigures.shared?.kineto["dlrm_8gpu_rank0"]).path,
      executionTrace: folder + #require(ExpectedFigures.shared?.pytorchEt["resnet_ddp_2gpu_rank0"]).path)
    #expect(recording.notes.contains { $0.hasSuffix("they are not linked") })
    #expect(recording.groups.isEmpty)
  }
}
