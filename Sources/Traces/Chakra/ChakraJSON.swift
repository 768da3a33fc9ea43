import Documents

/// Reads a Chakra trace in one of its JSON forms, one file for each rank, plain or gzip: what ASTRA-sim's feeder takes
/// (`workload_graph`), or what `chakra_jsonizer` prints, which is one object behind the other.
///
/// - Parameters:
///   - paths: Ranks come from the names (`<prefix>.<rank>.json`), or from the order where names have none.
///   - groupFile: ASTRA-sim's comm-group file, where there is one.
/// - Throws: A ``Diagnostic`` with the file and the byte.
public func readChakraJSON(
  _ paths: [String], groupFile: String? = nil, limits: ByteSource.Limits = ByteSource.Limits()
) throws -> Recording {
  var assembly = ChakraAssembly(.chakraJSON)
  if let groupFile { try assembly.groups.readFile(ByteSource(path: groupFile, limits: limits)) }
  for (index, path) in paths.enumerated() {
    let rank = chakraRank(ofPath: path)
    let file = try readChakraJSONFile(ByteSource(path: path, limits: limits), rank: rank ?? index)
    try assembly.add(file, isNamed: rank != nil)
  }
  return try assembly.finish()
}

func readChakraJSONFile(_ source: consuming ByteSource, rank: Int) throws -> ChakraFile {
  let isPacked = source.isPacked
  var json = JSONReader(source)
  var reader = ChakraJSONReader(builder: ChakraBuilder(file: json.file, isPacked: isPacked, rank: rank))
  try reader.read(&json)
  let recording = try reader.builder.finish()
  return ChakraFile(builder: reader.builder, recording: recording)
}

private struct ChakraJSONReader {
  var builder: ChakraBuilder
  private var isFirst = true
  private var isGraph = false

  init(builder: ChakraBuilder) { self.builder = builder }

  mutating func read(_ json: inout JSONReader) throws {
    repeat {
      try readObject(&json)
      isFirst = false
    } while try !json.isAtEnd()
  }

  /// Keys without underscores and in lower case: `data_deps`, `dataDeps` and `DataDeps` are one.
  private static func plain(_ key: borrowing JSONReader) -> String {
    String(
      decoding: key.token.lazy.filter { $0 != UInt8(ascii: "_") }.map { 65...90 ~= $0 ? $0 | 0x20 : $0 },
      as: UTF8.self)
  }

  private mutating func readObject(_ json: inout JSONReader) throws {
    let offset = json.offset
    var node = ChakraNode()
    var isNode = !isFirst
    try json.beginObject()
    while try json.nextKey() {
      let key = Self.plain(json)
      switch key {
      case "workloadgraph":
        isGraph = true
        try json.beginArray()
        while try json.nextElement() { try readNode(&json) }
      case "workloadname", "ngpus", "soc", "version", "schema":
        let name = json.text
        if let value = try text(&json) {
          if key == "version" { builder.setVersion(value) }
          if key == "schema" { builder.controlIsCallTree = true }
          builder.addProperty(name, value)
        }
      case "attr" where !isNode: try readAttributes(&json, into: nil)
      case "id", "name", "type", "nodetype":
        isNode = true
        try readField(key, &json, &node)
      default: try readField(key, &json, &node)
      }
    }
    guard isNode, !isGraph else { return }
    try end(&node, at: offset)
  }

  private mutating func readNode(_ json: inout JSONReader) throws {
    let offset = json.offset
    var node = ChakraNode()
    try json.beginObject()
    while try json.nextKey() { try readField(Self.plain(json), &json, &node) }
    try end(&node, at: offset)
  }

  private mutating func end(_ node: inout ChakraNode, at offset: Int) throws {
    if node.name < 0 { node.name = builder.name(UnsafeBufferPointer(start: nil, count: 0)) }
    try builder.add(node, at: offset)
  }

  // MARK: Fields

  private mutating func readField(_ key: String, _ json: inout JSONReader, _ node: inout ChakraNode) throws {
    switch key {
    case "id": node.id = try identifier(&json)
    case "name":
      try json.string()
      node.name = builder.name(json.token)
    case "type", "nodetype": node.type = try nodeType(&json)
    case "ctrldeps":
      try json.beginArray()
      while try json.nextElement() { builder.addControlDependency(try identifier(&json)) }
    case "datadeps":
      try json.beginArray()
      while try json.nextElement() { builder.addDataDependency(try identifier(&json)) }
    case "runtime", "durationmicros": node.durationMicroseconds = try microseconds(&json)
    case "starttimemicros": node.startMicroseconds = try microseconds(&json)
    case "inputs" where try json.peek() == .object: try readInputs(&json)
    case "attr": try readAttributes(&json, into: &node)
    case "iscpuop", "commtype", "commsize", "commsrc", "commdst", "commtag", "pgname", "numops", "stream":
      try setAttribute(key, &json, &node)
    default: try json.skipValue()
    }
  }

