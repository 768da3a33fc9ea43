import Documents
import Foundation
import Testing

@testable import Traces

/// Everything that a source yields, and the error that ended it.
private func read(
  _ bytes: [UInt8], limits: ByteSource.Limits = .init(), windowBytes: Int = 256 << 10
) -> (bytes: [UInt8], error: Diagnostic?) {
  var all: [UInt8] = []
  do {
    var source = try ByteSource(bytes: bytes, named: "file", limits: limits, windowBytes: windowBytes)
    while let byte = try source.byte() { all.append(byte) }
    return (all, nil)
  } catch {
    return (all, error as? Diagnostic)
  }
}

@Suite struct ByteSourceTests {
  private let text = (0..<5_000).flatMap { Array("line \($0 % 97)\n".utf8) }

  @Test(arguments: [16, 100, 4096]) func `plain and packed files give the same bytes`(window: Int) {
    #expect(read(text, windowBytes: window).bytes == text)
    #expect(read(gzipped(text), windowBytes: window).bytes == text)
  }

  @Test func `members follow each other, with zeros at the end`() {
    let packed = gzipped(text) + gzipped([]) + gzipped([1, 2]) + [0, 0, 0]
    #expect(read(packed).bytes == text + [1, 2])
    #expect(read(packed).error == nil)
  }

  @Test func `a packed file that is cut off anywhere is refused with the place`() {
    let packed = gzipped(Array("the same words, the same words, and others".utf8))
    for count in 2..<packed.count {
      let error = read(Array(packed[..<count])).error
      #expect(error?.status == .data && error?.file == "file" && error?.path == "byte \(count)")
    }
  }

  @Test func `damage inside a packed file is refused`() {
    var packed = gzipped(text)
    packed[packed.count - 6] ^= 1
    #expect(read(packed).error?.found == "incorrect data check")
    #expect(read(gzipped(text) + [1, 2, 3]).error?.status == .data)
  }

  @Test func `bombs are refused by ratio and by size`() throws {
    let bomb = gzipped([UInt8](repeating: 0, count: 80 << 20))
    #expect(bomb.count < 100_000)
    var source = try ByteSource(bytes: bomb, named: "bomb")
    var error: Diagnostic?
    do { while let block = try source.bytes(1 << 16) { _ = block } } catch let thrown as Diagnostic {
      error = thrown
    }
    #expect(error?.problem == "the file unpacks to too much")
    #expect(error?.path?.hasPrefix("byte ") == true)

    let small = read(gzipped(text), limits: .init(unpackedBytes: 1000)).error
    #expect(small?.problem == "the file unpacks to too much")
  }

  @Test(arguments: [16, 64, 4096]) func `lines are found across windows`(window: Int) throws {
    var source = try ByteSource(
      bytes: Array("first\r\n\nthe third, longer than a window of sixteen\nlast".utf8), named: "file",
      windowBytes: window)
    var lines: [String] = []
    while let line = try source.line() { lines.append(String(decoding: line, as: UTF8.self)) }
    #expect(lines == ["first", "", "the third, longer than a window of sixteen", "last"])
  }

  @Test func `a value longer than allowed is refused`() throws {
    var source = try ByteSource(bytes: text, named: "file", limits: .init(valueBytes: 1024), windowBytes: 512)
    #expect(throws: Diagnostic.self) { _ = try source.bytes(5000) }
  }

  @Test func `the rest of a file is read up to a limit`() throws {
    var source = try ByteSource(bytes: gzipped(text), named: "file", windowBytes: 64)
    _ = try source.byte()
    #expect(try source.rest() == Array(text.dropFirst()))
    var other = try ByteSource(bytes: text, named: "file")
    #expect(throws: Diagnostic.self) { _ = try other.rest(limit: 100) }
  }

  @Test func `files that are absent and folders are unavailable`() throws {
    for path in ["/does/not/exist", FileManager.default.temporaryDirectory.path] {
      #expect {
        _ = try ByteSource(path: path)
      } throws: {
        ($0 as? Diagnostic)?.status == .unavailableFile
      }
    }
  }
}
