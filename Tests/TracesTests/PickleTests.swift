import Documents
import Foundation
import Testing

@testable import Traces

/// A value as Python's pickle writes it in protocol 2, without its memo.
func pickled(_ value: Value) -> [UInt8] {
  func number(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
  func item(_ value: Value) -> [UInt8] {
    switch value {
    case .null: return [UInt8(ascii: "N")]
    case .bool(let flag): return [flag ? 0x88 : 0x89]
    case .integer(let whole): return [0x8a, 8] + number(whole, 8)
    case .number(let double):
      return [UInt8(ascii: "G")] + number(Int(bitPattern: UInt(double.bitPattern)), 8).reversed()
    case .text(let text): return [UInt8(ascii: "X")] + number(text.utf8.count, 4) + Array(text.utf8)
    case .list(let items):
      return [UInt8(ascii: "]"), UInt8(ascii: "(")] + items.flatMap(item) + [UInt8(ascii: "e")]
    case .mapping(let entries):
      return [UInt8(ascii: "}"), UInt8(ascii: "(")] + entries.flatMap { item(.text($0.key)) + item($0.value) }
        + [UInt8(ascii: "u")]
    }
  }
  return [0x80, 2] + item(value) + [UInt8(ascii: ".")]
}

private func read(_ bytes: [UInt8]) throws -> Value { try PickleReader.read(bytes, file: "a.pickle") }
private func read(_ text: String) throws -> Value { try read(Array(text.utf8)) }

private func refusal(_ bytes: [UInt8]) -> String? {
  do {
    _ = try read(bytes)
    return nil
  } catch { return (error as? Diagnostic).map { "\($0.problem) at \($0.path ?? "?")" } }
}

@Suite struct PickleTests {
  @Test func `plain data is read back`() throws {
    let value = Value.mapping([
      .init("a", .list([.integer(-5), .number(0.5), .null])), .init("b", .mapping([.init("c", .text("é"))])),
      .init("d", .bool(true)),
    ])
    #expect(try read(pickled(value)) == value)
  }

  /// What Python 3 writes for `{"k": [1, (2, True), None, b"x", 1.5, 70000, -1, 2**40], "t": "é"}`.
  @Test(arguments: [
    "(dp0\nVk\np1\n(lp2\nI1\na(I2\nI01\ntp3\naNa\("S'x'")\naF1.5\naI70000\naI-1\naL1099511627776L\nasVt\np4\nV\u{e9}\np5\ns."
  ])
  func `protocol 0 is read`(text: String) throws {
    #expect(
      try read(text.unicodeScalars.map { UInt8($0.value) })
        == .mapping([
          .init(
            "k",
            .list([
              .integer(1), .list([.integer(2), .bool(true)]), .null, .text("x"), .number(1.5),
              .integer(70000), .integer(-1),
              .integer(1 << 40),
            ])), .init("t", .text("é")),
        ]))
  }

  @Test func `protocol 5 is read`() throws {
    // pickle.dumps({"a": [1, 2], "b": (3, b"\x01")}, 5)
    let bytes: [UInt8] =
      [
        0x80, 5, 0x95, 0x1a, 0, 0, 0, 0, 0, 0, 0, 0x7d, 0x94, 0x28, 0x8c, 1, 0x61, 0x94, 0x5d, 0x94, 0x28,
        0x4b, 1, 0x4b, 2,
      ]
      + [0x65, 0x8c, 1, 0x62, 0x94, 0x4b, 3, 0x43, 1, 1, 0x94, 0x86, 0x94, 0x75, 0x2e]
    #expect(
      try read(bytes)
        == .mapping([
          .init("a", .list([.integer(1), .integer(2)])), .init("b", .list([.integer(3), .text("\u{1}")])),
        ]))
  }

  @Test func `a list that is filled after it was remembered is the same list`() throws {
    // l = []; [l, l] with 7 appended to the second mention.
    #expect(
      try read("(l]q\u{1}ah\u{1}K\u{7}a0h\u{1}h\u{1}\u{86}.".unicodeScalars.map { UInt8($0.value) })
        == .list([.list([.integer(7)]), .list([.integer(7)])]))
  }

  @Test(arguments: [
    ("cos\nsystem\n(S'true'\ntR.", "GLOBAL"), ("(S'a'\nios\nsystem\n.", "INST"), ("(os\n", "OBJ"),
    ("Nb.", "BUILD"), ("N)R.", "REDUCE"),
    ("P1\n.", "PERSID"), ("NQ.", "BINPERSID"),
  ])
  func `a pickle that asks to run code is refused`(text: String, name: String) {
    #expect {
      try read(text)
    } throws: { error in
      let error = error as? Diagnostic
      return error?.problem.contains("run code") == true && error?.found == name
        && error?.path?.hasPrefix("byte") == true
        && error?.status == .data
    }
  }

  @Test(
    arguments: [[0x93], [0x81], [0x92], [0x82, 1], [0x83, 1, 0], [0x84, 1, 0, 0, 0], [0x97], [0x98]]
      as [[UInt8]])
  func `newer instructions that name objects are refused too`(code: [UInt8]) {
    #expect(refusal([0x80, 4, 0x4e, 0x4e] + code + [0x2e])?.hasPrefix("the pickle asks to run code") == true)
  }

  @Test(
    arguments: [
      ([], "the pickle is cut off at byte 0"), ([0x2e], "the pickle takes from an empty stack at byte 0"),
      ([0x4e, 0x2e, 0x4e], "something follows the pickle at byte 2"),
      ([0x80, 9, 0x4e, 0x2e], "the pickle's protocol is unknown at byte 2"),
      ([0x58, 0xff, 0xff, 0xff, 0x7f, 0x61], "the pickle is cut off at byte 5"),
      ([0x8d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "a length is too large at byte 1"),
      ([0x68, 3, 0x2e], "the pickle recalls what it never remembered at byte 2"),
      ([0x4e, 0x4e, 0x61, 0x2e], "the pickle appends to what is no list at byte 2"),
      ([0x75, 0x2e], "the pickle has no mark here at byte 0"),
      ([0x7d, 0x28, 0x4e, 0x75, 0x2e], "the pickle sets items of what is no dictionary at byte 3"),
      ([0x7f], "this is no instruction of a pickle at byte 0"),
    ] as [([UInt8], String)])
  func `what is no pickle is refused with its byte`(bytes: [UInt8], expected: String) {
    #expect(refusal(bytes) == expected)
  }

  @Test func `a list that holds itself ends with an error`() {
    // l = []; l.append(l)
    #expect(
      refusal([0x5d, 0x71, 0, 0x68, 0, 0x61, 0x2e])?.hasPrefix("the file is nested too deeply") == true)
  }

  @Test func `lists of lists of lists do not multiply without end`() {
    // Each list holds the one before ten times: 10^40 values in 1.3 kB.
    var bytes: [UInt8] = [0x4e, 0x71, 0]
    for level in UInt8(1)...40 {
      bytes += [0x5d, 0x28]
      for _ in 0..<10 { bytes += [0x68, level - 1] }
      bytes += [0x65, 0x71, level]
    }
    #expect(refusal(bytes + [0x2e])?.hasPrefix("the file holds too many values") == true)
  }

  @Test func `ten thousand nested lists end with an error`() {
    let bytes = [UInt8](repeating: 0x28, count: 10_000) + [UInt8](repeating: 0x6c, count: 10_000) + [0x2e]
    #expect(refusal(bytes)?.hasPrefix("the file is nested too deeply") == true)
  }
}
