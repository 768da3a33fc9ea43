import Estimation
import Foundation
import TestSupport
import Testing

private let hasPeer = (try? runPeer("perfetto_peer.py", []).code == 0) ?? false

/// Slices of one lane and their sum.
private struct LaneSum: Hashable {
  var count = 0
  var nanoseconds = 0.0
}

@Suite struct `Perfetto traces, read by protobuf's own Python` {
  @Test(.enabled(if: hasPeer, "python3 with protobuf is not here"))
  func `have the slices that the table of the same step has`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "perfetto-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var request = ExportRequest()
    request.estimate.model = "deepseek-v3-mini"
    request.estimate.cluster = "h800-node"
    request.estimate.gpus = 2
    request.estimate.overrides.pipeline = 2
    request.estimate.overrides.schedule = .oneForwardOneBackward
    request.estimate.overrides.globalBatch = 4
    request.estimate.overrides.sequence = 128
    func write(_ format: ExportRequest.Format) throws -> String {
      request.format = format
      return try #require(
        try TraceExport(request).write(to: folder.appending(path: format.rawValue).path).first)
    }
    let table = try String(contentsOfFile: write(.csv), encoding: .utf8).split(separator: "\n").dropFirst()
    var expected: [String: LaneSum] = [:]
    for row in table {
      let cells = row.split(separator: ",", omittingEmptySubsequences: false)
      let duration = try #require(Double(cells[5]))
      expected["\(cells[0])/\(cells[1])", default: LaneSum()].count += 1
      expected["\(cells[0])/\(cells[1])", default: LaneSum()].nanoseconds += 1000 * duration
    }
    try #require(expected.count > 4)

    let (lines, errors, code) = try runPeer("perfetto_peer.py", [try write(.perfetto)])
    #expect(code == 0, "\(errors)")
    let line = try #require(lines.first)
    let seen = try JSONDecoder().decode([String: [Double]].self, from: Data(line.utf8))
    #expect(Set(seen.keys) == Set(expected.keys))
    for (lane, sum) in expected {
      let other = try #require(seen[lane])
      #expect(Int(other[0]) == sum.count, "\(lane)")
      // Times of the protobuf are cut to whole nanoseconds at either end.
      #expect(abs(other[1] - sum.nanoseconds) <= 2 * Double(sum.count), "\(lane)")
    }
  }
}
