import Operators

/// How rows of numbers travel.
enum RowFormat {
  case float32
  case bfloat16

  /// Nil for a format that rows cannot take.
  init?(_ format: Format) {
    switch format {
    case .float32: self = .float32
    case .bfloat16: self = .bfloat16
    default: return nil
    }
  }

  /// Bytes of a row.
  func bytes(width: Int) -> Int {
    switch self {
    case .float32: 4 * width
    case .bfloat16: 2 * width
    }
  }

  func pack(_ row: UnsafePointer<Float>, width: Int, into bytes: UnsafeMutableRawPointer) {
    switch self {
    case .float32: bytes.copyMemory(from: row, byteCount: 4 * width)
    case .bfloat16:
      for index in 0..<width {
        bytes.storeBytes(of: row[index].roundedToBFloat16, toByteOffset: 2 * index, as: UInt16.self)
      }
    }
  }

  func unpack(_ bytes: UnsafeRawPointer, width: Int, into row: UnsafeMutablePointer<Float>) {
    switch self {
    case .float32: UnsafeMutableRawPointer(row).copyMemory(from: bytes, byteCount: 4 * width)
    case .bfloat16:
      for index in 0..<width {
        let half = bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
        row[index] = Float(bitPattern: UInt32(half) << 16)
      }
    }
  }
}

extension Float {
  /// The upper half after rounding to the nearest, ties to even; NaN stays NaN.
  var roundedToBFloat16: UInt16 {
    guard !isNaN else { return UInt16(truncatingIfNeeded: bitPattern >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bitPattern &+ 0x7fff &+ (bitPattern >> 16 & 1)) >> 16)
  }
}
