import Documents
import Foundation
import Testing

@testable import Traces

/// A small trace with every sort of node, by our own writer of the wire form.
struct ChakraSample {
  var file = WireWriter()

  init(_ attributes: [WireWriter] = [], version: String = "0.0.4") {
    var metadata = WireWriter()
    metadata.add(1, text: version)
    for attribute in attributes { metadata.add(2, bytes: attribute.bytes) }
    file.addMessage(metadata)
  }

  mutating func node(
    _ id: UInt64, _ type: Int, name: String = "node", after: [UInt64] = [], control: [UInt64] = [],
    start: UInt64? = nil, micros: UInt64? = nil, _ attributes: WireWriter...
  ) {
    var message = WireWriter()
    message.add(1, number: id)
    message.add(2, text: name)
    message.add(3, number: UInt64(type))
    for id in control { message.add(4, number: id) }
    if !after.isEmpty { message.add(5, packed: after) }
    if let start { message.add(6, number: start) }
    if let micros { message.add(7, number: micros) }
    for attribute in attributes { message.add(10, bytes: attribute.bytes) }
    file.addMessage(message)
  }

  func read(rank: Int = 0, groups: String? = nil) throws -> Recording {
    var assembly = ChakraAssembly(.chakra)
    if let groups {
      try assembly.groups.readFile(ByteSource(bytes: Array(groups.utf8), named: "groups.json"))
    }
    try assembly.add(
      readChakraFile(ByteSource(bytes: file.bytes, named: "x.\(rank).et"), rank: rank), isNamed: true)
    return try assembly.finish()
  }
}

func chakraRefusal(_ bytes: [UInt8]) -> Diagnostic? {
  do {
    _ = try readChakraFile(ByteSource(bytes: bytes, named: "x.0.et"), rank: 0)
    return nil
  } catch {
    return error as? Diagnostic
  }
}

