/// A value with its address: every question asked of it fails with file and path.
public struct Node: Sendable {
  public let value: Value
  public let file: String
  /// Dotted path from the top of the document; empty at the top.
  public let path: String

  public init(_ value: Value, file: String, path: String = "") {
    self.value = value
    self.file = file
    self.path = path
  }

  /// An error at this node.
  public func error(
    _ problem: String, found: String? = nil, allowed: String? = nil, hint: String? = nil
  ) -> Diagnostic {
    Diagnostic(
      .data, problem, file: file, path: path.isEmpty ? "the top" : path, found: found ?? value.shown,
      allowed: allowed, hint: hint)
  }

  private func child(_ key: String, _ value: Value) -> Node {
    Node(value, file: file, path: path.isEmpty ? key : "\(path).\(key)")
  }

  // MARK: Mappings

  /// The entries of a mapping, in file order.
  public func entries() throws -> [(key: String, node: Node)] {
    guard case .mapping(let entries) = value else {
      throw error("a mapping is needed here", allowed: "key: value lines")
    }
    return entries.map { ($0.key, child($0.key, $0.value)) }
  }

  /// The node at a key, or nil where the key is absent or null.
  public func optional(_ key: String) throws -> Node? {
    guard let entry = try entries().first(where: { $0.key == key }) else { return nil }
    if case .null = entry.node.value { return nil }
    return entry.node
  }

  public func required(_ key: String) throws -> Node {
    if let node = try optional(key) { return node }
    throw Diagnostic(
      .data, "a key is missing", file: file, path: path.isEmpty ? key : "\(path).\(key)", found: "nothing",
      allowed: nil, hint: "add \(key)")
  }

  /// Refuses keys that nobody reads, so that a misspelled one cannot be ignored.
  public func allowOnly(_ keys: [String]) throws {
    for entry in try entries() where !keys.contains(entry.key) {
      throw Diagnostic(
        .data, "unknown key", file: file, path: entry.node.path, found: entry.key,
        allowed: keys.joined(separator: ", "),
        hint: nearest(to: entry.key, in: keys).map { "did you mean \($0)?" })
    }
  }

  // MARK: Scalars and lists

  public func list() throws -> [Node] {
    guard case .list(let items) = value else { throw error("a list is needed here", allowed: "a list") }
    return items.enumerated().map { Node($1, file: file, path: "\(path)[\($0)]") }
  }

  public func text() throws -> String {
    guard case .text(let text) = value else { throw error("text is needed here", allowed: "text") }
    return text
  }

  public func bool() throws -> Bool {
    guard case .bool(let flag) = value else {
      throw error("true or false is needed here", allowed: "true, false")
    }
    return flag
  }

  /// A whole number within a range.
  public func integer(in range: ClosedRange<Int> = Int.min...Int.max) throws -> Int {
    var number: Int?
    if case .integer(let whole) = value { number = whole }
    if case .number(let double) = value, double.rounded() == double, abs(double) < 9e15 {
      number = Int(double)
    }
    let allowed =
      range.upperBound == .max
      ? (range.lowerBound == .min ? "a whole number" : "a whole number, at least \(range.lowerBound)")
      : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    guard let number else { throw error("a whole number is needed here", allowed: allowed) }
    guard range.contains(number) else { throw error("the number is out of range", allowed: allowed) }
    return number
  }

  /// A finite number.
  public func number() throws -> Double {
    switch value {
    case .integer(let whole): return Double(whole)
    case .number(let double) where double.isFinite: return double
    default: throw error("a finite number is needed here", allowed: "a number")
    }
  }

  /// One of an enumeration's cases, by raw value.
  public func oneOf<Choice: RawRepresentable & CaseIterable>(_ type: Choice.Type) throws -> Choice
  where Choice.RawValue == String {
    let names = Choice.allCases.map(\.rawValue)
    guard case .text(let text) = value, let choice = Choice(rawValue: text) else {
      var hint: String?
      if case .text(let text) = value { hint = nearest(to: text, in: names).map { "did you mean \($0)?" } }
      throw error("unknown choice", allowed: names.joined(separator: ", "), hint: hint)
    }
    return choice
  }
}

/// The candidate that differs from a word in the fewest letters, if it is near enough to be what was meant.
///
/// - Complexity: O(word × candidates' letters).
public func nearest(to word: String, in candidates: [String]) -> String? {
  func distance(_ a: [Character], _ b: [Character]) -> Int {
    var row = Array(0...b.count)
    for i in 0..<a.count {
      var diagonal = row[0]
      row[0] = i + 1
      for j in 0..<b.count {
        let substituted = diagonal + (a[i] == b[j] ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
      }
    }
    return row[b.count]
  }
  let letters = Array(word.lowercased())
  let best = candidates.map { ($0, distance(letters, Array($0.lowercased()))) }.min { $0.1 < $1.1 }
  guard let (name, edits) = best, edits <= max(2, letters.count / 3) else { return nil }
  return name
}
