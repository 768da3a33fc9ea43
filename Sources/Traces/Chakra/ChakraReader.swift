import Documents

/// What one `.et` file holds: the events of a rank, and what is said beside them.
struct ChakraFile {
  var builder: ChakraBuilder
  var recording: RankRecording
  /// What this project's writer says of the program, by the attribute's name; empty for other files.
  var own: [String: String] = [:]
  var ownRank: Int64?
  var ownRanks: Int64?
}

/// Reads one rank's trace: a stream of lengths and messages, the first of which describes the file.
///
/// Messages are decoded where they lie in the window and then forgotten; kept are columns of what is wanted.
/// - Throws: A ``Diagnostic`` with the byte where the file stops being a trace.
func readChakraFile(_ source: consuming ByteSource, rank: Int) throws -> ChakraFile {
  var reader = ChakraReader(ByteSourceBox(source), rank: rank)
  return try reader.read()
}

/// Holds the window for the reader's methods.
private final class ByteSourceBox {
  var source: ByteSource

  init(_ source: consuming ByteSource) { self.source = source }
}

private struct ChakraReader {
  private let box: ByteSourceBox
  private var builder: ChakraBuilder
  private var own: [String: String] = [:]
  private var ownRank: Int64?
  private var ownRanks: Int64?
  /// Groups that the file's own processes told at their start.
  private let groupsName: StaticString = "## process_group:init ##"

  init(_ box: ByteSourceBox, rank: Int) {
    self.box = box
    builder = ChakraBuilder(file: box.source.file, isPacked: box.source.isPacked, rank: rank)
  }

  mutating func read() throws -> ChakraFile {
    var isFirst = true
    while let length = try messageLength() {
      let offset = box.source.offset
      guard length <= box.source.limits.valueBytes else {
        throw builder.error(
          "a message of the trace is too long", at: offset, found: "\(length) bytes",
          allowed: "at most \(box.source.limits.valueBytes) bytes")
      }
      guard let message = try box.source.bytes(length) else {
        throw builder.error(
          "the trace is cut off", at: box.source.offset, found: "the end of the file",
          allowed: "a message of \(length) bytes from byte \(offset) on", hint: "the file may be incomplete")
      }
      do {
        if isFirst {
          try readMetadata(message, at: offset)
        } else {
          try readNode(message, at: offset)
        }
      } catch let fault as WireFault {
        let start = UInt(bitPattern: message.baseAddress)
        throw builder.error(
          fault.problem.sentence, at: offset + Int(clamping: fault.address &- start),
          found: "in the message of \(length) bytes at byte \(offset)",
          allowed: isFirst ? "a GlobalMetadata message of Chakra" : "a Node message of Chakra")
      }
      isFirst = false
    }
    guard !isFirst else {
      throw builder.error(
        "the file is empty", at: 0, found: "the end of the file", allowed: "a Chakra trace's GlobalMetadata")
    }
    if let ownRank, let rank = Int(exactly: ownRank), (0...Int(Int32.max)).contains(rank) {
      builder.setRank(rank)
    }
    let recording = try builder.finish()
    return ChakraFile(
      builder: builder, recording: recording, own: own, ownRank: ownRank, ownRanks: ownRanks)
  }

