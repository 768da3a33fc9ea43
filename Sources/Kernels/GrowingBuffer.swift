/// Memory that is kept from call to call and replaced only by a larger piece.
struct GrowingBuffer<Element: BitwiseCopyable>: ~Copyable {
  private(set) var base: UnsafeMutablePointer<Element>
  private var capacity: Int

  init(capacity: Int = 1) {
    self.capacity = max(1, capacity)
    base = .aligned(capacity: self.capacity)
  }

  deinit { base.deallocate() }

  /// Makes room for `count` elements; what was there is lost where it grows.
  mutating func reserve(_ count: Int) {
    guard count > capacity else { return }
    base.deallocate()
    capacity = max(count, capacity * 3 / 2)
    base = .aligned(capacity: capacity)
  }
}

extension UnsafeMutablePointer where Pointee: BitwiseCopyable {
  /// Memory that begins with a line of the caches, as vectors are read and written fastest; freed by `deallocate`.
  static func aligned(capacity: Int) -> Self {
    UnsafeMutableRawPointer.allocate(
      byteCount: max(1, capacity) * MemoryLayout<Pointee>.stride, alignment: 64
    ).bindMemory(to: Pointee.self, capacity: capacity)
  }
}
