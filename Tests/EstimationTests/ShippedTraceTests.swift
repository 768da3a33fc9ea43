import Foundation
import Testing
import Traces

@testable import Estimation

/// The project's own traces.
private let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Traces")
  .standardizedFileURL.path

/// What a summary's JSON says of one trace.
struct ShippedTrace: Sendable, CustomTestStringConvertible {
  var path: String
  var format: String
  var kernels: Double
  var communications: Double
  /// Microseconds; nil where the format has no times.
  var span: Double?
  var testDescription: String { path }

  init(_ path: String, _ format: String, _ kernels: Double, _ communications: Double, span: Double? = nil) {
    self.path = path
    self.format = format
    self.kernels = kernels
    self.communications = communications
    self.span = span
  }
}

@Suite struct `The shipped traces` {
  private func summary(_ path: String) throws -> Parsed {
    try Parsed(traceListing(of: [folder + "/" + path], steps: nil).jsonText())
  }

  @Test(arguments: [
    ShippedTrace("deepseek-v3-2048", "chakra", 6034, 1934, span: 6_935_451.603),
    ShippedTrace("executed/mini-2.program", "rehearsal", 1040, 326, span: 443_514.158),
    ShippedTrace("plan/chakra", "chakra", 378, 20, span: 10_788.317),
    ShippedTrace("plan/mini.goal", "goal", 389, 28),
    ShippedTrace("small/kineto", "kineto", 10, 4, span: 445),
    ShippedTrace("small/pytorch-et.json", "pytorch-et", 2, 2),
    ShippedTrace("small/flight-recorder", "flight-recorder", 5, 5),
    ShippedTrace("small/ping.goal", "goal", 6, 4),
    ShippedTrace("small/ping.bin", "goal-bin", 6, 4),
    ShippedTrace("small/actions.txt", "simgrid-ti", 8, 6),
    ShippedTrace("small/workload.txt", "simai", 11, 5),
    ShippedTrace("small/straggler.json", "bytedance-straggler", 56, 32, span: 1750),
  ]) func `each is read, and every operation is there`(trace: ShippedTrace) throws {
    let found = try summary(trace.path)
    #expect(found.format.text == trace.format)
    #expect(found.kernels.count.number == trace.kernels)
    #expect(found.communication.count.number == trace.communications)
    if let span = trace.span {
      #expect(abs(try #require(found.span_microseconds.number) - span) < 0.1)
    } else {
      #expect(found.span_microseconds.value is NSNull, "unknown, not zero")
    }
    let counted = found.communication.by_kind.list.reduce(0) { $0 + ($1.count.number ?? 0) }
    #expect(counted == trace.communications)
  }

  @Test func `two ranks' profiles tell waiting from transfer, and who was late`() throws {
    let found = try summary("small/kineto")
    let reduction = try #require(found.transfers.list.first { $0.kind.text == "all_reduce" })
    #expect(reduction.transfer_microseconds.number == 50 && reduction.waiting_microseconds.number == 100)
    let late = try #require(found.stragglers.list.first)
    #expect(late.rank.number == 0 && late.kept_others_waiting_microseconds.number == 100)
  }

  @Test func `dumps of a flight recorder name the rank that never came`() throws {
    let read = try readRecordings([folder + "/small/flight-recorder"])
    #expect(read.findings.contains { $0.contains("rank 1 never joined") })
  }

  @Test func `a schedule's text and binary are the same`() throws {
    let text = try summary("small/ping.goal")
    let binary = try summary("small/ping.bin")
    for key in ["send", "receive"] {
      func row(_ listing: Parsed) -> Parsed? {
        listing.communication.by_kind.list.first { $0.kind.text == key }
      }
      #expect(try #require(row(text)).bytes.number == row(binary)?.bytes.number)
    }
  }

  @Test(arguments: [
    (ExportRequest.Format.chakra, "plan/chakra/mini"), (.goal, "plan/mini.goal"),
    (.perfetto, "plan/mini.pftrace"), (.chrome, "plan/mini.chrome.json"), (.csv, "plan/mini.csv"),
  ]) func `the small plan's traces are made again byte for byte`(format: ExportRequest.Format, name: String)
    throws
  {
    let place = FileManager.default.temporaryDirectory.appending(path: "shipped-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: place) }
    var request = ExportRequest()
    request.format = format
    request.estimate.model = "deepseek-v3-mini"
    request.estimate.cluster = "h800-node"
    request.estimate.gpus = 2
    request.estimate.overrides.pipeline = 2
    request.estimate.overrides.schedule = .oneForwardOneBackward
    request.estimate.overrides.globalBatch = 4
    request.estimate.overrides.sequence = 128
    let written = try TraceExport(request).write(to: place + "/made")
    #expect(written.count == (format == .chakra ? 3 : 1))
    for path in written {
      let shipped = folder + "/" + name + path.dropFirst((place + "/made").count)
      let made = try Data(contentsOf: URL(filePath: path))
      #expect(try made == Data(contentsOf: URL(filePath: shipped)), "\(shipped)")
    }
  }

  @Test func `an executed step is drawn with the times it took`() throws {
    let name = "shipped-\(UUID().uuidString).json"
    let place = FileManager.default.temporaryDirectory.appending(path: name).path
    defer { try? FileManager.default.removeItem(atPath: place) }
    var request = ExportRequest()
    request.format = .chrome
    request.files = [folder + "/executed/mini-2.program"]
    _ = try TraceExport(request).write(to: place)
    let events = try Parsed(String(contentsOfFile: place, encoding: .utf8)).traceEvents.list
    let slices = events.filter { $0.ph.text == "X" }
    #expect(slices.count == 1040)
    let end = slices.map { ($0.ts.number ?? 0) + ($0.dur.number ?? 0) }.max() ?? 0
    #expect(end > 440_000 && end < 480_000, "\(end)")
  }
}
