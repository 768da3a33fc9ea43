import Documents

/// Unpacks gzip files, in which recorded routing is kept.
///
/// Written for files of a few megabytes: one bit at a time, checked everywhere.
/// Source: RFC 1951 and RFC 1952.
struct Gzip {
  /// What a file may unpack to; a few kilobytes could otherwise name terabytes.
  static let sizeLimit = 256 << 20

  private let input: [UInt8]
  private let file: String
  private var position = 0
  private var bitBuffer: UInt32 = 0
  private var bitCount = 0
  private var output: [UInt8] = []

  static func isPacked(_ bytes: some Sequence<UInt8>) -> Bool { Array(bytes.prefix(2)) == [0x1f, 0x8b] }

  /// - Throws: A ``Diagnostic`` where the file is cut off, damaged or too large.
  static func unpacked(_ bytes: [UInt8], file: String) throws -> [UInt8] {
    var gzip = Gzip(input: bytes, file: file)
    repeat { try gzip.readMember() } while gzip.position < bytes.count
    return gzip.output
  }

  private init(input: [UInt8], file: String) {
    self.input = input
    self.file = file
  }

  private func damaged(_ found: String) -> Diagnostic {
    Diagnostic(
      .data, "the file is not a whole gzip file", file: file, path: "byte \(position)", found: found,
      hint: "it may have been cut off")
  }

  private mutating func byte() throws -> UInt8 {
    guard position < input.count else { throw damaged("its end") }
    defer { position += 1 }
    return input[position]
  }

  private mutating func readMember() throws {
    let start = output.count
    let head = try (0..<10).map { _ in try byte() }
    guard head[0] == 0x1f, head[1] == 0x8b, head[2] == 8 else { throw damaged("another format") }
    let flags = head[3]
    if flags & 4 != 0 {
      let length = try Int(byte()) | Int(byte()) << 8
      for _ in 0..<length { _ = try byte() }
    }
    // The file's name, then a comment, each up to a zero.
    for flag in [8, 16] as [UInt8] where flags & flag != 0 { while try byte() != 0 {} }
    if flags & 2 != 0 { for _ in 0..<2 { _ = try byte() } }
    (bitBuffer, bitCount) = (0, 0)
    while try !readBlock() {}
    let trailer = try (0..<8).map { _ in try UInt32(byte()) }
    let check = trailer[0] | trailer[1] << 8 | trailer[2] << 16 | trailer[3] << 24
    let length = trailer[4] | trailer[5] << 8 | trailer[6] << 16 | trailer[7] << 24
    guard length == UInt32(truncatingIfNeeded: output.count - start), check == checksum(output[start...])
    else {
      throw damaged("another checksum or length")
    }
  }

  // MARK: Blocks

  private mutating func bits(_ count: Int) throws -> Int {
    while bitCount < count {
      bitBuffer |= UInt32(try byte()) << UInt32(bitCount)
      bitCount += 8
    }
    let value = bitBuffer & (1 << UInt32(count) - 1)
    bitBuffer >>= UInt32(count)
    bitCount -= count
    return Int(value)
  }

  private mutating func append(_ byte: UInt8) throws {
    guard output.count < Self.sizeLimit else {
      throw Diagnostic(
        .data, "the file unpacks to too much", file: file, allowed: "at most \(Self.sizeLimit) bytes")
    }
    output.append(byte)
  }

  /// Reads a block and returns whether it was the last.
  private mutating func readBlock() throws -> Bool {
    let isLast = try bits(1) == 1
    switch try bits(2) {
    case 0:
      (bitBuffer, bitCount) = (0, 0)
      let length = try Int(byte()) | Int(byte()) << 8
      guard try (Int(byte()) | Int(byte()) << 8) == length ^ 0xffff else { throw damaged("another length") }
      for _ in 0..<length { try append(byte()) }
    case 1:
      let lengths =
        Array(repeating: 8, count: 144) + Array(repeating: 9, count: 112) + Array(repeating: 7, count: 24)
        + Array(repeating: 8, count: 8)
      try readSymbols(PrefixCode(lengths), PrefixCode(Array(repeating: 5, count: 30)))
    case 2:
      let (symbols, distances) = try readCodes()
      try readSymbols(symbols, distances)
    default: throw damaged("an unknown kind of block")
    }
    return isLast
  }

  private mutating func readCodes() throws -> (PrefixCode, PrefixCode) {
    let (symbolCount, distanceCount, count) = (try bits(5) + 257, try bits(5) + 1, try bits(4) + 4)
    let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    var lengthLengths = Array(repeating: 0, count: 19)
    for index in order.prefix(count) { lengthLengths[index] = try bits(3) }
    let code = PrefixCode(lengthLengths)
    var lengths: [Int] = []
    while lengths.count < symbolCount + distanceCount {
      switch try symbol(code) {
      case 16:
        guard let last = lengths.last else { throw damaged("a repetition of nothing") }
        lengths += Array(repeating: last, count: try bits(2) + 3)
      case 17: lengths += Array(repeating: 0, count: try bits(3) + 3)
      case 18: lengths += Array(repeating: 0, count: try bits(7) + 11)
      case let length: lengths.append(length)
      }
    }
    guard lengths.count == symbolCount + distanceCount else { throw damaged("too many code lengths") }
    return (PrefixCode(Array(lengths[..<symbolCount])), PrefixCode(Array(lengths[symbolCount...])))
  }

  private mutating func readSymbols(_ symbols: PrefixCode, _ distances: PrefixCode) throws {
    while true {
      let symbol = try symbol(symbols)
      if symbol < 256 {
        try append(UInt8(symbol))
        continue
      }
      if symbol == 256 { return }
      guard symbol < 286 else { throw damaged("an unknown length") }
      let length = symbol == 285 ? 258 : try extended(symbol - 257, perExtraBit: 4) + 3
      let distanceSymbol = try self.symbol(distances)
      guard distanceSymbol < 30 else { throw damaged("an unknown distance") }
      let distance = try extended(distanceSymbol, perExtraBit: 2) + 1
      guard distance <= output.count else { throw damaged("a distance beyond the start") }
      for _ in 0..<length { try append(output[output.count - distance]) }
    }
  }

  /// The number of a length or distance symbol: every few symbols there is one more bit to read.
  private mutating func extended(_ symbol: Int, perExtraBit step: Int) throws -> Int {
    guard symbol >= 2 * step else { return symbol }
    let extra = symbol / step - 1
    return (step + symbol % step) << extra + (try bits(extra))
  }

  private mutating func symbol(_ code: PrefixCode) throws -> Int {
    var (value, first, index) = (0, 0, 0)
    for length in 1...15 {
      value |= try bits(1)
      let count = code.counts[length]
      if value - count < first { return code.symbols[index + value - first] }
      index += count
      first = (first + count) << 1
      value <<= 1
    }
    throw damaged("an unknown code")
  }

  private func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    let table = (0..<256 as Range<UInt32>).map { start in
      (0..<8).reduce(start) { value, _ in value & 1 == 1 ? 0xedb8_8320 ^ value >> 1 : value >> 1 }
    }
    return ~bytes.reduce(~0 as UInt32) { table[Int(($0 ^ UInt32($1)) & 0xff)] ^ $0 >> 8 }
  }
}

/// A canonical prefix code: how many codes there are of each length, and their symbols in the order of the codes.
private struct PrefixCode {
  var counts = Array(repeating: 0, count: 16)
  var symbols: [Int]

  init(_ lengths: [Int]) {
    for length in lengths where length > 0 { counts[length] += 1 }
    symbols = lengths.indices.filter { lengths[$0] > 0 }.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
  }
}
