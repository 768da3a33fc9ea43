/// Numbers at one place in memory, aligned for vector loads and zero at first.
///
/// Blocks and transports take pointers that outlive a call; an array's storage would not stay where it is.
final class Buffer<Element: BitwiseCopyable> {
  let pointer: UnsafeMutablePointer<Element>
  let count: Int

  init(count: Int) {
    self.count = count
    let bytes = max(64, count * MemoryLayout<Element>.stride)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    pointer = raw.assumingMemoryBound(to: Element.self)
  }

  deinit { pointer.deallocate() }

  var elements: UnsafeMutableBufferPointer<Element> {
    UnsafeMutableBufferPointer(start: pointer, count: count)
  }

  var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: pointer, count: count * MemoryLayout<Element>.stride)
  }

  /// The bytes of some elements.
  func bytes(_ elements: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(
      start: pointer + elements.lowerBound, count: elements.count * MemoryLayout<Element>.stride)
  }

  func clear() {
    UnsafeMutableRawPointer(pointer).initializeMemory(as: UInt8.self, repeating: 0, count: bytes.count)
  }
}

typealias FloatBuffer = Buffer<Float>

/// A buffer that is replaced by a larger one when it does not suffice, and kept otherwise.
///
/// What experts receive differs from micro-batch to micro-batch; after a few steps no buffer grows any more.
struct GrowingBuffer<Element: BitwiseCopyable> {
  private var buffer: Buffer<Element>?

  /// Room for at least `count` elements; what was there is lost when the buffer grows.
  mutating func pointer(count: Int) -> UnsafeMutablePointer<Element> {
    if let buffer, buffer.count >= count { return buffer.pointer }
    let grown = Buffer<Element>(count: max(count, (buffer?.count ?? 0) * 3 / 2))
    buffer = grown
    return grown.pointer
  }

  /// What was last asked for.
  ///
  /// - Precondition: Something was.
  var pointer: UnsafeMutablePointer<Element> {
    guard let buffer else { preconditionFailure("the buffer was never filled") }
    return buffer.pointer
  }
}
