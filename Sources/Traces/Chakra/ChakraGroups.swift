import Documents

/// Groups of ranks by the names that nodes use, as ASTRA-sim understands names.
struct ChakraGroups {
  struct Group {
    var description = ""
    /// Empty: all ranks.
    var ranks: [Int32]
    var size: Int?
  }

  private(set) var groups: [String: Group] = [:]
  private(set) var notes: [String] = []
  /// Ranks of the job, where the list of groups says so.
  private(set) var worldSize: Int?

  static let all = "0"
  /// Most members that a group may have: beyond any machine.
  static let memberLimit = 1 << 20

  init() {}

  /// One name for all that mean the same: `` and `0` are all ranks, `3.0` is 3, a name without a number is itself.
  static func canonical(_ name: String) -> String {
    let trimmed = name.drop { $0 == " " || $0 == "\t" }
    if trimmed.isEmpty { return all }
    let digits = trimmed.prefix { $0.isASCII && $0.isNumber }
    return Int(digits).map { "\($0)" } ?? String(trimmed)
  }

  subscript(name: String) -> Group? { groups[name] }

  /// Reads a comm-group file of ASTRA-sim: `{"1": [0, 1], "2": [2, 3]}`.
  mutating func readFile(_ source: consuming ByteSource) throws {
    var json = JSONReader(source)
    try json.beginObject()
    while try json.nextKey() {
      let name = Self.canonical(json.text)
      let place = json.offset
      let ranks = try Self.ranks(&json)
      guard Set(ranks).count == ranks.count else {
        throw json.error("a rank stands twice in group \(name)", at: place, allowed: "each rank once")
      }
      if name == Self.all, !ranks.isEmpty {
        notes.append("group 0 is all ranks, whatever \(json.file) lists for it")
      } else {
        groups[name] = Group(ranks: ranks, size: ranks.isEmpty ? nil : ranks.count)
      }
    }
    try json.finish()
  }

  private static func ranks(_ json: inout JSONReader) throws -> [Int32] {
    var ranks: [Int32] = []
    try json.beginArray()
    while try json.nextElement() {
      let place = json.offset
      guard let number = try json.number().integer, let rank = Int32(exactly: number), rank >= 0 else {
        throw json.error("this is no rank", at: place, allowed: "0 to \(Int32.max)")
      }
      guard ranks.count < memberLimit else {
        throw json.error("a group has too many ranks", at: place, allowed: "at most \(memberLimit)")
      }
      ranks.append(rank)
    }
    return ranks
  }

  /// Takes over what a `process_group:init` node lists, which goes before a comm-group file.
  ///
  /// The node's text is JSON within Python's notation of a list: `['[{"pg_name": "0", …}]']`.
  mutating func readList(_ text: String, of file: String) {
    var inner = Array(text.utf8)
    guard let first = inner.firstIndex(of: UInt8(ascii: "{")),
      let last = inner.lastIndex(of: UInt8(ascii: "}")),
      first < last
    else { return }
    inner = [UInt8(ascii: "[")] + inner[first...last] + [UInt8(ascii: "]")]
    inner.removeAll { $0 == UInt8(ascii: "\\") }
    do {
      try readGroups(JSONReader(ByteSource(bytes: inner, named: file)))
    } catch {
      notes.append("\(file): its list of process groups cannot be read")
    }
  }

  private mutating func readGroups(_ reader: consuming JSONReader) throws {
    var json = reader
    try json.beginArray()
    while try json.nextElement() {
      var name: String?
      var group = Group(ranks: [])
      try json.beginObject()
      while try json.nextKey() {
        switch json.text {
        case "pg_name":
          if try json.peek() == .string {
            try json.string()
            name = Self.canonical(json.text)
          } else {
            name = try json.number().integer.map { "\($0)" }
          }
        case "pg_desc":
          try json.string()
          group.description = json.text
        case "ranks" where try json.peek() == .array: group.ranks = try Self.ranks(&json)
        case "group_size" where try json.peek() == .number:
          group.size = try json.number().integer.flatMap {
            (1...Int64(Int32.max)).contains($0) ? Int($0) : nil
          }
        default: try json.skipValue()
        }
      }
      guard let name else { continue }
      if name == Self.all { worldSize = group.size ?? (group.ranks.isEmpty ? nil : group.ranks.count) }
      if !group.ranks.isEmpty { group.size = group.ranks.count }
      groups[name] = group
    }
  }
}
