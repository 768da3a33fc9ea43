import Foundation
import TestSupport
import Testing

@testable import Documents

private func yaml(_ text: String) throws -> Node { try parseYAML(Data(text.utf8), file: "test.yaml") }
private func json(_ text: String) throws -> Node { try parseJSON(Data(text.utf8), file: "test.json") }

@Suite struct `Reading` {
  @Test func `YAML scalars are read as what they look like, quoted ones as text`() throws {
    let node = try yaml("{a: 1, b: 1.5, c: true, d: word, e: '1', f: null, g: [1, 2], h: {i: 1}}")
    let values = try node.entries().map(\.node.value)
    #expect(
      values == [
        .integer(1), .number(1.5), .bool(true), .text("word"), .text("1"), .null,
        .list([.integer(1), .integer(2)]),
        .mapping([.init("i", .integer(1))]),
      ])
  }

  @Test func `JSON keeps numbers, Booleans and text apart`() throws {
    let node = try json(
      #"{"a": 1, "b": 1.5, "c": true, "d": false, "e": "1", "f": null, "g": 0, "h": 1e3, "i": -7}"#)
    let values = try node.entries().map(\.node.value)
    #expect(
      values == [
        .integer(1), .number(1.5), .bool(true), .bool(false), .text("1"), .null, .integer(0), .number(1000),
        .integer(-7),
      ])
  }

  @Test func `JSON and YAML of one document read alike`() throws {
    let text = #"{"a": [1, 2.5, "x", true], "b": {"c": null}}"#
    #expect(try json(text).value == (try yaml(text).value))
  }

  @Test(arguments: ["{a: 1, a: 2}", "a: [", "\u{1}", "? [a]\n: b", "a: *nothing", "- a\nb: c"])
  func `YAML that cannot be read says so`(text: String) throws {
    let error = try #require(throws: Diagnostic.self) { try yaml(text) }
    #expect(error.status == .data)
    #expect(error.file == "test.yaml")
  }

  @Test(arguments: ["{", "[1,]x", "{\"a\": NaN}", "", "\u{FEFF}{]"])
  func `JSON that cannot be read says so`(text: String) throws {
    #expect(try #require(throws: Diagnostic.self) { try json(text) }.status == .data)
  }

  @Test func `bytes that are not text are refused`() {
    #expect(throws: Diagnostic.self) { try parseYAML(Data([0xFF, 0xFE, 0x00, 0xD8]), file: "x") }
    #expect(throws: Diagnostic.self) { try parseJSON(Data([0xFF, 0x00]), file: "x") }
  }

  @Test func `nesting and aliases cannot exhaust memory`() throws {
    #expect(throws: Diagnostic.self) {
      try yaml(String(repeating: "[", count: 100) + String(repeating: "]", count: 100))
    }
    var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...9 {
      bomb +=
        "a\(level): &a\(level) [\(Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", "))]\n"
    }
    let error = try #require(throws: Diagnostic.self) { try yaml(bomb) }
    #expect(error.problem.contains("too many values"))
  }

  @Test func `missing files, folders and endless devices are refused`() throws {
    #expect(
      try #require(throws: Diagnostic.self) { try readDocument(at: "/nowhere/x.yaml") }.status
        == .unavailableFile)
    #expect(try #require(throws: Diagnostic.self) { try readDocument(at: "/tmp") }.found == "a directory")
    #expect(
      try #require(throws: Diagnostic.self) { try readFile(at: "/dev/zero") }.problem.contains("too large"))
    #expect(try readFile(at: "/dev/null").isEmpty)
  }

  @Test func `the hash is that of sha256sum`() {
    #expect(sha256(Data("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(sha256(Data()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }

  @Test(arguments: [UInt64(1), 2, 3]) func `mutants are read or refused, never a crash`(seed: UInt64) throws {
    var draws = SeededGenerator(seed: seed)
    let original = Array(
      #"{"a": [1, -2.5e3, "x\n", true], "b": {"c": null, "d": {"value": "160 GB/s"}}}"#.utf8)
    let symbols = Array("0-9:{}[]\"' ,\n\t#&*!|>%@eE.\\u~".utf8)
    var refused = 0
    for _ in 0..<1500 {
      var bytes = original
      for _ in 0..<draws.pick(1...5) {
        let place = draws.pick(0...bytes.count - 1)
        switch draws.pick(0...3) {
        case 0 where bytes.count > 1: bytes.remove(at: place)
        case 1: bytes.insert(bytes[place], at: place)
        case 2: bytes[place] = UInt8(truncatingIfNeeded: draws.next())
        default: bytes[place] = symbols[draws.pick(0...symbols.count - 1)]
        }
      }
      for parse in [parseYAML, parseJSON] {
        do { _ = try parse(Data(bytes), "mutant") } catch is Diagnostic { refused += 1 }
      }
    }
    #expect(refused > 500)
  }
}
