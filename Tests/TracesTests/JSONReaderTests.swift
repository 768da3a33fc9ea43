import Documents
import Testing

@testable import Traces

private func reader(_ text: String, windowBytes: Int = 256 << 10) throws -> JSONReader {
  JSONReader(try ByteSource(bytes: Array(text.utf8), named: "file", windowBytes: windowBytes))
}

private func refusal(_ bytes: [UInt8]) -> Diagnostic? {
  do {
    var json = JSONReader(try ByteSource(bytes: bytes, named: "file", windowBytes: 16))
    try json.skipValue()
    try json.finish()
    return nil
  } catch { return error as? Diagnostic }
}

private let sample = """
  {"a": [1, -2.5, 3e2, true, null, "x\\n\\u00e9\\ud83d\\ude00ü"], "long key that passes a window" : {"b": []}, "": "\\""}
  """

@Suite struct JSONReaderTests {
  @Test(arguments: [16, 17, 23, 64, 4096]) func `values are pulled across windows`(window: Int) throws {
    var json = try reader(sample, windowBytes: window)
    try json.beginObject()
    #expect(try json.nextKey() && json.tokenIs("a"))
    try json.beginArray()
    #expect(try json.nextElement() && json.number().integer == 1)
    #expect(try json.nextElement() && json.number().double == -2.5)
    #expect(try json.nextElement() && json.number().integer == 300)
    #expect(try json.nextElement() && json.bool())
    #expect(try json.nextElement() && json.peek() == .null)
    try json.skipValue()
    #expect(try json.nextElement())
    try json.string()
    #expect(json.text == "x\né😀ü")
    #expect(try !json.nextElement())
    #expect(try json.nextKey() && json.tokenIs("long key that passes a window"))
    try json.skipValue()
    #expect(try json.nextKey() && json.tokenIs(""))
    try json.string()
    #expect(json.text == "\"")
    #expect(try !json.nextKey())
    try json.finish()
  }

  @Test func `a file that is cut off anywhere is refused at its end`() {
    let bytes = Array(sample.utf8)
    for count in 0..<bytes.count {
      let error = refusal(Array(bytes[..<count]))
      #expect(error?.status == .data && error?.file == "file", "after \(count)")
      #expect(error?.path == "byte \(count)" || error?.problem != "the JSON is cut off", "after \(count)")
    }
    #expect(refusal(bytes) == nil)
  }

  @Test(arguments: [
    ("[1,]", 3), ("[1 2]", 3), ("{\"a\" 1}", 5), ("{\"a\":1,}", 7), ("{a:1}", 1), ("[01]", 1), ("[1.]", 1),
    ("[-]", 2),
    ("[\"\\x\"]", 2), ("[\"\\u12g4\"]", 2), ("[\"\\ud800\"]", 2), ("[tru]", 4), ("[1] 2", 4), ("[}", 1),
    ("[\"\u{1}\"]", 2),
    ("", 0), ("  ", 2),
  ]) func `what is not JSON is refused with its byte`(text: String, byte: Int) {
    #expect(refusal(Array(text.utf8))?.path == "byte \(byte)")
  }

  @Test(
    arguments: [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]] as [[UInt8]]
  )
  func `what is not UTF-8 is refused`(bytes: [UInt8]) {
    #expect(refusal([0x5b, 0x22, 0x61] + bytes + [0x22, 0x5d])?.path == "byte 3")
  }

  @Test func `ten thousand nested arrays are refused`() {
    for bracket in ["[", "{\"a\":"] {
      let error = refusal(Array(String(repeating: bracket, count: 10_000).utf8))
      #expect(error?.problem == "the JSON is nested too deeply")
    }
  }

  @Test func `numbers keep every digit`() throws {
    func number(_ text: String) throws -> JSONNumber {
      var json = try reader(text)
      return try json.number()
    }
    #expect(try number("1740461679471346.123456").scaled(by: 6) == 1_740_461_679_471_346_123_456)
    #expect(try number("-0.0000005").scaled(by: 6) == -1)
    #expect(try number("0.0000004").scaled(by: 6) == 0)
    #expect(try number("1.7404616794713e+15").scaled(by: 0) == 1_740_461_679_471_300)
    #expect(try number("9223372036854775807").integer == Int64.max)
    #expect(try number("-9223372036854775808").integer == Int64.min)
    #expect(try number("9223372036854775808").integer == nil)
    #expect(try number("1e999999999").scaled(by: 6) == nil)
    #expect(try number("1e-999999999").scaled(by: 6) == 0)
    #expect(try number("12345678901234567890123").scaled(by: 0) == nil)
    #expect(try number("2.50").double == 2.5)
    #expect(try number("2.5").integer == nil)
    #expect(try number("NaN").isFinite == false)
    #expect(try number("-Infinity").scaled(by: 0) == nil)
    #expect(throws: Diagnostic.self) { try number(String(repeating: "1", count: 300_000)) }
  }

  @Test func `ten thousand mutants are read or refused`() {
    expectSurvival(of: [Array(sample.utf8), gzipped(Array(sample.utf8))]) { source in
      var json = JSONReader(source)
      try json.skipValue()
      try json.finish()
    }
  }
}