@Suite struct `Chakra traces` {
  @Test func `an explicit zero is all-reduce, an absent kind is unknown`() throws {
    var sample = ChakraSample()
    sample.node(5, 7, .attribute("comm_type", int64: 0), .attribute("comm_size", int64: 100))
    sample.node(6, 7, .attribute("comm_size", int64: 10))
    sample.node(7, 7, name: "c10d::allreduce_", .attribute("is_cpu_op", bool: true))
    let recording = try sample.read()
    let rank = try #require(recording.ranks.first)
    #expect(rank.communications.map(\.kind) == [.allReduce, .unknown])
    #expect(rank.communications.map(\.inputBytes) == [100, 10])
    #expect(rank.kind == [.communication, .communication, .compute])
    #expect(rank.hostEvents == [2])
    #expect(rank.duration.allSatisfy { $0 == RankRecording.unknownTime })
    let summary = try #require(rank.chakra)
    #expect(
      summary.collectives.map { "\($0.kind) \($0.count) \($0.bytes)" } == [
        "ALL_REDUCE 1 100", "missing 2 10",
      ])
  }

  @Test func `numbers may be written in any type`() throws {
    var sample = ChakraSample()
    func typed(_ field: Int, _ name: String, _ add: (inout WireWriter) -> Void) -> WireWriter {
      var message = WireWriter()
      message.add(1, text: name)
      add(&message)
      return message
    }
    // 77 as int32, int64, uint32, uint64, sint32, sint64 and as text; 8 fixed bytes and a double by hand.
    for (id, field) in [7, 9, 11, 13].enumerated() {
      sample.node(UInt64(id), 7, typed(field, "comm_size") { $0.add(field, number: 77) })
    }
    for (id, field) in [15, 17].enumerated() {
      sample.node(UInt64(10 + id), 7, typed(field, "comm_size") { $0.add(field, number: 154) })
    }
    sample.node(20, 7, typed(29, "comm_size") { $0.add(29, text: "77") })
    let recording = try sample.read()
    #expect(recording.ranks[0].communications.map(\.inputBytes) == Array(repeating: 77, count: 7))
    for (bytes, field) in [
      ([UInt8(77), 0, 0, 0, 0, 0, 0, 0], 21), ([77, 0, 0, 0, 0, 0, 0, 0], 25), ([77, 0, 0, 0], 19),
      ([77, 0, 0, 0], 23),
      ([0, 0, 0, 0, 0, 0x40, 0x53, 0x40], 3), ([0, 0, 0x9a, 0x42], 5),
    ] {
      let tag = UInt8((field << 3 | (bytes.count == 8 ? 1 : 5)) & 0x7f) | (field > 15 ? 0x80 : 0)
      let message = [0x0a, 1, 0x78, tag] + (field > 15 ? [UInt8(field >> 4)] : []) + bytes
      let value = try message.withUnsafeBufferPointer { try ChakraAttribute($0).integer }
      #expect(value == 77, "field \(field)")
    }
  }

  @Test func `names of groups are read as ASTRA-sim reads them`() throws {
    var sample = ChakraSample()
    for (id, name) in ["", "0", "3.0", "3", " 3x", "9"].enumerated() {
      sample.node(
        UInt64(id), 7, .attribute("comm_type", int64: 2), .attribute("comm_size", int64: 8),
        .attribute("pg_name", text: name))
    }
    sample.node(90, 7, .attribute("comm_type", int64: 2), .attribute("comm_size", int64: 8))
    let recording = try sample.read(groups: #"{"0": [0, 1], "3": [0, 2, 4]}"#)
    let names = recording.ranks[0].communications.map { recording.groups[Int($0.group)].name }
    #expect(names == ["0", "0", "3", "3", "3", "9", "0"])
    #expect(recording.groups.first { $0.name == "3" }?.ranks == [0, 2, 4])
    #expect(recording.groups.first { $0.name == "0" }?.ranks == nil)
    #expect(recording.ranks[0].communications[2].outputBytes == 24)
    #expect(recording.notes.contains { $0.contains("group 0 is all ranks") })
    #expect(recording.notes.contains { $0.contains("group 9 is not defined") })
  }

  @Test func `groups that processes told at their start go first`() throws {
    var sample = ChakraSample()
    var message = WireWriter()
    message.add(1, number: 1)
    message.add(2, text: "## process_group:init ##")
    message.add(3, number: 1)
    var inputs = WireWriter()
    inputs.add(
      1,
      text:
        #"['[{"pg_name": "0", "pg_desc": "default_pg", "ranks": [], "group_size": 4}, "#
        + #"{"pg_name": "2", "pg_desc": "ep", "ranks": [1, 3], "group_size": 2}]']"#
    )
    message.add(8, bytes: inputs.bytes)
    sample.file.addMessage(message)
    sample.node(2, 7, .attribute("comm_type", int64: 0), .attribute("pg_name", text: "2"))
    sample.node(3, 7, .attribute("comm_type", int64: 0), .attribute("pg_name", text: "0"))
    let recording = try sample.read(rank: 1, groups: #"{"2": [0, 1]}"#)
    #expect(recording.worldSize == 4)
    #expect(recording.groups.map(\.ranks) == [[1, 3], [0, 1, 2, 3]])
    #expect(recording.groups[0].description == "ep")
    #expect(recording.omissions == [Omission(rank: 1, reason: "node of type METADATA", count: 1)])
  }

  @Test func `what nodes wait for is followed where it can be`() throws {
    var sample = ChakraSample()
    sample.node(10, 4, after: [10, 12, 999])
    sample.node(11, 4, after: [10])
    sample.node(12, 4, after: [11], control: [10, 777])
    sample.node(13, 4, after: [12, 14])
    sample.node(14, 4)
    let recording = try sample.read()
    let rank = recording.ranks[0]
    let summary = try #require(rank.chakra)
    #expect(summary.dataDependencies == 7)
    #expect(summary.controlDependencies == 2)
    #expect(summary.danglingDependencies == 2)
    #expect(summary.cyclicDependencies == 2)
    #expect((0..<5).map { Array(rank.dependencies(of: $0)) } == [[], [0], [1, 0], [2, 4], []])
  }

  @Test func `parents of calls are counted and not waited for`() throws {
    var sample = ChakraSample([.attribute("schema", text: "1.0.2-chakra.0.0.4")])
    sample.node(1, 4, control: [1])
    sample.node(2, 4, after: [1], control: [1])
    let rank = try sample.read().ranks[0]
    #expect((0..<2).map { Array(rank.dependencies(of: $0)) } == [[], [0]])
    #expect(rank.chakra?.controlDependencies == 2)
    #expect(
      rank.properties.map { "\($0.name) \($0.value)" } == ["version 0.0.4", "schema 1.0.2-chakra.0.0.4"])
  }

  @Test func `times order the events, and unknown types of nodes are listed`() throws {
    var sample = ChakraSample()
    sample.node(1, 4, name: "late", start: 1_700_000_000_000_300, micros: 7)
    sample.node(
      2, 5, name: "early", after: [1], start: 1_700_000_000_000_100, micros: 5,
      .attribute("comm_dst", int32: 3))
    sample.node(3, 9, name: "batch")
    let recording = try sample.read()
    let rank = recording.ranks[0]
    #expect(rank.name.map { rank.names[Int($0)] } == ["early", "late"])
    #expect(rank.start == [0, 200_000_000])
    #expect(rank.duration == [5_000_000, 7_000_000])
    #expect(Array(rank.dependencies(of: 0)) == [1])
    #expect(rank.communications[0].peer == 3)
    #expect(recording.omissions == [Omission(rank: 0, reason: "node of type TYPE_9", count: 1)])
  }

  @Test func `fields and attributes that nobody knows are passed`() throws {
    var sample = ChakraSample()
    var message = WireWriter()
    message.add(1, number: 3)
    message.add(3, number: 4)
    message.add(11, text: "storage")
    message.add(77, number: 5)
    message.add(10, bytes: WireWriter.attribute("colour", text: "blue").bytes)
    sample.file.addMessage(message)
    #expect(try sample.read().ranks[0].count == 1)
  }

  @Test func `ranks come from the names of files`() {
    #expect(chakraRank(ofPath: "a/b.7.x/bert.12.et") == 12)
    #expect(chakraRank(ofPath: "chakra.0.et.gz") == 0)
    #expect(chakraRank(ofPath: "7/trace.et") == nil)
  }
}

