import Documents

/// The format of a file, by its content, whatever its name: plain or gzip, by the first bytes and the first keys.
///
/// - Throws: A ``Diagnostic`` where no format fits, with what the file begins with.
public func recordingFormat(of path: String) throws -> TraceFormat {
  var source = try ByteSource(path: path)
  return try recognise(&source)
}

/// Looks at the beginning of a source, of which nothing is used up.
func recognise(_ source: inout ByteSource) throws -> TraceFormat {
  let start = try source.peek(256 << 10)
  if start.isEmpty { throw Diagnostic(.data, "the file is empty", file: source.file, path: "byte 0") }
  let text = start.starts(with: [0xef, 0xbb, 0xbf]) ? start.dropFirst(3) : start[...]
  let first = text.first { $0 > 0x20 } ?? 0
  // JSON before Chakra: an opening brace is a message's length too.
  if first == UInt8(ascii: "{") || first == UInt8(ascii: "["),
    let format = try JSONFormat.recognise(start, file: source.file)
  {
    return format
  }
  if !isOtherObject(text), let format = BinaryFormat.recognise(start) ?? TextFormat.recognise(text) {
    return format
  }
  let shown = String(decoding: text.prefix(40), as: UTF8.self).map { $0.isASCII && !$0.isNewline ? $0 : "?" }
  throw Diagnostic(
    .data, "the file is no recording of a known format", file: source.file, path: "byte 0",
    found: String(shown),
    allowed: TraceFormat.allCases.map(\.rawValue).joined(separator: ", "))
}

/// JSON that begins with a key and is no format of its own, such as ASTRA-sim's files of groups: `{` and a line's end
/// would pass for the length and the first field of a Chakra message.
private func isOtherObject(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
  guard text.first == UInt8(ascii: "{") else { return false }
  let blank: [UInt8] = [0x20, 0x09, 0x0a, 0x0d]
  return text.dropFirst().first { !blank.contains($0) } == UInt8(ascii: "\"")
}

/// Formats of bytes.
enum BinaryFormat {
  static func recognise(_ start: UnsafeBufferPointer<UInt8>) -> TraceFormat? {
    func byte(_ index: Int) -> UInt8 { index < start.count ? start[index] : 0 }
    // A pickle of protocol 2 to 5.
    if byte(0) == 0x80, 2...5 ~= byte(1) { return .flightRecorder }
    // `txt2bin` writes 4223 in eight bytes first.
    if start.count >= 8, byte(0) == 0x7f, byte(1) == 0x10, (2..<8).allSatisfy({ byte($0) == 0 }) {
      return .goalBinary
    }
    return isChakra(start) ? .chakra : nil
  }

  /// A length, then that much of metadata: a version (field 1) or attributes (field 2), and text inside.
  private static func isChakra(_ start: UnsafeBufferPointer<UInt8>) -> Bool {
    var (length, shift, index) = (0, 0, 0)
    while index < min(start.count, 5) {
      length |= Int(start[index] & 0x7f) << shift
      shift += 7
      index += 1
      if start[index - 1] < 0x80 { break }
    }
    guard index < start.count, length == 0 || start[index] == 0x0a || start[index] == 0x12 else {
      return false
    }
    // Metadata may be empty; then a node follows.
    guard length > 0 else { return index + 2 < start.count && start[index + 1] == 0x08 }
    guard index + 1 < start.count, Int(start[index + 1]) < 0x80 else { return start[index] == 0x12 }
    return Int(start[index + 1]) + 2 <= length
  }
}

