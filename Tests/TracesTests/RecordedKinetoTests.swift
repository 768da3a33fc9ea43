import Documents
import Testing

@testable import Traces

/// The real recordings, where they are at hand.
@Suite(.enabled(if: ExpectedFigures.shared != nil, "the recordings of others lie beside the project"))
struct
  RecordedKinetoTests
{
  static let names = (ExpectedFigures.shared?.kineto.keys).map { $0.sorted() } ?? []

  private func expected(_ name: String) throws -> ExpectedKineto {
    try #require(ExpectedFigures.shared?.kineto[name])
  }

  private func read(_ path: String) throws -> Recording {
    try readKineto(at: try #require(recordedTraces) + "/" + path)
  }

  @Test(arguments: names) func `a recording has the figures that others found`(name: String) throws {
    let expected = try expected(name)
    let recording = try read(expected.path)
    let rank = recording.ranks[0]
    let (kernels, memory) = (rank.events(.compute, .communication), rank.events(.memory))
    let (communication, computation) = (rank.events(.communication), rank.events(.compute))
    #expect(rank.rank == expected.dist.rank && recording.worldSize == expected.dist.worldSize)
    #expect(rank.count + recording.omissions.reduce(0) { $0 + $1.count } == expected.events)
    #expect(kernels.count == expected.kernels)
    #expect(memory.count == expected.memOps)
    #expect(communication.count == expected.commKernels)
    #expect(Set(communication.map { rank.stream[$0] }).sorted() == expected.streamsComm)

    func equal(_ found: Double, _ figure: Double, _ what: String) {
      #expect(abs(found - figure) < 0.1, "\(what): \(found), expected \(figure)")
    }
    equal(rank.microseconds(kernels), expected.kernelUs, "kernels")
    equal(rank.microseconds(memory), expected.memUs, "memory")
    equal(rank.microseconds(communication), expected.commUsSum, "communication")
    equal(rank.union(communication), expected.commUsUnion, "union of communication")
    equal(rank.union(computation), expected.compUsUnion, "union of computation")
    equal(rank.union(kernels + memory), expected.gpuBusyUs, "busy")
    equal(rank.union(communication, without: computation), expected.exposedCommVsKernels, "exposed")
    equal(
      rank.union(communication, without: computation + memory), expected.exposedCommVsAll, "exposed to all"
    )
    let device = kernels + memory
    let first = device.map { rank.start[$0] }.min() ?? 0
    let last = device.map { rank.start[$0] + rank.duration[$0] }.max() ?? 0
    equal(Double(last - first) / 1e6, expected.gpuSpanUs, "span")
    let union = rank.union(communication)
    let overlap = 100 * (union - rank.union(communication, without: computation)) / union
    #expect(abs(overlap - expected.overlapPctHta) < 0.0006)
  }

  @Test(arguments: names) func `communication has the sizes that others found`(name: String) throws {
    let expected = try expected(name)
    let recording = try read(expected.path)
    let rank = recording.ranks[0]
    var found: [String: [Double]] = [:]
    for event in rank.events(.communication) {
      let communication = rank.communications[Int(rank.communication[event])]
      let kernel = rank.names[Int(rank.name[event])]
        .replacing(#/^void /#, with: "").prefix { $0 != "(" && $0 != "<" }
      func text(_ value: String?) -> String { value.map { "'\($0)'" } ?? "None" }
      let isDescribed = communication.group >= 0
      let key =
        "('\(kernel)', \(text(isDescribed ? communication.recordedName : nil)), "
        + "\(text(isDescribed ? communication.dataType : nil)), "
        + "\(isDescribed ? communication.groupSize.map(String.init) ?? "None" : "None"), "
        + "\(text(isDescribed ? recording.groups[Int(communication.group)].name : nil)))"
      var entry = found[key] ?? [0, 0, 0, 0]
      entry[0] += 1
      entry[1] += Double(rank.duration[event]) / 1e6
      if isDescribed {
        entry[2] += Double(communication.inputBytes ?? -1)
        entry[3] += Double(communication.outputBytes ?? -1)
      }
      found[key] = entry
    }
    #expect(found.keys.sorted() == expected.kinds.keys.sorted())
    for (key, figures) in expected.kinds {
      let values = found[key] ?? []
      #expect(
        zip(values, figures).allSatisfy { abs($0 - $1) < 0.1 } && values.count == 4, "\(key): \(values)")
    }
  }

  @Test func `DeepSeek's profile shows its phases and its notify kernels`() throws {
    let expected = try #require(ExpectedFigures.shared?.deepseekTrain)
    let recording = try read(try self.expected("deepseek_v3_train_ep64_rank0").path)
    let rank = recording.ranks[0]
    let kernels = rank.events(.compute, .communication)
    var phases: [String: [Double]] = [:]
    for mark in rank.marks where mark.stream >= 0 && mark.kind == .range && mark.name != "1F1B" {
      for event in kernels
      where rank.stream[event] == mark.stream && rank.start[event] >= mark.start
        && rank.start[event] + rank.duration[event] <= mark.start + mark.duration
      {
        let key = "\(mark.name)|\(rank.kind[event] == .communication ? "comm" : "comp")"
        let known = phases[key] ?? [0, 0]
        phases[key] = [known[0] + 1, known[1] + Double(rank.duration[event]) / 1e6]
      }
    }
    #expect(phases == expected.phases)

    let notify = rank.events(.communication).filter {
      rank.communications[Int(rank.communication[$0])].kind == .notify
    }
    #expect(notify.count == 16)
    #expect(abs(rank.microseconds(notify) - 32_578) < 0.1)
    #expect(rank.communications.allSatisfy { $0.inputBytes == nil && $0.outputBytes == nil })
    #expect(recording.notes.contains("the bytes of 32 communications are unknown"))
  }

  @Test func `traces without NCCL's arguments give sizes where the host's operations do`() throws {
    let recording = try read(try expected("dlrm_8gpu_rank0").path)
    let found = recording.ranks[0].communications.map {
      "\($0.kind.rawValue) \($0.dataType ?? "?") \($0.inputBytes ?? -1)"
    }
    #expect(
      found == [
        "all_to_all float 24576", "all_to_all long int 192", "all_to_all int 1536", "all_to_all int 13568",
        "all_reduce float 1576964", "all_to_all float 24576", "all_reduce float 448",
        "all_reduce float 907840",
      ])
    // The group is nowhere, and what a rank receives of an uneven exchange neither.
    #expect(recording.ranks[0].communications.allSatisfy { $0.group == -1 })
    #expect(recording.ranks[0].communications[3].outputBytes == nil)
  }
}
