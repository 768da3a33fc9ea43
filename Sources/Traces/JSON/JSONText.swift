/// The inside of JSON strings: escapes and UTF-8.
enum JSONText {
  /// The length of the escape that begins with a backslash here, a pair of surrogates taken together; nil where it is
  /// none.
  static func escapeLength(_ start: UnsafePointer<UInt8>) -> Int? {
    switch start[1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return 2
    case UInt8(ascii: "u"):
      guard let unit = unit(start + 2) else { return nil }
      guard 0xd800..<0xe000 ~= unit else { return 6 }
      guard unit < 0xdc00, start[6] == UInt8(ascii: "\\"), start[7] == UInt8(ascii: "u"),
        let second = self.unit(start + 8), 0xdc00..<0xe000 ~= second
      else { return nil }
      return 12
    default: return nil
    }
  }

  /// Four hexadecimal digits; each is looked at only where those before it are digits.
  private static func unit(_ start: UnsafePointer<UInt8>) -> UInt32? {
    var value: UInt32 = 0
    for index in 0..<4 {
      let byte = start[index]
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
      case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - UInt8(ascii: "A") + 10)
      default: return nil
      }
    }
    return value
  }

  /// The length of the character beyond ASCII that begins here; nil where the bytes are not UTF-8 (RFC 3629, table 3-7
  /// of Unicode).
  static func characterLength(_ start: UnsafePointer<UInt8>) -> Int? {
    func isContinuation(_ index: Int) -> Bool { start[index] & 0xc0 == 0x80 }
    switch start[0] {
    case 0xc2...0xdf: return isContinuation(1) ? 2 : nil
    case 0xe0...0xef:
      let second: ClosedRange<UInt8> =
        start[0] == 0xe0 ? 0xa0...0xbf : start[0] == 0xed ? 0x80...0x9f : 0x80...0xbf
      return second.contains(start[1]) && isContinuation(2) ? 3 : nil
    case 0xf0...0xf4:
      let second: ClosedRange<UInt8> =
        start[0] == 0xf0 ? 0x90...0xbf : start[0] == 0xf4 ? 0x80...0x8f : 0x80...0xbf
      return second.contains(start[1]) && isContinuation(2) && isContinuation(3) ? 4 : nil
    default: return nil
    }
  }

  /// Writes the text of a string whose escapes are known to be right, which is never longer; returns its bytes.
  static func resolve(_ text: UnsafeBufferPointer<UInt8>, into target: UnsafeMutablePointer<UInt8>) -> Int {
    guard let base = text.baseAddress else { return 0 }
    var (index, count) = (0, 0)
    func append(_ byte: UInt8) {
      target[count] = byte
      count += 1
    }
    while index < text.count {
      guard base[index] == UInt8(ascii: "\\") else {
        append(base[index])
        index += 1
        continue
      }
      switch base[index + 1] {
      case UInt8(ascii: "b"): append(8)
      case UInt8(ascii: "f"): append(12)
      case UInt8(ascii: "n"): append(10)
      case UInt8(ascii: "r"): append(13)
      case UInt8(ascii: "t"): append(9)
      case UInt8(ascii: "u"):
        var value = unit(base + index + 2) ?? 0xfffd
        if 0xd800..<0xdc00 ~= value {
          value = 0x10000 + (value - 0xd800) << 10 + (unit(base + index + 8) ?? 0xdc00) - 0xdc00
          index += 6
        }
        index += 4
        for byte in UTF8.encode(Unicode.Scalar(value) ?? "\u{fffd}") ?? UTF8.encodedReplacementCharacter {
          append(byte)
        }
      case let other: append(other)
      }
      index += 2
    }
    return count
  }
}