  /// The number before a message; nil at the end of the file.
  private mutating func messageLength() throws -> Int? {
    let start = box.source.offset
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 35, by: 7) {
      guard let byte = try box.source.byte() else {
        if shift == 0 { return nil }
        throw builder.error(
          "the trace is cut off", at: start, found: "the end of the file", allowed: "the length of a message")
      }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return Int(value) }
    }
    throw builder.error(
      "the length of a message does not end", at: start, allowed: "a number of at most five bytes",
      hint: "is this a Chakra trace? A length stands before each message")
  }

  // MARK: The file

  private mutating func readMetadata(_ message: UnsafeBufferPointer<UInt8>, at offset: Int) throws {
    var cursor = WireCursor(message)
    while let (number, type) = try cursor.field() {
      switch (number, type) {
      case (1, WireCursor.WireType.bytes):
        let version = String(decoding: try cursor.bytes(), as: UTF8.self)
        builder.setVersion(version)
        if !version.isEmpty { builder.addProperty("version", version) }
      case (1, _):
        throw builder.error(
          "the first message does not describe the file", at: offset, found: "a number in field 1",
          allowed: "a GlobalMetadata message of Chakra")
      case (2, WireCursor.WireType.bytes): try readProperty(ChakraAttribute(cursor.bytes()))
      default: try cursor.skip(type)
      }
    }
  }

  private mutating func readProperty(_ attribute: ChakraAttribute) throws(WireFault) {
    let name = String(decoding: attribute.name, as: UTF8.self)
    guard attribute.name.begins(with: ChakraOwnAttributes.Name.prefix) else {
      if attribute.isNamed("schema") { builder.controlIsCallTree = true }
      if let value = attribute.description { builder.addProperty(name, value) }
      return
    }
    switch name {
    case ChakraOwnAttributes.Name.rank: ownRank = attribute.integer
    case ChakraOwnAttributes.Name.ranks: ownRanks = attribute.integer
    default: own[name] = attribute.description ?? ""
    }
  }

  // MARK: Nodes

  private mutating func readNode(_ message: UnsafeBufferPointer<UInt8>, at offset: Int) throws {
    var cursor = WireCursor(message)
    var node = ChakraNode()
    var inputs = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    var name = inputs
    while let (number, type) = try cursor.field() {
      switch (number, type) {
      case (1, WireCursor.WireType.varint): node.id = try cursor.varint()
      case (2, WireCursor.WireType.bytes): name = try cursor.bytes()
      case (3, WireCursor.WireType.varint): node.type = Int(Int32(truncatingIfNeeded: try cursor.varint()))
      case (4, WireCursor.WireType.varint): builder.addControlDependency(try cursor.varint())
      case (5, WireCursor.WireType.varint): builder.addDataDependency(try cursor.varint())
      case (4, WireCursor.WireType.bytes):
        var list = WireCursor(try cursor.bytes())
        while !list.isAtEnd { builder.addControlDependency(try list.varint()) }
      case (5, WireCursor.WireType.bytes):
        var list = WireCursor(try cursor.bytes())
        while !list.isAtEnd { builder.addDataDependency(try list.varint()) }
      case (6, WireCursor.WireType.varint): node.startMicroseconds = try cursor.varint()
      case (7, WireCursor.WireType.varint): node.durationMicroseconds = try cursor.varint()
      case (8, WireCursor.WireType.bytes): inputs = try cursor.bytes()
      case (10, WireCursor.WireType.bytes):
        try readAttribute(ChakraAttribute(cursor.bytes()), &node, at: offset)
      default: try cursor.skip(type)
      }
    }
    node.name = builder.name(name)
    if node.type == ChakraSchema.NodeType.metadata, name.holds(groupsName) { try readGroups(inputs) }
    try builder.add(node, at: offset)
  }

  @inline(__always)
  private mutating func readAttribute(
    _ attribute: ChakraAttribute, _ node: inout ChakraNode, at offset: Int
  ) throws {
    guard attribute.field != 0 else { return }
    func number() throws -> Int64 {
      guard let value = attribute.integer else {
        throw builder.error(
          "a node's \(String(decoding: attribute.name, as: UTF8.self)) is no number that can be", at: offset,
          found: attribute.description ?? "a list", allowed: "a whole number below 2^63")
      }
      return value
    }
    switch attribute.name.count {
    case 6 where attribute.isNamed("stream"): node.stream = attribute.integer
    case 7 where attribute.isNamed("num_ops"): node.operations = try number()
    case 7 where attribute.isNamed("pg_name"): node.group = group(attribute)
    case 8 where attribute.isNamed("comm_src"): node.source = try number()
    case 8 where attribute.isNamed("comm_dst"): node.destination = try number()
    case 8 where attribute.isNamed("comm_tag"): node.tag = try number()
    case 9 where attribute.isNamed("is_cpu_op"): node.isHost = try number() != 0
    case 9 where attribute.isNamed("comm_type"): node.collective = try number()
    case 9 where attribute.isNamed("comm_size"): node.bytes = try number()
    case 10...:
      if attribute.name.begins(with: ChakraOwnAttributes.Name.prefix) { try readOwn(attribute, &node) }
    default: break
    }
  }

  private mutating func group(_ attribute: ChakraAttribute) -> Int32 {
    if attribute.field == ChakraAttribute.Field.string { return builder.group(attribute.bytes) }
    let text = Array((attribute.description ?? "").utf8)
    return text.withUnsafeBufferPointer { builder.group($0) }
  }

  private func readOwn(_ attribute: ChakraAttribute, _ node: inout ChakraNode) throws(WireFault) {
    var own = node.own ?? ChakraOwnAttributes()
    switch String(decoding: attribute.name, as: UTF8.self) {
    case ChakraOwnAttributes.Name.statement: own.statement = attribute.text
    case ChakraOwnAttributes.Name.kind: own.kind = attribute.text
    case ChakraOwnAttributes.Name.start: own.startPicoseconds = attribute.integer
    case ChakraOwnAttributes.Name.duration:
      own.durationPicoseconds = attribute.integer.flatMap { $0 < 0 ? nil : $0 }
    case ChakraOwnAttributes.Name.inputSplits: own.inputSplits = try attribute.integers()
    case ChakraOwnAttributes.Name.outputSplits: own.outputSplits = try attribute.integers()
    default: break
    }
    node.own = own
  }

  private mutating func readGroups(_ inputs: UnsafeBufferPointer<UInt8>) throws(WireFault) {
    var cursor = WireCursor(inputs)
    while let (number, type) = try cursor.field() {
      if number == 1, type == WireCursor.WireType.bytes {
        builder.addGroupList(String(decoding: try cursor.bytes(), as: UTF8.self))
      } else {
        try cursor.skip(type)
      }
    }
  }
}
