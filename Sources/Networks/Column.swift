/// A growing column of plain values without reference counts or bounds checks in release builds.
///
/// Arrays inside a class cost the engine's inner loop 19 times as much (uniqueness and exclusivity checks).
struct Column<Element: BitwiseCopyable>: ~Copyable {
  private(set) var base: UnsafeMutablePointer<Element>
  private(set) var count = 0
  private var capacity: Int

  init(capacity: Int = 16) {
    self.capacity = max(capacity, 1)
    base = .allocate(capacity: self.capacity)
  }

  init(repeating value: Element, count: Int) {
    self.init(capacity: count)
    base.initialize(repeating: value, count: count)
    self.count = count
  }

  deinit { base.deallocate() }

  subscript(index: Int) -> Element {
    @inline(__always) get {
      assert(index >= 0 && index < count)
      return base[index]
    }
    @inline(__always) nonmutating set {
      assert(index >= 0 && index < count)
      base[index] = newValue
    }
  }

  subscript(index: Int32) -> Element {
    @inline(__always) get { self[Int(index)] }
    @inline(__always) nonmutating set { self[Int(index)] = newValue }
  }

  @inline(__always) mutating func append(_ value: Element) {
    if count == capacity { grow(to: count + 1) }
    base[count] = value
    count += 1
  }

  /// Adds `further` elements; what they hold is up to the caller.
  mutating func extend(by further: Int, with value: Element) {
    if count + further > capacity { grow(to: count + further) }
    (base + count).initialize(repeating: value, count: further)
    count += further
  }

  @inline(__always) mutating func popLast() -> Element? {
    if count == 0 { return nil }
    count -= 1
    return base[count]
  }

  @inline(__always) mutating func removeAll() { count = 0 }

  @inline(never) private mutating func grow(to least: Int) {
    let larger = max(2 * capacity, least)
    let moved = UnsafeMutablePointer<Element>.allocate(capacity: larger)
    moved.update(from: base, count: count)
    base.deallocate()
    base = moved
    capacity = larger
  }
}

/// Segments of powers of two in one column; freed ones are used again.
struct Segments<Element: BitwiseCopyable>: ~Copyable {
  var column: Column<Element>
  private var free: [[Int32]] = Array(repeating: [], count: 31)

  init(capacity: Int) { column = Column(capacity: capacity) }

  /// The start of a segment of `1 << logarithm` elements, all `value`.
  mutating func allocate(logarithm: Int, filler value: Element) -> Int32 {
    if let start = free[logarithm].popLast() { return start }
    let start = column.count
    column.extend(by: 1 << logarithm, with: value)
    return Int32(start)
  }

  mutating func release(_ start: Int32, logarithm: Int) { free[logarithm].append(start) }

  /// Moves a segment's `count` elements to one of twice the room.
  mutating func enlarge(_ start: Int32, logarithm: Int, count: Int, filler value: Element) -> Int32 {
    let moved = allocate(logarithm: logarithm + 1, filler: value)
    (column.base + Int(moved)).update(from: column.base + Int(start), count: count)
    release(start, logarithm: logarithm)
    return moved
  }

  subscript(index: Int32) -> Element {
    @inline(__always) get { column[index] }
    @inline(__always) nonmutating set { column[index] = newValue }
  }
}
