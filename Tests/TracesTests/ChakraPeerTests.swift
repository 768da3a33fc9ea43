import Foundation
import Programs
import TestSupport
import Testing

@testable import Traces

/// What `Tests/bench/chakra_peer.py` prints of a file.
private struct PeerSummary: Decodable {
  var version: String
  var nodes: Int
  var types: [String: Int]
  var collectives: [String: [Int64]]
  var dataDeps: Int
  var durationMicros: Int64
  var operations: Int64
  var messages: [[Int64?]]
  var groups: [String]
  var splits: Int64
  var host: Int
  var dangling: Int

  enum CodingKeys: String, CodingKey {
    case version, nodes, types, collectives, operations, messages, groups, splits, host, dangling
    case dataDeps = "data_deps"
    case durationMicros = "duration_micros"
  }
}

private let hasPeer = (try? runPeer("chakra_peer.py", []).code == 0) ?? false

@Suite struct `Protobuf's own Python` {
  @Test(.enabled(if: hasPeer, "python3 with protobuf is not here"))
  func `parses every file that is written, and finds what was written`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "chakra-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for program in try loweredPrograms() + [everyKind()] {
      let verified = try VerifiedProgram(program)
      let writer = ChakraWriter(verified, timeline: inventedTimeline(verified))
      let paths = try writer.write(prefix: folder.appending(path: "x").path).filter { $0.hasSuffix(".et") }
      let (lines, errors, code) = try runPeer("chakra_peer.py", paths)
      #expect(code == 0, "\(errors)")
      try #require(lines.count == program.ranks)
      let recording = try readChakra(paths)
      for (rank, line) in lines.enumerated() {
        let seen = try JSONDecoder().decode(PeerSummary.self, from: Data(line.utf8))
        let own = recording.ranks[rank]
        let summary = try #require(own.chakra)
        #expect(seen.version == ChakraWriter.version && seen.host == 0 && seen.dangling == 0)
        #expect(seen.nodes == program.codes[Int(program.codeOfRank[rank])].count)
        #expect(seen.types == Dictionary(uniqueKeysWithValues: summary.byType.map { ($0.type, $0.count) }))
        let collectives = summary.collectives.map { ($0.kind, [Int64($0.count), $0.bytes]) }
        #expect(seen.collectives == Dictionary(uniqueKeysWithValues: collectives))
        #expect(seen.dataDeps == summary.dataDependencies)
        #expect(seen.durationMicros == summary.durationMicroseconds)
        #expect(seen.operations == own.operations.reduce(0) { $0 + Int64($1) })
        #expect(seen.splits == own.communications.reduce(0) { $0 + ($1.inputSplits?.reduce(0, +) ?? 0) })
        let messages = own.communications.filter { $0.kind == .send || $0.kind == .receive }
        #expect(seen.messages.count == messages.count)
        for (triple, message) in zip(seen.messages, messages) {
          let other = message.kind == .send ? triple[1] : triple[0]
          #expect(other == message.peer.map { Int64($0) } && triple[2] == message.tag.map { Int64($0) })
          #expect(triple[3] == message.inputBytes ?? message.outputBytes)
        }
        let groups = own.communications.filter { $0.group >= 0 }.map { recording.groups[Int($0.group)].name }
        #expect(seen.groups.sorted() == groups.sorted())
      }
    }
  }
}
