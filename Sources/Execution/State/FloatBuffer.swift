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
/// What experts receive differs from micro-batch to micro-batch. Pages come when they are first written, so that room
/// to spare costs nothing, while each replacement has all its pages to get anew.
struct GrowingBuffer<Element: BitwiseCopyable> {
  private final class Storage {
    let pointer: UnsafeMutablePointer<Element>
    let count: Int

    init(count: Int) {
      self.count = count
      let bytes = max(64, count * MemoryLayout<Element>.stride)
      pointer = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        .bindMemory(to: Element.self, capacity: max(1, count))
    }

    deinit { pointer.deallocate() }
  }

  private var storage: Storage?

  /// Room for at least `count` elements, not initialised; what was there is lost when the buffer grows.
  mutating func pointer(count: Int) -> UnsafeMutablePointer<Element> {
    if let storage, storage.count >= count { return storage.pointer }
    let grown = Storage(count: 2 * count)
    storage = grown
    return grown.pointer
  }

  /// What was last asked for.
  ///
  /// - Precondition: Something was.
  var pointer: UnsafeMutablePointer<Element> {
    guard let storage else { preconditionFailure("the buffer was never filled") }
    return storage.pointer
  }
}
