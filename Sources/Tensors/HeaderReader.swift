import Documents

/// A strict reader of the JSON of a safetensors header, which refuses what a general reader lets pass: keys that
/// stand twice, numbers that are not whole, text that is not UTF-8, anything after the end.
///
/// Headers of large checkpoints hold tens of thousands of entries, so this makes no tree of values.
struct HeaderReader {
  private let text: UnsafeRawBufferPointer
  private let file: String
  private var position = 0
  /// The tensor whose entry is being read, for errors.
  private var place = "the header"

  init(_ text: UnsafeRawBufferPointer, file: String) {
    self.text = text
    self.file = file
  }

  mutating func readHeader(into header: inout TensorHeader) throws {
    // The format wants the object at the very start, and allows spaces after it.
    guard text.first == UInt8(ascii: "{") else { throw unexpected(allowed: "{ as the first character") }
    var names: Set<String> = []
    try readObject { reader, name in
      guard names.insert(name).inserted else { throw reader.twice(name) }
      if name == "__metadata__" {
        header.metadata = try reader.readMetadata()
      } else {
        reader.place = name
        header.entries.append(try reader.readEntry(name))
        reader.place = "the header"
      }
    }
    skipSpace()
    guard position == text.count else { throw unexpected(allowed: "spaces after the header's object") }
  }

  private mutating func readMetadata() throws -> [String: String] {
    place = "__metadata__"
    defer { place = "the header" }
    var metadata: [String: String] = [:]
    try readObject { reader, key in
      guard metadata.updateValue(try reader.readString(), forKey: key) == nil else { throw reader.twice(key) }
    }
    return metadata
  }

  private mutating func readEntry(_ name: String) throws -> TensorHeader.Entry {
    var format: TensorFormat?
    var shape: [Int]?
    var offsets: [Int]?
    try readObject { reader, key in
      switch key {
      case "dtype":
        guard format == nil else { throw reader.twice(key) }
        let found = try reader.readString()
        format = TensorFormat(rawValue: found)
        guard format != nil else {
          throw Diagnostic(
            .data, "unknown tensor format", file: reader.file, path: name, found: found,
            allowed: TensorFormat.allCases.map(\.rawValue).joined(separator: ", "))
        }
      case "shape":
        guard shape == nil else { throw reader.twice(key) }
        shape = try reader.readIntegers()
      case "data_offsets":
        guard offsets == nil else { throw reader.twice(key) }
        offsets = try reader.readIntegers()
      default:
        throw Diagnostic(
          .data, "unknown key", file: reader.file, path: name, found: key,
          allowed: "dtype, shape, data_offsets")
      }
    }
    guard let format, let shape, let offsets else {
      let missing = format == nil ? "dtype" : shape == nil ? "shape" : "data_offsets"
      throw Diagnostic(
        .data, "a key is missing", file: file, path: name, found: "nothing", allowed: missing,
        hint: "add \(missing)")
    }
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw Diagnostic(
        .data, "the tensor's place is not a range", file: file, path: name, found: "data_offsets \(offsets)",
        allowed: "the first byte and the one after the last")
    }
    return TensorHeader.Entry(
      description: TensorDescription(name, format, shape), range: offsets[0]..<offsets[1])
  }

  // MARK: JSON

  /// Reads an object and hands each key over, with the reader before the key's value.
  private mutating func readObject(_ readValue: (inout HeaderReader, String) throws -> Void) throws {
    try expect(UInt8(ascii: "{"))
    if accept(UInt8(ascii: "}")) { return }
    repeat {
      let key = try readString()
      try expect(UInt8(ascii: ":"))
      try readValue(&self, key)
    } while accept(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"))
  }

  private mutating func readIntegers() throws -> [Int] {
    try expect(UInt8(ascii: "["))
    if accept(UInt8(ascii: "]")) { return [] }
    var numbers: [Int] = []
    repeat { numbers.append(try readInteger()) } while accept(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"))
    return numbers
  }

  private mutating func readInteger() throws -> Int {
    skipSpace()
    let start = position
    var number = 0
    while let byte = peek(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
      let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
      let (sum, isStillTooLarge) = tens.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
      guard !isTooLarge, !isStillTooLarge else { throw unexpected(allowed: "a number below 2^63") }
      number = sum
      position += 1
    }
    guard position > start else { throw unexpected(allowed: "a whole number, zero or more") }
    guard position == start + 1 || text[start] != UInt8(ascii: "0") else {
      position = start
      throw unexpected(allowed: "a number without leading zeros")
    }
    return number
  }

  private mutating func readString() throws -> String {
    try expect(UInt8(ascii: "\""))
    var bytes: [UInt8] = []
    while true {
      guard let byte = peek() else { throw unexpected(allowed: "the end of the text, a quotation mark") }
      guard byte >= 0x20 else { throw unexpected(allowed: "no control characters in text") }
      position += 1
      if byte == UInt8(ascii: "\"") { break }
      guard byte == UInt8(ascii: "\\") else {
        bytes.append(byte)
        continue
      }
      bytes.append(contentsOf: String(try readEscape()).utf8)
    }
    guard let string = String(validating: bytes, as: UTF8.self) else {
      throw unexpected(allowed: "UTF-8 text before this")
    }
    return string
  }

  private mutating func readEscape() throws -> Unicode.Scalar {
    guard let byte = peek() else { throw unexpected(allowed: "an escaped character") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let first = try readHexadecimal()
      if let scalar = Unicode.Scalar(first) { return scalar }
      // The first half of a pair: the second has to follow.
      guard first < 0xdc00, peek() == UInt8(ascii: "\\") else {
        throw unexpected(allowed: "a whole character")
      }
      position += 1
      guard peek() == UInt8(ascii: "u") else { throw unexpected(allowed: "the second half of a character") }
      position += 1
      let second = try readHexadecimal()
      guard (0xdc00...0xdfff).contains(second),
        let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
      else { throw unexpected(allowed: "the second half of a character") }
      return scalar
    default:
      position -= 1
      throw unexpected(allowed: "one of \" \\ / b f n r t u after a backslash")
    }
  }

  private mutating func readHexadecimal() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw unexpected(allowed: "four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  private func peek() -> UInt8? { position < text.count ? text[position] : nil }

  private mutating func skipSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
  }

  private mutating func accept(_ byte: UInt8) -> Bool {
    skipSpace()
    guard peek() == byte else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ byte: UInt8) throws {
    guard accept(byte) else { throw unexpected(allowed: "\(Character(Unicode.Scalar(byte)))") }
  }

  private func unexpected(allowed: String) -> Diagnostic {
    let found = peek().map { byte in
      (0x20..<0x7f).contains(byte) ? "\(Character(Unicode.Scalar(byte)))" : "the byte \(byte)"
    }
    return Diagnostic(
      .data, "the header is not the JSON of a safetensors file", file: file, path: place,
      found: "\(found ?? "the end") as character \(position) of the header", allowed: allowed)
  }

  private func twice(_ key: String) -> Diagnostic {
    Diagnostic(.data, "a key stands twice", file: file, path: place, found: key, allowed: "each key once")
  }
}
