import Documents
import Foundation
import Testing

@testable import Traces

private let feeder = #"""
  {"workload_graph": [
    {"Id": 216, "Name": "a", "NodeType": 4, "ctrlDeps": [3], "data_deps": [], "runtime": 318, "is_cpu_op": true},
    {"Id": 217, "Name": "b", "NodeType": 7, "data_deps": [216], "runtime": 28, "is_cpu_op": false,
     "comm_type": 0, "comm_size": 64, "pg_name": "1", "tensor_size": 3},
    {"Id": 218, "Name": "c", "NodeType": 5, "data_deps": [217], "comm_size": 8, "comm_dst": 1, "comm_tag": 5}
  ], "workload_name": "w", "ngpus": 8, "soc": "s"}
  """#

private let jsonizer = #"""
  {"version": "0.0.4", "attr": [{"name": "schema", "stringVal": "1.0.2"}, {"name": "pid", "uint64Val": "7"}]}
  {"id": "18446744073709551615", "name": "a", "type": "COMP_NODE", "durationMicros": "318",
   "attr": [{"name": "is_cpu_op", "boolVal": false}, {"name": "num_ops", "int64Val": "9"}]}
  {"name": "b", "type": "COMM_COLL_NODE", "dataDeps": ["18446744073709551615"],
   "inputs": {"values": "[]", "shapes": "[]"},
   "attr": [{"name": "comm_type", "int64Val": "0"}, {"name": "comm_size", "int64Val": "64"},
            {"name": "involved_dim", "boolList": {"values": [true]}}]}
  """#

private func read(_ text: String) throws -> Recording {
  var assembly = ChakraAssembly(.chakraJSON)
  try assembly.add(
    readChakraJSONFile(ByteSource(bytes: Array(text.utf8), named: "x.0.json"), rank: 0), isNamed: true)
  return try assembly.finish()
}

@Suite struct `Chakra's JSON forms` {
  @Test func `the feeder's form is read`() throws {
    let recording = try read(feeder)
    let rank = recording.ranks[0]
    #expect(rank.count == 3 && rank.hostEvents == [0])
    #expect(rank.communications.map(\.kind) == [.allReduce, .send])
    #expect(rank.communications[1].peer == 1 && rank.communications[1].tag == 5)
    #expect(rank.duration == [318_000_000, 28_000_000, RankRecording.unknownTime])
    #expect(rank.chakra?.danglingDependencies == 1)
    #expect(rank.properties.map(\.name) == ["workload_name", "ngpus", "soc"])
    #expect(recording.format == .chakraJSON)
  }

  @Test func `objects one behind the other are read, with numbers as text`() throws {
    let recording = try read(jsonizer)
    let rank = recording.ranks[0]
    #expect(rank.count == 2)
    #expect(rank.operations == [9, 0])
    #expect(Array(rank.dependencies(of: 1)) == [0])
    #expect(rank.communications.map(\.inputBytes) == [64])
    #expect(rank.properties.map(\.value) == ["0.0.4", "1.0.2", "7"])
  }

  @Test func `what is none is refused with the place`() {
    for (text, path) in [
      ("", "byte 0"), (#"{"workload_graph": [{"Id": -1}]}"#, "byte 27"),
      (#"{"workload_graph": [{"Id": 1, "runtime": -5}]}"#, "byte 41"),
      (#"{"workload_graph": [{"Id": 1}, {"Id": 1}]}"#, "byte 31"),
      (#"{"workload_graph": [{"Id": 1, "comm_size": 1e30}]}"#, "byte 43"),
    ] {
      #expect(throws: Diagnostic.self) { try read(text) }
      do { _ = try read(text) } catch { #expect((error as? Diagnostic)?.path == path, "\(text): \(error)") }
    }
  }

  @Test func `10,000 mutants are read or refused, and never crash`() {
    expectSurvival(of: [Array(feeder.utf8), Array(jsonizer.utf8)], words: ["COMP_NODE", "workload_graph"]) {
      source in
      var assembly = ChakraAssembly(.chakraJSON)
      try assembly.add(readChakraJSONFile(source, rank: 0), isNamed: true)
      _ = try assembly.finish()
    }
  }

  @Test(.enabled(if: recordedTraces != nil, "the recordings lie beside the project, and are not here"))
  func `the recorded JSON form has the nodes of the recorded trace`() throws {
    let folder = try #require(recordedTraces)
    var source = try ByteSource(path: "\(folder)/chakra/json-variant/json_trace.tar.gz")
    let files = tarFiles(try source.rest())
    #expect(files.map(\.name) == ["jsonData/chakra.0.json", "jsonData/small_chakra.0.json"])
    let protobuf = try readChakra(["\(folder)/chakra/pytorch-2023/chakra.0.et.gz"]).ranks[0]
    let json = try readChakraJSONFile(ByteSource(bytes: files[0].content, named: files[0].name), rank: 0)
      .recording
    #expect(json.chakra?.nodes == protobuf.chakra?.nodes)
    #expect(json.chakra?.byType == protobuf.chakra?.byType)
    let small = try readChakraJSONFile(ByteSource(bytes: files[1].content, named: files[1].name), rank: 0)
      .recording
    #expect(small.count == 7 && small.chakra?.durationMicroseconds == 318 + 28 + 4 + 85 + 79 + 28 + 153)
    #expect(small.chakra?.danglingDependencies == 7)
  }
}

/// The plain files of a tar archive, by name.
private func tarFiles(_ archive: [UInt8]) -> [(name: String, content: [UInt8])] {
  var files: [(name: String, content: [UInt8])] = []
  var place = 0
  while place + 512 <= archive.count, archive[place] != 0 {
    let name = String(decoding: archive[place..<place + 100].prefix { $0 != 0 }, as: UTF8.self)
    let digits = String(decoding: archive[place + 124..<place + 135], as: UTF8.self)
    let size = Int(digits.trimmingCharacters(in: .whitespaces), radix: 8) ?? 0
    if size > 0 { files.append((name, Array(archive[place + 512..<place + 512 + size]))) }
    place += 512 + (size + 511) / 512 * 512
  }
  return files.sorted { $0.name < $1.name }
}
