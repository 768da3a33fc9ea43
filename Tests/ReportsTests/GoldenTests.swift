import Foundation
import Testing

@testable import Reports

/// The file of a golden text beside this source; `REHEARSAL_REGENERATE=1` writes it anew instead of comparing.
private func expectGolden(_ text: String, _ name: String) throws {
  let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name)")
  if ProcessInfo.processInfo.environment["REHEARSAL_REGENERATE"] == "1" {
    try text.write(to: file, atomically: true, encoding: .utf8)
  }
  let golden = try String(contentsOf: file, encoding: .utf8)
  let found = text.split(separator: "\n", omittingEmptySubsequences: false)
  let expected = golden.split(separator: "\n", omittingEmptySubsequences: false)
  let same = zip(found, expected).prefix { $0 == $1 }.count
  #expect(
    text == golden, "\(name) differs from line \(same + 1): \(same < found.count ? found[same] : "its end")")
}

@Suite struct GoldenTests {
  @Test func `the terminal's report is the one that was looked at`() throws {
    try expectGolden(table(sampleEstimate()), "estimate.txt")
  }

  @Test func `an estimate that does not fit says by how much and on which rank`() throws {
    var estimate = sampleEstimate(pipeline: 3, capacity: 60 << 30)
    estimate.cost = nil
    estimate.comparisons = []
    estimate.assumptions = []
    try expectGolden(table(estimate), "does-not-fit.txt")
  }

  @Test func `the JSON is the one that was looked at`() throws {
    try expectGolden(json(sampleEstimate()), "estimate.json")
  }

  @Test func `the CSV is the one that was looked at`() throws {
    try expectGolden(csv(sampleEstimate()), "estimate.csv")
  }

  @Test func `the page is the one that was looked at`() throws {
    try expectGolden(html(sampleEstimate()), "estimate.html")
  }
}
