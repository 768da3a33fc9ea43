import Foundation
import Testing

@testable import Traces

/// One entry of the recordings' list of what a reader must find.
private struct Expected: Decodable {
  var path: String
  var version: String
  var nodes: Int
  var types: [String: Int]
  var coll: [String: [Int64]]
  var dataDeps: Int
  var ctrlDeps: Int
  var dangling: Int
  var durationMicros: Int64

  enum CodingKeys: String, CodingKey {
    case path, version, nodes, types, coll, dangling
    case dataDeps = "data_deps"
    case ctrlDeps = "ctrl_deps"
    case durationMicros = "duration_micros"
  }
}

private struct ExpectedFile: Decodable {
  var traces: [String: Expected]

  enum CodingKeys: String, CodingKey { case traces = "chakra_et" }
}

@Suite struct `Recorded Chakra traces` {
  @Test(.enabled(if: recordedTraces != nil, "the recordings lie beside the project, and are not here"))
  func `hold what the list of figures says`() throws {
    let folder = try #require(recordedTraces)
    let data = try Data(contentsOf: URL(filePath: "\(folder)/expected.json"))
    let expected = try JSONDecoder().decode(ExpectedFile.self, from: data).traces
    #expect(expected.count >= 21)
    for name in expected.keys.sorted() {
      let entry = try #require(expected[name])
      let recording = try readChakra(["\(folder)/\(entry.path)"])
      let summary = try #require(recording.ranks.first?.chakra)
      #expect(summary.version == entry.version, "\(name)")
      #expect(summary.nodes == entry.nodes, "\(name)")
      #expect(
        Dictionary(uniqueKeysWithValues: summary.byType.map { ($0.type, $0.count) }) == entry.types, "\(name)"
      )
      let collectives = summary.collectives.map { ($0.kind, [Int64($0.count), $0.bytes]) }
      #expect(Dictionary(uniqueKeysWithValues: collectives) == entry.coll, "\(name)")
      #expect(summary.dataDependencies == entry.dataDeps, "\(name)")
      #expect(summary.controlDependencies == entry.ctrlDeps, "\(name)")
      #expect(summary.danglingDependencies == entry.dangling, "\(name)")
      #expect(summary.durationMicroseconds == entry.durationMicros, "\(name)")
    }
  }

  @Test(.enabled(if: recordedTraces != nil, "the recordings lie beside the project, and are not here"))
  func `messages of the ring of 8 ranks have their peers`() throws {
    let folder = try #require(recordedTraces)
    let prefix =
      "\(folder)/chakra/micro/system/custom_collectives/custom_ring_allreduce_8npus_1MB/custom_allreduce"
    let recording = try readChakra((0..<8).map { "\(prefix).\($0).et" })
    #expect(recording.worldSize == 8)
    for rank in recording.ranks {
      let sends = rank.communications.filter { $0.kind == .send }
      let receives = rank.communications.filter { $0.kind == .receive }
      #expect(sends.allSatisfy { $0.peer == Int32((rank.rank + 1) % 8) && $0.inputBytes == 131_072 })
      #expect(receives.allSatisfy { $0.peer == Int32((rank.rank + 7) % 8) && $0.outputBytes == 131_072 })
      #expect(sends.count == 14 && receives.count == 14)
    }
  }
}
