import Documents

/// Counts the values of a small document as they are built, so that references to references cannot multiply without end.
struct ValueBudget {
  static let depthLimit = 64
  var values = 4 << 20
  let file: String

  init(file: String) { self.file = file }

  mutating func take(_ depth: Int) throws {
    guard depth < Self.depthLimit else {
      throw Diagnostic(
        .data, "the file is nested too deeply", file: file, path: "the values",
        found: "more than \(depth) levels",
        allowed: "at most \(Self.depthLimit)")
    }
    values -= 1
    guard values >= 0 else {
      throw Diagnostic(
        .data, "the file holds too many values", file: file, path: "the values", allowed: "at most 4194304")
    }
  }
}

/// The entries of a mapping in their order; a key that comes again replaces the earlier value, as in Python and JSON.
struct ValueEntries {
  private(set) var entries: [Value.Entry] = []
  private var places: [String: Int] = [:]

  mutating func set(_ key: String, _ value: Value) {
    if let place = places[key] {
      entries[place].value = value
    } else {
      places[key] = entries.count
      entries.append(Value.Entry(key, value))
    }
  }
}

extension Value {
  /// A small JSON document as a whole.
  ///
  /// - Parameter skipping: Keys whose values are not wanted and become null.
  static func json(_ source: consuming ByteSource, skipping: Set<String> = []) throws -> Value {
    var reader = JSONReader(source)
    var budget = ValueBudget(file: reader.file)
    let value = try json(&reader, depth: 0, &budget, skipping)
    try reader.finish()
    return value
  }

  private static func json(
    _ reader: inout JSONReader, depth: Int, _ budget: inout ValueBudget, _ skipping: Set<String>
  ) throws -> Value {
    try budget.take(depth)
    switch try reader.peek() {
    case .object:
      var entries = ValueEntries()
      try reader.beginObject()
      while try reader.nextKey() {
        let key = reader.text
        if skipping.contains(key) {
          try reader.skipValue()
        } else {
          entries.set(key, try json(&reader, depth: depth + 1, &budget, skipping))
        }
      }
      return .mapping(entries.entries)
    case .array:
      var items: [Value] = []
      try reader.beginArray()
      while try reader.nextElement() { items.append(try json(&reader, depth: depth + 1, &budget, skipping)) }
      return .list(items)
    case .string:
      try reader.string()
      return .text(reader.text)
    case .number:
      let number = try reader.number()
      return number.integer.map { .integer(Int($0)) } ?? .number(number.double)
    case .bool: return .bool(try reader.bool())
    case .null:
      try reader.skipValue()
      return .null
    }
  }
}
