import Documents
import Foundation
import Programs
import Replaying
import Testing
import Traces
import Units

@testable import Estimation

private let recordings: String? = {
  let folder =
    ProcessInfo.processInfo.environment["REHEARSAL_TRACES"]
    ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../shared/traces").path
  return FileManager.default.fileExists(atPath: folder + "/expected.json") ? folder : nil
}()

@Suite(.enabled(if: recordings != nil, "the recordings of others lie beside the project"))
struct `Real recordings replayed` {
  private func study(_ paths: [String], _ change: (inout ReplayRequest) throws -> Void) throws -> ReplayStudy
  {
    let folder = try #require(recordings)
    var request = ReplayRequest()
    try change(&request)
    return try ReplayStudy(readRecordings(paths.map { folder + "/" + $0 }).recording, request)
  }

  @Test func `an overlapped pair on H800 takes 129 milliseconds within a tenth, and so does our own`() throws
  {
    let study = try study(["kineto/deepseek-h800-ep64/train.json.gz"]) {
      $0.cluster = "h800-2048-feb2025"
      $0.model = "deepseek-v3"
      $0.tokens = 4096
    }
    #expect(study.report.recordedStep == Span(microseconds: 129_012))
    #expect(abs(study.report.step.milliseconds / 129 - 1) < 0.1, "\(study.report.step.milliseconds)")
    #expect(abs(try #require(study.pair).milliseconds / 129 - 1) < 0.1)
    #expect(study.notes.contains { $0.contains("assumed from deepseek-v3, 4096 tokens") })
    // Exchanges are timed by the cluster's calibration, not taken from the recording.
    let combine = try #require(study.report.kinds.first { $0.kind == .combine })
    #expect(combine.replayedTransfer != combine.recorded && combine.bytesSent > 1e9)
  }

  @Test func `without a cluster it takes what it took`() throws {
    let pair = try study(["kineto/deepseek-h800-ep64/train.json.gz"]) { _ in }
    #expect(abs(pair.report.step.microseconds - 129_012) < 1)
    #expect(abs(pair.report.exposed.microseconds - 4149) < 1, "beside kernels and copies")
    let eight = try study(["kineto/dlrm-8gpu"]) { _ in }
    let recorded = try #require(eight.report.recordedStep)
    #expect(abs(eight.report.step.seconds / recorded.seconds - 1) < 0.01)
  }

  @Test func `eight ranks' uneven parts are transposed, and transfer told from waiting`() throws {
    let study = try study(["kineto/dlrm-8gpu", "pytorch-et/dlrm-8gpu"]) { $0.cluster = "h100-eos" }
    let program = study.base.verified.program
    #expect(program.ranks == 8 && !program.splits.isEmpty)
    let received = (0..<8).map { rank in
      (0..<program.codes[rank].count).reduce(Int64(0)) { sum, task in
        sum + (program.splits(code: rank, task: task)?.received.reduce(0, +) ?? 0)
      }
    }
    #expect(received[3] == received.max(), "rank 3 gets most")
    let exchanged = study.report.kinds.filter { $0.kind == .allToAllV || $0.kind == .allToAll }
    #expect(!exchanged.isEmpty)
    for kind in exchanged {
      #expect(kind.hasBytes && kind.recordedTransfer.map { $0 < kind.recorded } == true)
    }
    let waiting = study.report.kinds.reduce(0) { $0 + $1.replayedWaiting.seconds }
    let moving = study.report.kinds.reduce(0) { $0 + $1.replayedTransfer.seconds }
    #expect(waiting > moving, "most of what was recorded was waiting")
  }

  @Test func `a job is carried to 2048 ranks and exported`() throws {
    let study = try study(["kineto/dlrm-8gpu"]) {
      $0.cluster = "h800-2048"
      $0.ranks = 2048
      $0.changes = [try WhatIf("nic=x0.5")]
    }
    #expect(study.changed?.verified.program.ranks == 2048)
    #expect(study.notes.contains { $0.contains("carried from 8 to 2048 ranks") })
    func reduction(_ report: ReplayReport?) throws -> ReplayedKind {
      try #require(report?.kinds.first { $0.kind == .allReduce })
    }
    let (small, large) = (try reduction(study.report), try reduction(study.changedReport))
    #expect(large.groupSize == 2048 && small.groupSize == 8)
    #expect(large.replayedTransfer > small.replayedTransfer)
  }
}

@Suite struct `Traces written for other tools` {
  private func request(_ format: ExportRequest.Format) -> ExportRequest {
    var request = ExportRequest()
    request.format = format
    request.estimate.model = "deepseek-v3-mini"
    request.estimate.cluster = "h800-node"
    return request
  }

  private func folder() throws -> String {
    let folder = FileManager.default.temporaryDirectory.appending(path: "export-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }

  @Test func `a simulated step reads back as a Chrome trace of its own time`() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let export = try TraceExport(request(.chrome))
    let path = folder + "/step.json"
    #expect(try export.write(to: path) == [path])
    let parsed = try Parsed(String(contentsOfFile: path, encoding: .utf8))
    let events = parsed.traceEvents.list.filter { $0.ph.text == "X" }
    #expect(events.count > 100)
    #expect(events.allSatisfy { ($0.ts.number ?? -1) >= 0 && ($0.dur.number ?? -1) >= 0 })
    let read = try readRecordings([path]).recording
    #expect(read.format == .kineto)
  }

  @Test(arguments: ExportRequest.Format.allCases) func `every format is written`(format: ExportRequest.Format)
    throws
  {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let written = try TraceExport(request(format)).write(to: folder + "/step")
    #expect(written.count == (format == .chakra ? 9 : 1))
    for path in written {
      let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
      #expect((size ?? 0) > 2)
    }
    guard format == .csv else { return }
    let lines = try String(contentsOfFile: folder + "/step", encoding: .utf8).split(separator: "\n")
    #expect(lines[0].hasPrefix("process,lane,category,name,start_us,duration_us"))
  }
}
