import Documents

/// Pulls values out of JSON as its bytes come by: nothing is kept, and what is skipped is only checked.
///
/// The caller walks: `beginObject`, `nextKey` until it says false, one value for each key. A value that is not wanted
/// goes to ``skipValue()``. Errors name the byte. Beyond RFC 8259, `NaN` and `Infinity` are numbers, as Python writes
/// them.
struct JSONReader: ~Copyable {
  /// Arrays and objects inside each other; recordings have less than ten.
  static let nestingLimit = 256

  enum Kind { case object, array, string, number, bool, null }

  private var source: ByteSource
  /// The next unread byte.
  var cursor: UnsafePointer<UInt8>
  /// Behind the window's last byte; a zero stands here.
  private(set) var limit: UnsafePointer<UInt8>
  private var depth = 0
  /// Whether the next element or key of the innermost container needs a comma before it.
  private var expectsComma = false
  /// The last key or string, without quotes and with escapes resolved; valid until the next call.
  private(set) var token: UnsafeBufferPointer<UInt8>
  /// Holds tokens that do not lie in the window as they are.
  private var scratch: UnsafeMutablePointer<UInt8>
  private var scratchCapacity = 256

  init(_ source: consuming ByteSource) {
    self.source = source
    cursor = UnsafePointer(self.source.window) + self.source.position
    limit = UnsafePointer(self.source.window) + self.source.end
    token = UnsafeBufferPointer(start: nil, count: 0)
    scratch = .allocate(capacity: scratchCapacity)
  }

  deinit { scratch.deallocate() }

  var file: String { source.file }

  /// Bytes before the next unread one.
  var offset: Int { source.windowOffset + (cursor - UnsafePointer(source.window)) }

  // MARK: Errors

  func error(_ problem: String, at offset: Int? = nil, found: String? = nil, allowed: String? = nil)
    -> Diagnostic
  {
    Diagnostic(
      .data, problem, file: source.file, path: source.place(offset ?? self.offset), found: found,
      allowed: allowed)
  }

  private func unexpected(_ allowed: String) -> Diagnostic {
    if cursor == limit {
      return Diagnostic(
        .data, "the JSON is cut off", file: source.file, path: source.place(offset),
        found: "the end of the file",
        allowed: allowed)
    }
    let byte = cursor.pointee
    let found =
      byte > 0x20 && byte < 0x7f
      ? "`\(Character(Unicode.Scalar(byte)))`" : "the byte 0x" + String(byte, radix: 16)
    return error("the file is not JSON", found: found, allowed: allowed)
  }

  // MARK: Bytes

  /// Reads on, keeping the bytes from `start` on; `start` and `cursor` move along.
  private mutating func refill(keeping start: inout UnsafePointer<UInt8>) throws -> Bool {
    let kept = start - UnsafePointer(source.window)
    let consumed = cursor - start
    source.position = kept + consumed
    let isMore = try source.refill(keeping: kept)
    start = UnsafePointer(source.window)
    cursor = start + consumed
    limit = start + source.end
    return isMore
  }

  private mutating func refill() throws -> Bool {
    var start = cursor
    return try refill(keeping: &start)
  }

  /// Whether `count` bytes lie ahead, reading on if need be.
  private mutating func available(_ count: Int) throws -> Bool {
    while limit - cursor < count { guard try refill() else { return false } }
    return true
  }

  /// The next byte that is not white space, not consumed; 0 at the end.
  @inline(__always)
  private mutating func peekByte() throws -> UInt8 {
    let byte = cursor.pointee
    return byte > 0x20 ? byte : try skipSpace()
  }

  private mutating func skipSpace() throws -> UInt8 {
    while true {
      let byte = cursor.pointee
      if byte > 0x20 { return byte }
      switch byte {
      case 0x20, 0x0a, 0x0d, 0x09: cursor += 1
      case 0 where cursor == limit: if try !refill() { return 0 }
      default: throw unexpected("a value")
      }
    }
  }

  // MARK: Structure

