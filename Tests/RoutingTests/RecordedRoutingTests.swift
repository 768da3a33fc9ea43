import Documents
import Foundation
import Models
import Testing

@testable import Routing

/// The folder of recorded routing: `REHEARSAL_ROUTING`, or what lies beside the project; nil where there is none.
private let recordings: String? = {
  let place =
    ProcessInfo.processInfo.environment["REHEARSAL_ROUTING"]
    ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../shared/routing")
    .standardized.path
  return FileManager.default.fileExists(atPath: place) ? place : nil
}()

private func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(component: "routing-\(UUID().uuidString)")
    .path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

/// The error that a recording of this content gives, as problem and place.
private func refusal(_ name: String, _ content: Data) throws -> (problem: String, place: String?)? {
  try withFolder { folder in
    let path = "\(folder)/\(name)"
    try content.write(to: URL(filePath: path))
    do {
      _ = try RecordedRouting(at: name.hasSuffix(".csv") ? path : folder, experts: 4, topK: 2)
      return nil
    } catch let error as Diagnostic {
      #expect(error.file?.hasPrefix(folder) == true && error.status == .data)
      return (error.problem, error.path)
    }
  }
}

/// `0\t1\t\t0.5\t0.5\n` twice over, as gzip packs it.
private let packed = Data([
  0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x33, 0xe0, 0x34, 0xe4, 0xe4, 0x34, 0xd0, 0x33,
  0x05, 0x61, 0x2e, 0x03, 0x64, 0x0e, 0x00, 0x52, 0xcd, 0x9b, 0xd9, 0x1a, 0x00, 0x00, 0x00,
])

@Suite struct RecordedRoutingTests {
  @Test func `a table of counts is read`() throws {
    try withFolder { folder in
      let path = "\(folder)/a.csv"
      try Data("layer,expert,count\r\n2,0,5\r\n2,1,7\n0,1,1\n0,0,3\n".utf8).write(to: URL(filePath: path))
      let recorded = try RecordedRouting(at: path)
      #expect(recorded.experts == 2)
      #expect(recorded.layers.map(\.number) == [0, 2])
      #expect(recorded.layers.map(\.counts) == [[3, 1], [5, 7]])
      #expect(recorded.popularity == .recorded([[3, 1], [5, 7]]))
    }
  }

  @Test func `a folder of choices is read, packed or not`() throws {
    try withFolder { folder in
      try Data("3\t1\t0\t1\t\t0.5\t0.5\t1\t2e-3\n\n2\t3\t\t1\t1\n".utf8)
        .write(to: URL(filePath: "\(folder)/expert_weights_10.txt"))
      try packed.write(to: URL(filePath: "\(folder)/expert_weights_2.txt.gz"))
      try Data("other".utf8).write(to: URL(filePath: "\(folder)/README"))
      let recorded = try RecordedRouting(at: folder, experts: 4, topK: 2)
      #expect(recorded.layers.map(\.number) == [2, 10])
      #expect(recorded.layers[1].choices == [3, 1, 0, 1, 2, 3])
      #expect(recorded.layers[1].counts == [1, 2, 1, 2])
      #expect(recorded.layers[0].choices == [0, 1, 0, 1])
    }
  }

