/// Rows of the residual stream as they travel between stages: as they are, or in bfloat16.
final class RowMessage {
  private let values: UnsafeMutablePointer<Float>
  private let count: Int
  private let narrow: Buffer<UInt8>?

  /// - Parameter bytes: 4 or 2 for each of `count` elements.
  init(values: UnsafeMutablePointer<Float>, count: Int, bytes: Int) {
    self.values = values
    self.count = count
    narrow = bytes == 2 * count ? Buffer<UInt8>(count: bytes) : nil
  }

  /// Where bytes arrive.
  var room: UnsafeMutableRawBufferPointer {
    narrow?.bytes ?? UnsafeMutableRawBufferPointer(start: values, count: 4 * count)
  }

  func packed() -> UnsafeRawBufferPointer {
    guard let narrow else { return UnsafeRawBufferPointer(start: values, count: 4 * count) }
    RowFormat.bfloat16.pack(values, width: count, into: narrow.pointer)
    return UnsafeRawBufferPointer(narrow.bytes)
  }

  func unpack() {
    guard let narrow else { return }
    RowFormat.bfloat16.unpack(narrow.pointer, width: count, into: values)
  }
}