  /// What kind of value comes next.
  mutating func peek() throws -> Kind {
    switch try peekByte() {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "N"), UInt8(ascii: "I"):
      return .number
    default: throw unexpected("a value")
    }
  }

  private mutating func begin(_ bracket: UInt8, _ allowed: String) throws {
    guard try peekByte() == bracket else { throw unexpected(allowed) }
    guard depth < Self.nestingLimit else {
      throw error(
        "the JSON is nested too deeply", found: "more than \(depth) levels",
        allowed: "at most \(Self.nestingLimit)")
    }
    depth += 1
    cursor += 1
    expectsComma = false
  }

  mutating func beginObject() throws { try begin(UInt8(ascii: "{"), "an object") }

  mutating func beginArray() throws { try begin(UInt8(ascii: "["), "an array") }

  private mutating func end() {
    depth -= 1
    cursor += 1
    expectsComma = true
  }

  /// Moves to the next key, which ``token`` then is, and past its colon; false at the object's end.
  mutating func nextKey() throws -> Bool {
    var byte = try peekByte()
    if byte == UInt8(ascii: "}") {
      end()
      return false
    }
    if expectsComma {
      guard byte == UInt8(ascii: ",") else { throw unexpected("`,` or `}`") }
      cursor += 1
      byte = try peekByte()
    }
    guard byte == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
    try scanString(isWanted: true)
    if cursor.pointee == UInt8(ascii: ":") {
      cursor += 1
    } else {
      try passColon()
    }
    return true
  }

  private mutating func passColon() throws {
    // The key must outlive a move of the window.
    if let start = token.baseAddress, start != UnsafePointer(scratch) {
      makeScratch(token.count)
      scratch.update(from: start, count: token.count)
      token = UnsafeBufferPointer(start: scratch, count: token.count)
    }
    guard try peekByte() == UInt8(ascii: ":") else { throw unexpected("`:`") }
    cursor += 1
  }

  /// Whether another element follows, which the caller then reads; false at the array's end.
  mutating func nextElement() throws -> Bool {
    let byte = try peekByte()
    if byte == UInt8(ascii: "]") {
      end()
      return false
    }
    if expectsComma {
      guard byte == UInt8(ascii: ",") else { throw unexpected("`,` or `]`") }
      cursor += 1
      if try peekByte() == UInt8(ascii: "]") { throw unexpected("a value") }
    }
    expectsComma = false
    return true
  }

  /// Checks that nothing but white space follows.
  mutating func finish() throws {
    if try peekByte() != 0 || cursor != limit { throw unexpected("the end of the file") }
  }

  /// Whether nothing but white space follows, for files of several values one behind the other.
  mutating func isAtEnd() throws -> Bool { try peekByte() == 0 && cursor == limit }

  mutating func skipValue() throws {
    switch try peek() {
    case .object:
      try beginObject()
      while try nextKey() { try skipValue() }
    case .array:
      try beginArray()
      while try nextElement() { try skipValue() }
    case .string: try scanString(isWanted: false)
    case .number: _ = try number()
    case .bool, .null: try word()
    }
  }

  // MARK: Scalars

  mutating func bool() throws -> Bool {
    guard try peek() == .bool else { throw unexpected("true or false") }
    let isTrue = cursor.pointee == UInt8(ascii: "t")
    try word()
    return isTrue
  }

  /// Passes `true`, `false` or `null`.
  private mutating func word() throws {
    let expected: StaticString =
      cursor.pointee == UInt8(ascii: "t") ? "true" : cursor.pointee == UInt8(ascii: "f") ? "false" : "null"
    try pass(expected)
    expectsComma = true
  }

  /// Passes the letters of a word, which may be cut off.
  mutating func pass(_ word: StaticString) throws {
    for index in 0..<word.utf8CodeUnitCount {
      guard try available(1), cursor.pointee == word.utf8Start[index] else { throw unexpected("`\(word)`") }
      cursor += 1
    }
  }

  /// Reads a string into ``token``.
  mutating func string() throws {
    guard try peekByte() == UInt8(ascii: "\"") else { throw unexpected("a string") }
    try scanString(isWanted: true)
  }

  /// The last key or string.
  var text: String { String(decoding: token, as: UTF8.self) }

  @inline(__always)
  func tokenIs(_ text: StaticString) -> Bool {
    token.count == text.utf8CodeUnitCount && equal(token.baseAddress, text.utf8Start, token.count)
  }

  @inline(__always)
  private func equal(_ a: UnsafePointer<UInt8>?, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    guard let a else { return count == 0 }
    for index in 0..<count where a[index] != b[index] { return false }
    return true
  }

  /// A number as its digits; see ``JSONNumber``.
  mutating func number() throws -> JSONNumber {
    _ = try peekByte()
    // Numbers are short. Where the window ends within one, more is read first; then digits need no test for the end.
    if limit - cursor < 64 { while limit - cursor < 4096, try refill() {} }
    let number = try JSONNumber(&cursor) ?? otherNumber()
    if cursor == limit {
      if try available(1) { throw error("a number is too long", allowed: "at most 1000 digits") }
      if depth > 0 { throw unexpected("the number's end") }
    }
    expectsComma = true
    return number
  }

  private mutating func otherNumber() throws -> JSONNumber {
    if cursor.pointee == UInt8(ascii: "N") {
      try pass("NaN")
    } else {
      if cursor.pointee == UInt8(ascii: "-") { cursor += 1 }
      guard cursor.pointee == UInt8(ascii: "I") else { throw unexpected("a number") }
      try pass("Infinity")
    }
    return JSONNumber.notFinite
  }

  // MARK: Strings

  /// Passes a string whose opening quote is next; `isWanted` says whether ``token`` is to hold it.
  private mutating func scanString(isWanted: Bool) throws {
    cursor += 1
    var start = cursor
    var hasEscapes = false
    while true {
      cursor = Self.plainEnd(cursor)
      switch cursor.pointee {
      case UInt8(ascii: "\""):
        token = UnsafeBufferPointer(start: start, count: cursor - start)
        cursor += 1
        expectsComma = true
        if isWanted, hasEscapes { resolveEscapes() }
        return
      case UInt8(ascii: "\\"):
        hasEscapes = true
        if limit - cursor < 12 { try readOn(keeping: &start, isWanted) }
        guard let length = JSONText.escapeLength(cursor) else {
          if limit - cursor < 12 { try failCutOff() }
          throw error("a string has an unknown escape", allowed: "the escapes of JSON, surrogates in pairs")
        }
        cursor += length
      case 0x80...:
        if limit - cursor < 4 { try readOn(keeping: &start, isWanted) }
        guard let length = JSONText.characterLength(cursor) else {
          if limit - cursor < 4 { try failCutOff() }
          throw error("a string is not UTF-8", found: "the byte 0x" + String(cursor.pointee, radix: 16))
        }
        cursor += length
      case 0 where cursor == limit:
        if !isWanted { start = cursor }
        guard try refill(keeping: &start) else { throw unexpected("the string's closing quote") }
      default:
        throw error(
          "a string has a raw control character", found: "the byte 0x" + String(cursor.pointee, radix: 16))
      }
    }
  }

  /// The next byte that a string may not simply contain: a quote, a backslash, a control character, or beyond ASCII.
  @inline(__always)
  private static func plainEnd(_ start: UnsafePointer<UInt8>) -> UnsafePointer<UInt8> {
    var here = start
    let high: UInt64 = 0x8080_8080_8080_8080
    let low: UInt64 = 0x0101_0101_0101_0101
    while true {
      // Eight bytes at once; zeros behind the window end the search. Of several hits the lowest is exact.
      let word = UInt64(littleEndian: UnsafeRawPointer(here).loadUnaligned(as: UInt64.self))
      let quote = word ^ (0x22 &* low)
      let slash = word ^ (0x5c &* low)
      let hits =
        ((quote &- low) & ~quote | (slash &- low) & ~slash | (word &- 0x20 &* low) & ~word | word) & high
      if hits != 0 { return here + hits.trailingZeroBitCount >> 3 }
      here += 8
    }
  }

  /// Reads on where a sequence may go beyond the window.
  private mutating func readOn(keeping start: inout UnsafePointer<UInt8>, _ isWanted: Bool) throws {
    if !isWanted { start = cursor }
    while limit - cursor < 12 { guard try refill(keeping: &start) else { return } }
  }

  /// Throws where the rest of the file may be the beginning of a sequence.
  private mutating func failCutOff() throws {
    let rest = UnsafeBufferPointer(start: cursor, count: limit - cursor)
    if !rest.contains(UInt8(ascii: "\"")) {
      cursor = limit
      throw unexpected("the string's closing quote")
    }
  }

  private mutating func resolveEscapes() {
    makeScratch(token.count)
    token = UnsafeBufferPointer(start: scratch, count: JSONText.resolve(token, into: scratch))
  }

  private mutating func makeScratch(_ count: Int) {
    guard count > scratchCapacity else { return }
    scratch.deallocate()
    scratchCapacity = 2 * count
    scratch = .allocate(capacity: scratchCapacity)
  }
}