  @Test(
    arguments: [
      ("a.csv", "layer,expert\n", "the table has another header", "line 1"),
      ("a.csv", "layer,expert,count\n0,0,x\n", "the line is not a count", "line 2"),
      ("a.csv", "layer,expert,count\n0,0,1,2\n", "the line is not a count", "line 2"),
      ("a.csv", "layer,expert,count\n0,0,-1\n", "the line is not a count", "line 2"),
      ("a.csv", "layer,expert,count\n0,0,1\n0,0,1\n", "an expert is counted twice", "line 3"),
      (
        "a.csv", "layer,expert,count\n7,0,1\n7,1,1\n7,2,1\n7,4,1\n", "a layer does not count every expert",
        "layer 7"
      ),
      ("expert_weights_1.txt", "", "the file is empty", nil),
      ("expert_weights_1.txt", "0\t1\t2\t\t1\t1\t1\n", "the line does not hold whole tokens", "line 1"),
      ("expert_weights_1.txt", "0\t1\t\t1\n", "the line does not hold whole tokens", "line 1"),
      ("expert_weights_1.txt", "0\t1\n", "the line does not hold whole tokens", "line 1"),
      (
        "expert_weights_1.txt", "0\t1\t\t1\t1\n0\t4\t\t1\t1\n", "an expert is not one of the model's",
        "line 2"
      ),
      ("expert_weights_1.txt", "0\t0\t\t1\t1\n", "a token chooses an expert twice", "line 1"),
      ("expert_weights_1.txt", "0\t1\t\t1\tx\n", "a weight is not a number", "line 1"),
      ("expert_weights_1.txt", "0\t1\t\t1\tinf\n", "a weight is not a number", "line 1"),
      (
        "expert_weights_99999999999999999999.txt", "0\t1\t\t1\t1\n", "the file's name has no layer number",
        "expert_weights_99999999999999999999.txt"
      ),
      ("notes.txt", "0\t1\t\t1\t1\n", "the folder holds no recorded choices", nil),
    ] as [(String, String, String, String?)])
  func `a wrong recording is refused with its place`(
    name: String, content: String, problem: String, place: String?
  ) throws {
    let error = try refusal(name, Data(content.utf8))
    #expect(error?.problem == problem && error?.place == place)
  }

  @Test func `a damaged packed file is refused`() throws {
    for length in 2..<packed.count {
      #expect(
        try refusal("expert_weights_1.txt.gz", packed.prefix(length))?.problem
          == "the file is not a whole gzip file")
    }
    var accepted = 0
    for position in 10..<packed.count {
      for bit in 0..<8 as Range<UInt8> {
        var damaged = packed
        damaged[position] ^= 1 << bit
        if try refusal("expert_weights_1.txt.gz", damaged) == nil { accepted += 1 }
      }
    }
    // The last byte before the checksum has bits that mean nothing.
    #expect(accepted < 8)
  }

  @Test func `what is missing is unavailable`() {
    #expect { try RecordedRouting(at: "/nowhere/routing") } throws: {
      ($0 as? Diagnostic)?.status == .unavailableFile
    }
    #expect { try RecordedRouting(at: "/tmp") } throws: { ($0 as? Diagnostic)?.status == .usage }
  }

  @Test(.enabled(if: recordings != nil, "no recorded routing: set REHEARSAL_ROUTING to its folder"))
  func `counts of OLMoE are read and drawn again`() throws {
    let recorded = try RecordedRouting(at: #require(recordings) + "/olmoe/olmoe_c4_expert_counts.csv")
    #expect(recorded.experts == 64 && !recorded.layers.isEmpty)
    for layer in recorded.layers { #expect(layer.counts.reduce(0, +) % 8 == 0) }
    let mixture = Mixture(routedExperts: 64, topK: 8, expertIntermediate: 1)
    let draw = RoutingDraw(mixture: mixture, layers: [0], popularity: recorded.popularity, seed: 1)
    let choices = draw.choices(layer: 0, batch: 0, source: 0, tokens: 4000)
    let counts = recorded.layers[0].counts
    let total = Double(counts.reduce(0, +))
    for (expert, count) in counts.enumerated() {
      let found = Double(choices.count { Int($0) == expert }) / Double(choices.count)
      #expect(abs(found - Double(count) / total) < 0.1 * Double(count) / total + 0.001)
    }
  }

  @Test(
    .enabled(if: recordings != nil, "no recorded routing: set REHEARSAL_ROUTING to its folder"),
    arguments: ["intent", "law"])
  func `choices of DeepSeek-V2-Lite are read`(task: String) throws {
    // One layer of the many, so that the test stays quick.
    try withFolder { folder in
      let name = "expert_weights_1.txt.gz"
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/\(name)", withDestinationPath: #require(recordings) + "/esft/\(task)/\(name)")
      let recorded = try RecordedRouting(at: folder, experts: 64, topK: 6)
      #expect(recorded.layers.map(\.number) == [1])
      #expect(recorded.layers[0].choices.count == recorded.layers[0].counts.reduce(0, +))
      // The recording took eight thousand tokens and the rest of a sequence.
      #expect(recorded.layers[0].choices.count / 6 >= 8192)
      let mean = Double(recorded.layers[0].choices.count) / 64
      #expect(Double(recorded.layers[0].counts.max() ?? 0) > 1.5 * mean, "real routing is uneven")
    }
  }
}
