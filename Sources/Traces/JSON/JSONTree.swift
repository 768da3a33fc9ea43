import Documents

/// A small JSON value held whole, for places whose form differs from version to version.
indirect enum JSONTree {
  case number(JSONNumber)
  case string(String)
  case list([JSONTree])
  /// An object, `true`, `false` or `null`.
  case other

  var integer: Int64? {
    if case .number(let number) = self { return number.integer }
    return nil
  }

  var string: String? {
    if case .string(let string) = self { return string }
    return nil
  }

  var list: [JSONTree]? {
    if case .list(let list) = self { return list }
    return nil
  }
}

extension JSONReader {
  /// The next value; objects inside it are passed.
  ///
  /// - Throws: A ``Diagnostic`` where it has more than `limit` values.
  mutating func tree(limit: Int = 1 << 20) throws -> JSONTree {
    var budget = limit
    return try tree(&budget)
  }

  private mutating func tree(_ budget: inout Int) throws -> JSONTree {
    budget -= 1
    if budget < 0 { throw error("a list is too long", allowed: "a million values") }
    switch try peek() {
    case .number: return .number(try number())
    case .string:
      try string()
      return .string(text)
    case .array:
      var list: [JSONTree] = []
      try beginArray()
      while try nextElement() { list.append(try tree(&budget)) }
      return .list(list)
    case .object, .bool, .null:
      try skipValue()
      return .other
    }
  }
}
