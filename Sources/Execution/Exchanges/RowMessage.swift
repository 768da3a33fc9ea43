import Kernels

/// Rows of the residual stream as they travel between stages: as they are, or narrower.
final class RowMessage {
  private let values: UnsafeMutablePointer<Float>
  private let rows: Int
  private let width: Int
  private let payload: RowPayload
  private let narrow: Buffer<UInt8>?

  init(_ payload: RowPayload, values: UnsafeMutablePointer<Float>, rows: Int, width: Int) {
    self.payload = payload
    self.values = values
    self.rows = rows
    self.width = width
    narrow = payload == .float32 ? nil : Buffer<UInt8>(count: rows * payload.bytesPerRow(width))
  }

  /// Where bytes arrive.
  var room: UnsafeMutableRawBufferPointer {
    narrow?.bytes ?? UnsafeMutableRawBufferPointer(start: values, count: 4 * rows * width)
  }

  func packed() -> UnsafeRawBufferPointer {
    if let narrow { payload.pack(values, rows: rows, width: width, into: narrow.pointer) }
    return UnsafeRawBufferPointer(room)
  }

  func unpack() {
    if let narrow { payload.unpack(narrow.pointer, rows: rows, width: width, into: values) }
  }
}
