import Documents
import Foundation

/// Reads pickles of plain data, protocols 0 to 5: dictionaries, lists, tuples, text, bytes, numbers, booleans and None.
///
/// A pickle is a program for a stack machine, and some of its instructions import modules and call functions. This reader
/// has no such instructions: where a pickle uses one, reading ends with an error that names it and its place. What is left
/// can only build values, as many as the limits allow.
///
/// Source: CPython, `Lib/pickletools.py`.
struct PickleReader {
  static let byteLimit = 64 << 20
  /// Entries of the stack, of the memo, and of all lists and dictionaries.
  static let itemLimit = 4 << 20

  private enum Item {
    case none
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    /// UTF-8 in the file.
    case text(Range<Int>)
    case string(String)
    /// Index into `lists`: lists, tuples and sets.
    case list(Int)
    /// Index into `dictionaries`, keys and values by turns.
    case dictionary(Int)
  }

  private let bytes: [UInt8]
  private let file: String
  private var position = 0
  private var stack: [Item] = []
  private var marks: [Int] = []
  private var memo: [Int: Item] = [:]
  /// By reference, as a pickle fills lists that it has already used elsewhere.
  private var lists: [[Item]] = []
  private var dictionaries: [[Item]] = []
  private var held = 0

  private init(_ bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  /// The value that a pickle builds.
  ///
  /// - Parameter skipping: Keys whose values are not wanted and become null.
  /// - Throws: ``Diagnostic`` naming the byte.
  static func read(_ bytes: [UInt8], file: String, skipping: Set<String> = []) throws -> Value {
    guard bytes.count <= byteLimit else {
      throw Diagnostic(
        .data, "the pickle is too large", file: file, path: "byte 0", found: "\(bytes.count) bytes",
        allowed: "at most \(byteLimit)")
    }
    var reader = PickleReader(bytes, file: file)
    let result = try reader.run()
    var budget = ValueBudget(file: file)
    return try reader.value(of: result, depth: 0, &budget, skipping)
  }

  // MARK: Bytes

  private func error(_ problem: String, at place: Int? = nil, found: String? = nil, allowed: String? = nil)
    -> Diagnostic
  {
    Diagnostic(.data, problem, file: file, path: "byte \(place ?? position)", found: found, allowed: allowed)
  }

  private mutating func take(_ count: Int) throws -> Range<Int> {
    guard count >= 0, count <= bytes.count - position else {
      throw error("the pickle is cut off", found: "\(bytes.count - position) bytes", allowed: "\(count) more")
    }
    position += count
    return position - count..<position
  }

  /// An unsigned number, low byte first.
  private mutating func unsigned(_ count: Int) throws -> Int {
    let place = position
    let range = try take(count)
    let value = bytes[range].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard let number = Int(exactly: value) else {
      throw error("a length is too large", at: place, found: "\(value)")
    }
    return number
  }

  /// A number in two's complement, low byte first.
  private mutating func signed(_ count: Int) throws -> Item {
    let place = position
    let range = try take(count)
    guard let last = bytes[range].last else { return .integer(0) }
    let isNegative = last >= 0x80
    if count <= 8 {
      var value: UInt64 = isNegative ? .max : 0
      for byte in bytes[range].reversed() { value = value << 8 | UInt64(byte) }
      return .integer(Int64(bitPattern: value))
    }
    guard count <= 16 else {
      throw error("a number is too long", at: place, found: "\(count) bytes", allowed: "16")
    }
    var value: UInt128 = isNegative ? .max : 0
    for byte in bytes[range].reversed() { value = value << 8 | UInt128(byte) }
    return .number(Double(Int128(truncatingIfNeeded: value)))
  }

  /// Text up to the end of the line, as protocol 0 has it.
  private mutating func line() throws -> String {
    guard let end = bytes[position...].firstIndex(of: 10) else {
      throw error("the pickle is cut off", found: "a line without its end")
    }
    defer { position = end + 1 }
    return String(decoding: bytes[position..<end], as: UTF8.self)
  }

  /// A line as protocol 0 writes text: each byte a character, others as `\\u` or `\\U` with four or eight digits.
  private mutating func escapedLine() throws -> String {
    let place = position
    let text = try line()
    let raw = Array(bytes[place..<position - 1])
    guard raw.contains(where: { $0 >= 0x80 || $0 == UInt8(ascii: "\\") }) else { return text }
    var result = String.UnicodeScalarView()
    var index = 0
    while index < raw.count {
      var scalar = Unicode.Scalar(raw[index])
      var length = 1
      if raw[index] == UInt8(ascii: "\\"), index + 1 < raw.count {
        let digits = raw[index + 1] == UInt8(ascii: "u") ? 4 : raw[index + 1] == UInt8(ascii: "U") ? 8 : 0
        if digits > 0, index + 2 + digits <= raw.count {
          let number = String(decoding: raw[index + 2..<index + 2 + digits], as: UTF8.self)
          guard let value = UInt32(number, radix: 16) else {
            throw error("this is no character", at: place + index, found: "\\u\(number)")
          }
          scalar = Unicode.Scalar(value) ?? "\u{fffd}"
          length = 2 + digits
        }
      }
      result.append(scalar)
      index += length
    }
    return String(result)
  }

  // MARK: The stack

  private mutating func push(_ item: Item) throws {
    guard stack.count < Self.itemLimit else { throw error("the pickle holds too much at once") }
    stack.append(item)
  }

  private mutating func pop() throws -> Item {
    guard stack.count > marks.last ?? 0, let item = stack.popLast() else {
      throw error("the pickle takes from an empty stack", at: position - 1)
    }
    return item
  }

  /// What has been pushed since the last mark.
  private mutating func popToMark() throws -> [Item] {
    guard let mark = marks.popLast() else { throw error("the pickle has no mark here", at: position - 1) }
    let items = Array(stack[mark...])
    stack.removeSubrange(mark...)
    return items
  }

  private mutating func hold(_ count: Int) throws {
    held += count
    guard held <= Self.itemLimit else {
      throw error("the pickle holds too many values", allowed: "\(Self.itemLimit)")
    }
  }

  private mutating func pushList(_ items: [Item]) throws {
    try hold(items.count + 1)
    lists.append(items)
    try push(.list(lists.count - 1))
  }

  private mutating func pushDictionary(_ items: [Item]) throws {
    try hold(items.count + 1)
    guard items.count.isMultiple(of: 2) else {
      throw error("a key of a dictionary has no value", at: position - 1)
    }
    dictionaries.append(items)
    try push(.dictionary(dictionaries.count - 1))
  }

  private mutating func append(_ items: [Item]) throws {
    try hold(items.count)
    guard stack.count > marks.last ?? 0, case .list(let index)? = stack.last else {
      throw error("the pickle appends to what is no list", at: position - 1)
    }
    lists[index] += items
  }

  private mutating func set(_ items: [Item]) throws {
    try hold(items.count)
    guard items.count.isMultiple(of: 2), stack.count > marks.last ?? 0,
      case .dictionary(let index)? = stack.last
    else {
      throw error("the pickle sets items of what is no dictionary", at: position - 1)
    }
    dictionaries[index] += items
  }

  private mutating func remember(_ key: Int) throws {
    guard stack.count > marks.last ?? 0, let item = stack.last else {
      throw error("the pickle remembers from an empty stack", at: position - 1)
    }
    guard memo.count < Self.itemLimit else { throw error("the pickle remembers too much") }
    memo[key] = item
  }

  private mutating func recall(_ key: Int) throws {
    guard let item = memo[key] else {
      throw error("the pickle recalls what it never remembered", found: "\(key)")
    }
    try push(item)
  }

  // MARK: Instructions

  private mutating func run() throws -> Item {
    while true {
      guard position < bytes.count else { throw error("the pickle is cut off", found: "no end") }
      let place = position
      let code = bytes[position]
      position += 1
      if code == UInt8(ascii: ".") {
        let result = try pop()
        guard position == bytes.count else {
          throw error("something follows the pickle", found: "\(bytes.count - position) bytes")
        }
        return result
      }
      if let name = Self.refused[code] {
        throw error(
          "the pickle asks to run code, which is refused", at: place, found: name, allowed: "plain data")
      }
      guard try scalar(code) || container(code) || other(code) else {
        throw error("this is no instruction of a pickle", at: place, found: "0x" + String(code, radix: 16))
      }
    }
  }

  /// Instructions that name, make or change objects other than plain data, and buffers outside the file.
  private static let refused: [UInt8: String] = [
    UInt8(ascii: "c"): "GLOBAL", 0x93: "STACK_GLOBAL", UInt8(ascii: "R"): "REDUCE",
    UInt8(ascii: "b"): "BUILD",
    UInt8(ascii: "i"): "INST", UInt8(ascii: "o"): "OBJ", 0x81: "NEWOBJ", 0x92: "NEWOBJ_EX",
    UInt8(ascii: "P"): "PERSID", UInt8(ascii: "Q"): "BINPERSID", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4",
    0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
  ]

  private mutating func scalar(_ code: UInt8) throws -> Bool {
    switch code {
    case UInt8(ascii: "N"): try push(.none)
    case 0x88: try push(.bool(true))
    case 0x89: try push(.bool(false))
    case UInt8(ascii: "J"):
      guard case .integer(let value) = try signed(4) else { return false }
      try push(.integer(value))
    case UInt8(ascii: "K"): try push(.integer(Int64(try unsigned(1))))
    case UInt8(ascii: "M"): try push(.integer(Int64(try unsigned(2))))
    case 0x8a: try push(try signed(try unsigned(1)))
    case 0x8b: try push(try signed(try unsigned(4)))
    case UInt8(ascii: "G"):
      let bits = bytes[try take(8)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      try push(.number(Double(bitPattern: bits)))
    case UInt8(ascii: "I"), UInt8(ascii: "L"): try wrote(code)
    case UInt8(ascii: "F"):
      let place = position
      let text = try line()
      guard text.utf8.count <= 64, let value = Double(text) else {
        throw error("this is no number", at: place, found: "\"\(text.prefix(20))\"")
      }
      try push(.number(value))
    case UInt8(ascii: "X"), UInt8(ascii: "T"), UInt8(ascii: "B"): try push(.text(try take(try unsigned(4))))
    case 0x8c, UInt8(ascii: "U"), UInt8(ascii: "C"): try push(.text(try take(try unsigned(1))))
    case 0x8d, 0x8e, 0x96: try push(.text(try take(try unsigned(8))))
    case UInt8(ascii: "V"): try push(.string(try escapedLine()))
    case UInt8(ascii: "S"):
      let text = try line()
      let quotes = text.count >= 2 && text.first == text.last && (text.first == "'" || text.first == "\"")
      guard quotes else { throw error("a string has no quotes", at: position - 1) }
      try push(.string(String(text.dropFirst().dropLast())))
    default: return false
    }
    return true
  }

  /// A whole number in decimal digits, or a boolean as protocol 0 writes it.
  private mutating func wrote(_ code: UInt8) throws {
    let place = position
    var text = try line()
    if code == UInt8(ascii: "I"), text == "00" || text == "01" { return try push(.bool(text == "01")) }
    if code == UInt8(ascii: "L"), text.hasSuffix("L") { text.removeLast() }
    guard let value = Int64(text) else {
      throw error("this is no number", at: place, found: "\"\(text.prefix(20))\"")
    }
    try push(.integer(value))
  }

  private mutating func container(_ code: UInt8) throws -> Bool {
    switch code {
    case UInt8(ascii: "]"), UInt8(ascii: ")"), 0x8f: try pushList([])
    case UInt8(ascii: "}"): try pushDictionary([])
    case UInt8(ascii: "l"), UInt8(ascii: "t"), 0x91: try pushList(try popToMark())
    case UInt8(ascii: "d"): try pushDictionary(try popToMark())
    case 0x85: try pushList([try pop()])
    case 0x86:
      let second = try pop()
      try pushList([try pop(), second])
    case 0x87:
      let third = try pop()
      let second = try pop()
      try pushList([try pop(), second, third])
    case UInt8(ascii: "a"): try append([try pop()])
    case UInt8(ascii: "e"), 0x90: try append(try popToMark())
    case UInt8(ascii: "s"):
      let value = try pop()
      try set([try pop(), value])
    case UInt8(ascii: "u"): try set(try popToMark())
    default: return false
    }
    return true
  }

  private mutating func other(_ code: UInt8) throws -> Bool {
    switch code {
    case 0x80:
      let version = try unsigned(1)
      guard version <= 5 else {
        throw error("the pickle's protocol is unknown", found: "\(version)", allowed: "0 to 5")
      }
    case 0x95: _ = try take(8)
    case UInt8(ascii: "("):
      guard marks.count < Self.itemLimit else { throw error("the pickle has too many marks") }
      marks.append(stack.count)
    case UInt8(ascii: "0"):
      // What lies above the last mark, or the mark itself.
      if let mark = marks.last, mark == stack.count { marks.removeLast() } else { _ = try pop() }
    case UInt8(ascii: "1"): _ = try popToMark()
    case UInt8(ascii: "2"):
      guard stack.count > marks.last ?? 0, let item = stack.last else {
        throw error("the pickle doubles nothing")
      }
      try push(item)
    case UInt8(ascii: "q"): try remember(try unsigned(1))
    case UInt8(ascii: "r"): try remember(try unsigned(4))
    case UInt8(ascii: "p"), UInt8(ascii: "g"):
      let place = position
      guard let key = Int(try line()) else { throw error("this is no number", at: place) }
      if code == UInt8(ascii: "p") { try remember(key) } else { try recall(key) }
    case 0x94: try remember(memo.count)
    case UInt8(ascii: "h"): try recall(try unsigned(1))
    case UInt8(ascii: "j"): try recall(try unsigned(4))
    default: return false
    }
    return true
  }

  // MARK: Values

  private func value(
    of item: Item, depth: Int, _ budget: inout ValueBudget, _ skipping: Set<String>
  ) throws -> Value {
    try budget.take(depth)
    switch item {
    case .none: return .null
    case .bool(let flag): return .bool(flag)
    case .integer(let number): return .integer(Int(number))
    case .number(let number): return .number(number)
    case .text(let range): return .text(String(decoding: bytes[range], as: UTF8.self))
    case .string(let text): return .text(text)
    case .list(let index):
      return .list(try lists[index].map { try value(of: $0, depth: depth + 1, &budget, skipping) })
    case .dictionary(let index):
      var entries = ValueEntries()
      let items = dictionaries[index]
      for place in stride(from: 0, to: items.count, by: 2) {
        let key: String
        switch try value(of: items[place], depth: depth + 1, &budget, skipping) {
        case .text(let text): key = text
        case .integer(let number): key = "\(number)"
        case let other:
          throw Diagnostic(
            .data, "a dictionary has a key that is no text", file: file, path: "byte \(bytes.count)",
            found: other.shown)
        }
        let isWanted = !skipping.contains(key)
        entries.set(
          key, isWanted ? try value(of: items[place + 1], depth: depth + 1, &budget, skipping) : .null)
      }
      return .mapping(entries.entries)
    }
  }
}