/// Formats that are JSON.
enum JSONFormat {
  /// What the keys of the first object say, as far as the beginning of a file shows them.
  static func recognise(_ start: UnsafeBufferPointer<UInt8>, file: String) throws -> TraceFormat? {
    var json = JSONReader(try ByteSource(bytes: Array(start), named: file))
    var keys: [String] = []
    do {
      if try json.peek() == .array {
        try json.beginArray()
        // An empty list of events.
        guard try json.nextElement() else { return .kineto }
        return try eventFormat(&json)
      }
      try json.beginObject()
      while try json.nextKey() {
        if keys.count < 64 { keys.append(json.text) }
        if let format = format(key: json.text) { return format }
        try json.skipValue()
      }
    } catch {
      // The beginning is cut off somewhere. What came before decides; what is wrong, the format's own reader says.
    }
    return format(keys: keys)
  }

  /// Events of a bare list: ByteDance's timelines number micro-batches in their arguments.
  private static func eventFormat(_ json: inout JSONReader) throws -> TraceFormat? {
    var (isEvent, isStraggler) = (false, false)
    try json.beginObject()
    while try json.nextKey() {
      isEvent = isEvent || json.tokenIs("ph") || json.tokenIs("cat")
      guard json.tokenIs("args"), try json.peek() == .object else {
        try json.skipValue()
        continue
      }
      try json.beginObject()
      while try json.nextKey() {
        isStraggler = isStraggler || json.tokenIs("mb_id") || json.tokenIs("model_chunk")
        try json.skipValue()
      }
    }
    return isStraggler ? .straggler : isEvent ? .kineto : nil
  }

  private static func format(key: String) -> TraceFormat? {
    switch key {
    case "traceEvents", "schemaVersion", "deviceProperties", "distributedInfo": return .kineto
    case "nodes": return .pytorchExecution
    case "workload_graph": return .chakraJSON
    case "entries", "pg_config", "pg_status", "nccl_comm_state": return .flightRecorder
    default: return nil
    }
  }

  private static func format(keys: [String]) -> TraceFormat? {
    if keys.contains("schema") { return .pytorchExecution }
    // The jsonizer's objects: metadata first, or a node.
    if keys.contains("version") || keys.contains("attr") || keys.contains("id") && keys.contains("name") {
      return .chakraJSON
    }
    return nil
  }
}

/// Formats that are lines of text.
enum TextFormat {
  static func recognise(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> TraceFormat? {
    guard text.prefix(4096).allSatisfy({ $0 >= 0x20 || $0 == 10 || $0 == 13 || $0 == 9 }) else { return nil }
    for line in text.prefix(64 << 10).split(whereSeparator: { $0 == 10 || $0 == 13 }).prefix(200) {
      let words = String(decoding: line.prefix(400), as: UTF8.self).split { $0 == " " || $0 == "\t" }
      guard let first = words.first, !first.hasPrefix("//"), !first.hasPrefix("/*"), !first.hasPrefix("#")
      else {
        continue
      }
      if first == "num_ranks" || first == "rank" { return .goal }
      if first == "program" || first == "rehearsal" { return .program }
      let modes = ["HYBRID", "DATA", "MODEL", "MICRO", "TRANSFORMER", "DLRM"]
      if modes.contains(where: { first.hasPrefix($0) }) { return .simAI }
      if words.count >= 2, Int(first) != nil, actions.contains(words[1].lowercased()) {
        return .timeIndependent
      }
      // A list of the ranks' files, or of jobs with such a list each.
      let isJob = words.count == 4 && Int(first) != nil && Int(words[2]) != nil
      if isJob || words.count == 1 && first.hasSuffix(".txt") {
        return .timeIndependent
      }
      return nil
    }
    return nil
  }

  /// SimGrid's words for what a rank does.
  private static let actions: Set<String> = [
    "init", "finalize", "compute", "comm_size", "comm_split", "comm_dup", "send", "isend", "recv", "irecv",
    "test", "wait",
    "waitall", "barrier", "bcast", "reduce", "allreduce", "alltoall", "alltoallv", "gather", "gatherv",
    "scatter",
    "scatterv", "allgather", "allgatherv", "reducescatter", "scan", "exscan", "sendrecv", "sleep", "location",
  ]
}