  private mutating func setAttribute(_ key: String, _ json: inout JSONReader, _ node: inout ChakraNode) throws
  {
    switch key {
    case "iscpuop": node.isHost = try json.peek() == .bool ? json.bool() : number(&json) != 0
    case "commtype": node.collective = try collective(&json)
    case "commsize": node.bytes = try number(&json)
    case "commsrc": node.source = try number(&json)
    case "commdst": node.destination = try number(&json)
    case "commtag": node.tag = try number(&json)
    case "numops": node.operations = try number(&json)
    case "stream": node.stream = try number(&json)
    case "pgname":
      let name = Array((try text(&json) ?? "").utf8)
      node.group = name.withUnsafeBufferPointer { builder.group($0) }
    default: try json.skipValue()
    }
  }

  /// Reads `[{"name": "comm_size", "int64Val": "77"}, …]`, of a node or, without one, of the file.
  private mutating func readAttributes(_ json: inout JSONReader, into node: UnsafeMutablePointer<ChakraNode>?)
    throws
  {
    try json.beginArray()
    while try json.nextElement() {
      var (name, key) = ("", "")
      try json.beginObject()
      while try json.nextKey() {
        if json.tokenIs("name") {
          try json.string()
          (name, key) = (json.text, Self.plain(json))
        } else if json.tokenIs("docString") || json.tokenIs("doc_string") {
          try json.skipValue()
        } else if let node {
          // The name stands first, as its field's number is the lowest.
          try setAttribute(key, &json, &node.pointee)
        } else if try json.peek() == .object {
          try json.skipValue()
        } else if let value = try text(&json) {
          if key == "schema" { builder.controlIsCallTree = true }
          builder.addProperty(name, value)
        }
      }
    }
  }

  private mutating func readInputs(_ json: inout JSONReader) throws {
    try json.beginObject()
    while try json.nextKey() {
      guard json.tokenIs("values"), try json.peek() == .string else {
        try json.skipValue()
        continue
      }
      try json.string()
      // Lists of groups are the only values that are wanted; most others are lists of tensors.
      let text = json.text
      if text.contains("pg_name") { builder.addGroupList(text) }
    }
  }

  // MARK: Scalars

  /// A number, or a text that is one, as protobuf's JSON writes 64 bits.
  private func number(_ json: inout JSONReader) throws -> Int64 {
    let kind = try json.peek()
    let place = json.offset
    let value: Int64?
    if kind == .string {
      try json.string()
      value = Int64(json.text)
    } else {
      value = try json.number().integer
    }
    guard let value else {
      throw json.error("this is no number that can be", at: place, allowed: "a whole number below 2^63")
    }
    return value
  }

  private func identifier(_ json: inout JSONReader) throws -> UInt64 {
    try unsigned(&json, "this is no node's id", allowed: "0 to 2^64 - 1")
  }

  private func microseconds(_ json: inout JSONReader) throws -> UInt64 {
    try unsigned(&json, "this is no time", allowed: "microseconds, 0 or more")
  }

  /// A number, or a string of one, as the jsonizer writes 64 bits.
  private func unsigned(_ json: inout JSONReader, _ problem: String, allowed: String) throws -> UInt64 {
    let kind = try json.peek()
    let place = json.offset
    let value: UInt64?
    if kind == .string {
      try json.string()
      value = UInt64(json.text)
    } else {
      value = try json.number().scaled(by: 0).flatMap { UInt64(exactly: $0) }
    }
    guard let value else { throw json.error(problem, at: place, allowed: allowed) }
    return value
  }

  private func nodeType(_ json: inout JSONReader) throws -> Int {
    guard try json.peek() == .string else { return Int(clamping: try number(&json)) }
    try json.string()
    let name = json.text
    if let number = Int(name) { return number }
    return ChakraSchema.nodeTypes.firstIndex { name == $0 || name == $0 + "_NODE" } ?? -1
  }

  private func collective(_ json: inout JSONReader) throws -> Int64 {
    guard try json.peek() == .string else { return try number(&json) }
    try json.string()
    let name = json.text
    return Int64(name) ?? Int64(ChakraSchema.collectives.firstIndex(of: name) ?? -1)
  }

  /// A scalar in words; nil for null.
  private func text(_ json: inout JSONReader) throws -> String? {
    switch try json.peek() {
    case .string:
      try json.string()
      return json.text
    case .number: return try json.number().integer.map { "\($0)" } ?? "not whole"
    case .bool: return try json.bool() ? "true" : "false"
    default:
      try json.skipValue()
      return nil
    }
  }
}