@Suite struct `Broken Chakra traces` {
  @Test func `each is refused with the place`() {
    func refusal(_ bytes: [UInt8]) -> String {
      chakraRefusal(bytes).map { "\($0.path ?? "-"): \($0.problem)" } ?? "-"
    }
    #expect(refusal([]) == "byte 0: the file is empty")
    #expect(refusal([0xff, 0xff, 0xff, 0xff, 0xff, 0x01]) == "byte 0: the length of a message does not end")
    #expect(refusal([0x80]) == "byte 0: the trace is cut off")
    #expect(refusal([0xff, 0xff, 0xff, 0x7f, 0]) == "byte 4: a message of the trace is too long")
    #expect(refusal([0x00, 0x05, 0x08, 0x01]) == "byte 2: the trace is cut off")
    #expect(refusal([0x02, 0x08, 0x01]) == "byte 1: the first message does not describe the file")
    #expect(refusal([0x00, 0x03, 0x08, 0xff, 0xff]) == "byte 3: a field goes beyond the end of its message")
    #expect(
      refusal([0x00, 0x0d, 0x08] + Array(repeating: 0xff, count: 12))
        == "byte 3: a number does not end within ten bytes")
    #expect(refusal([0x00, 0x01, 0x0b]) == "byte 3: a field has a wire type that no longer exists")
    #expect(refusal([0x00, 0x02, 0x00, 0x00]) == "byte 2: a field has the number 0")
    #expect(refusal([0x00, 0x02, 0x12, 0x7f]) == "byte 3: a field goes beyond the end of its message")
  }

  @Test func `ids that stand twice and sizes below zero are refused`() {
    var sample = ChakraSample()
    sample.node(1, 4)
    let place = sample.file.bytes.count + 1
    sample.node(1, 4)
    #expect(chakraRefusal(sample.file.bytes)?.path == "byte \(place)")
    #expect(chakraRefusal(sample.file.bytes)?.problem == "two nodes have the same id")
    var scattered = ChakraSample()
    for id in [UInt64(1), UInt64(1) << 60, 1] { scattered.node(id, 4) }
    #expect(chakraRefusal(scattered.file.bytes)?.problem == "two nodes have the same id")
    var negative = ChakraSample()
    negative.node(1, 7, .attribute("comm_size", int64: -1))
    #expect(chakraRefusal(negative.file.bytes)?.problem == "a node's comm_size is negative")
    var long = ChakraSample()
    long.node(1, 4, micros: .max)
    #expect(chakraRefusal(long.file.bytes)?.problem == "a node lasts too long")
  }

  private var rich: [UInt8] {
    var sample = ChakraSample([.attribute("schema", text: "1"), .attribute("pid", uint64: 7)])
    sample.node(1, 4, name: "gemm", start: 5, micros: 9, .attribute("num_ops", int64: 1 << 40))
    sample.node(
      2, 7, name: "reduce", after: [1], control: [1], start: 20, micros: 4,
      .attribute("is_cpu_op", bool: false),
      .attribute("comm_type", int64: 0), .attribute("comm_size", int64: 4096),
      .attribute("pg_name", text: "1"))
    sample.node(
      3, 5, after: [1, 2], .attribute("comm_dst", int32: 1), .attribute("comm_tag", int32: -1),
      .attribute("comm_size", uint64: 64), .attribute("rehearsal_input_splits", int64s: [1, 2, 3]))
    return sample.file.bytes
  }

  @Test func `a file cut off within a message is refused, between two it is a shorter file`() throws {
    let whole = rich
    var boundaries: [Int] = []
    var place = 0
    while place < whole.count {
      place += 1 + Int(whole[place])
      boundaries.append(place)
    }
    for count in 1..<whole.count {
      let refusal = chakraRefusal(Array(whole[..<count]))
      #expect((refusal == nil) == boundaries.contains(count), "\(count) bytes")
      if let refusal { #expect(refusal.status == .data && refusal.path != nil) }
    }
  }

  @Test func `10,000 mutants are read or refused, and never crash`() {
    expectSurvival(of: [rich], words: ["comm_size", "\u{8}", "\u{10}"]) { source in
      var assembly = ChakraAssembly(.chakra)
      try assembly.add(readChakraFile(source, rank: 0), isNamed: true)
      _ = try assembly.finish()
    }
  }
}
