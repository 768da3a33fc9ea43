import Documents
import Foundation

/// The lines of a text file as words between white space; lines that are empty or begin with `#` are passed over.
struct TextLines: ~Copyable {
  /// Longest line that is read.
  static let lineLimit = 16 << 20

  private var source: ByteSource
  /// Of the line that was read last, from 1.
  private(set) var number = 0
  private var line = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
  /// Where each word of the line begins and ends.
  private var words: [Range<Int>] = []

  init(_ source: consuming ByteSource) { self.source = source }

  var file: String { source.file }
  var count: Int { words.count }

  func error(_ problem: String, found: String? = nil, allowed: String? = nil, hint: String? = nil)
    -> Diagnostic
  {
    Diagnostic(
      .data, problem, file: source.file, path: "line \(max(number, 1))", found: found, allowed: allowed,
      hint: hint)
  }

  /// Moves to the next line that says something; false at the end of the file.
  mutating func next() throws -> Bool {
    while let line = try source.line() {
      number += 1
      guard line.count <= Self.lineLimit else {
        throw error("the line is too long", allowed: "at most \(Self.lineLimit) bytes")
      }
      self.line = line
      words.removeAll(keepingCapacity: true)
      var index = 0
      while index < line.count {
        while index < line.count, line[index] <= 0x20 { index += 1 }
        let start = index
        while index < line.count, line[index] > 0x20 { index += 1 }
        if start < index { words.append(start..<index) }
      }
      if let first = words.first, line[first.lowerBound] != UInt8(ascii: "#") { return true }
    }
    return false
  }

  subscript(_ index: Int) -> String {
    String(decoding: UnsafeBufferPointer(rebasing: line[words[index]]), as: UTF8.self)
  }

  /// A word in an error: short, whatever it holds.
  func shown(_ index: Int) -> String {
    index < count
      ? "\"\(self[index].unicodeScalars.prefix(40).map { $0.value < 0x20 ? "?" : "\($0)" }.joined())\""
      : "nothing"
  }

  /// The whole number that a word is; nil where it is none or does not fit.
  func integer(_ index: Int) -> Int64? {
    var word = line[words[index]][...]
    let isNegative = word.first == UInt8(ascii: "-")
    if isNegative { word = word.dropFirst() }
    guard !word.isEmpty, word.count <= 18 else { return nil }
    var value: Int64 = 0
    for byte in word {
      guard byte &- 48 < 10 else { return nil }
      value = value * 10 + Int64(byte - 48)
    }
    return isNegative ? -value : value
  }

  /// The finite number that a word is, as C reads it; nil where it is none.
  func number(_ index: Int) -> Double? {
    if let whole = integer(index) { return Double(whole) }
    let range = words[index]
    guard range.count <= 64, let base = line.baseAddress else { return nil }
    // C also takes hexadecimal, `inf` and `nan`: none of them is meant here.
    for byte in line[range] {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "e"), UInt8(ascii: "E"):
        break
      default: return nil
      }
    }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65) { copy in
      for offset in 0..<range.count { copy[offset] = CChar(bitPattern: base[range.lowerBound + offset]) }
      copy[range.count] = 0
      var end: UnsafeMutablePointer<CChar>?
      guard let start = copy.baseAddress else { return nil }
      let value = strtod(start, &end)
      return end == start + range.count && value.isFinite ? value : nil
    }
  }
}
