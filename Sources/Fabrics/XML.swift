import Documents

/// An element of an XML document, in a column of all elements in document order.
struct XMLElement: Sendable {
  let name: String
  /// -1 for the root.
  let parent: Int
  let attributes: [(name: String, value: String)]
  let line: Int

  func attribute(_ name: String) -> String? { attributes.first { $0.name == name }?.value }
}

/// Reads the small part of XML that NCCL writes: elements, attributes, comments, one declaration.
///
/// Document types, entities of one's own, and processing instructions are refused, so nothing can be drawn in from
/// outside or multiplied.
///
/// - Throws: A ``Documents/Diagnostic`` with the line.
/// - Complexity: O(bytes).
func parseXML(_ bytes: [UInt8], file: String) throws -> [XMLElement] {
  var reader = XMLReader(bytes: bytes, file: file)
  return try reader.read()
}

private struct XMLReader {
  let bytes: [UInt8]
  let file: String
  var place = 0
  var line = 1
  static let elementLimit = 100_000
  static let depthLimit = 64

  init(bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  func error(_ problem: String, found: String? = nil, allowed: String? = nil) -> Diagnostic {
    Diagnostic(.data, problem, file: file, path: "line \(line)", found: found, allowed: allowed)
  }

  var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  mutating func advance() {
    if bytes[place] == UInt8(ascii: "\n") { line += 1 }
    place += 1
  }

  func starts(with text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard place + count <= bytes.count else { return false }
    return (0..<count).allSatisfy { bytes[place + $0] == text.utf8Start[$0] }
  }

  mutating func skip(past end: StaticString, _ what: String) throws {
    let began = line
    while !starts(with: end) {
      guard next != nil else {
        line = began
        throw error("\(what) has no end")
      }
      advance()
    }
    place += end.utf8CodeUnitCount
  }

  mutating func skipBlanks() {
    while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { advance() }
  }

  mutating func name() throws -> String {
    let start = place
    while let byte = next, isNameByte(byte) { advance() }
    guard place > start, place - start <= 256 else {
      throw error(
        "a name is needed here", found: next.map { String(UnicodeScalar($0)) } ?? "the end of the file")
    }
    return String(decoding: bytes[start..<place], as: UTF8.self)
  }

  private func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: ":"):
      true
    default: false
    }
  }

  mutating func value() throws -> String {
    guard let quote = next, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
      throw error(
        "a value stands in quotes", found: next.map { String(UnicodeScalar($0)) } ?? "the end of the file")
    }
    advance()
    let start = place
    while let byte = next, byte != quote {
      if byte == UInt8(ascii: "<") { throw error("a value has no <") }
      advance()
    }
    guard next == quote else { throw error("a value has no closing quote") }
    guard place - start <= 4096 else { throw error("a value is too long", allowed: "4096 bytes") }
    guard let text = String(validating: bytes[start..<place], as: UTF8.self) else {
      throw error("a value is not UTF-8")
    }
    advance()
    guard text.contains("&") else { return text }
    var plain = text
    for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'")] {
      plain.replace(entity, with: character)
    }
    guard plain.replacing("&amp;", with: "").contains("&") == false else {
      throw error("an entity is not known", found: text, allowed: "&lt; &gt; &amp; &quot; &apos;")
    }
    return plain.replacing("&amp;", with: "&")
  }

  mutating func read() throws -> [XMLElement] {
    var elements: [XMLElement] = []
    var open: [Int] = []
    if starts(with: "\u{FEFF}") { place += 3 }
    if starts(with: "<?xml ") { try skip(past: "?>", "the declaration") }
    while true {
      // Text between elements means nothing in these files; anything but blanks is refused.
      skipBlanks()
      guard let byte = next else { break }
      guard byte == UInt8(ascii: "<") else {
        throw error("text stands where an element is needed", found: String(UnicodeScalar(byte)))
      }
      if starts(with: "<!--") {
        place += 4
        try skip(past: "-->", "a comment")
      } else if starts(with: "<!") || starts(with: "<?") {
        throw error("document types and instructions are not read", allowed: "elements and comments")
      } else if starts(with: "</") {
        place += 2
        let name = try name()
        skipBlanks()
        guard let last = open.popLast(), elements[last].name == name, next == UInt8(ascii: ">") else {
          throw error("an end has no beginning", found: "</\(name)>")
        }
        advance()
      } else {
        if open.isEmpty && !elements.isEmpty { throw error("a document has one root element") }
        try readElement(&elements, &open)
      }
    }
    if let last = open.last {
      line = elements[last].line
      throw error(
        "the file ends within an element", found: "<\(elements[last].name)>",
        allowed: "</\(elements[last].name)>")
    }
    guard !elements.isEmpty else { throw error("the file holds no element", found: "nothing") }
    return elements
  }

  private mutating func readElement(_ elements: inout [XMLElement], _ open: inout [Int]) throws {
    let began = line
    advance()
    let name = try name()
    var attributes: [(name: String, value: String)] = []
    while true {
      skipBlanks()
      guard let byte = next else { throw error("the file ends within an element", found: "<\(name)") }
      if byte == UInt8(ascii: "/") || byte == UInt8(ascii: ">") { break }
      let key = try self.name()
      skipBlanks()
      guard next == UInt8(ascii: "=") else { throw error("an attribute needs a value", found: key) }
      advance()
      skipBlanks()
      let value = try value()
      guard !attributes.contains(where: { $0.name == key }) else {
        throw error("an attribute stands twice", found: key)
      }
      attributes.append((key, value))
    }
    guard elements.count < Self.elementLimit else {
      throw error("the file has too many elements", allowed: "\(Self.elementLimit)")
    }
    elements.append(XMLElement(name: name, parent: open.last ?? -1, attributes: attributes, line: began))
    if starts(with: "/>") {
      place += 2
    } else if next == UInt8(ascii: ">") {
      advance()
      open.append(elements.count - 1)
      guard open.count <= Self.depthLimit else {
        throw error("the file is nested too deeply", allowed: "\(Self.depthLimit) levels")
      }
    } else {
      throw error("an element has no end", found: "<\(name)")
    }
  }
}
