/// A column of plain values of fixed length that threads may share as long as they keep to their own entries.
///
/// Arrays inside a class cost an inner loop many times as much (uniqueness and exclusivity checks).
struct SharedColumn<Element: BitwiseCopyable>: @unchecked Sendable {
  let base: UnsafeMutablePointer<Element>
  let count: Int

  init(repeating value: Element, count: Int) {
    self.count = count
    base = .allocate(capacity: max(count, 1))
    base.initialize(repeating: value, count: count)
  }

  init(_ values: [Element]) {
    count = values.count
    base = .allocate(capacity: max(count, 1))
    values.withUnsafeBufferPointer { buffer in
      if let start = buffer.baseAddress { base.update(from: start, count: count) }
    }
  }

  /// The owner calls it once, when nobody reads any more.
  func release() { base.deallocate() }

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

  var array: [Element] { Array(UnsafeBufferPointer(start: base, count: count)) }
}

/// For each owner of links, the activities that use them, in the order in which they came.
struct UserLists: @unchecked Sendable {
  private struct List: BitwiseCopyable {
    var base: UnsafeMutablePointer<Int32>?
    var count: Int32 = 0
    var capacity: Int32 = 0
  }

  private let lists: SharedColumn<List>

  init(owners: Int) { lists = SharedColumn(repeating: List(), count: owners) }

  func release() {
    for owner in 0..<lists.count { lists[owner].base?.deallocate() }
    lists.release()
  }

  @inline(__always)
  func count(_ owner: Int) -> Int { Int(lists.base[owner].count) }

  @inline(__always)
  subscript(owner: Int, place: Int) -> Int32 { lists.base[owner].base.unsafelyUnwrapped[place] }

  func contains(_ slot: Int32, _ owner: Int) -> Bool {
    for place in 0..<count(owner) where self[owner, place] == slot { return true }
    return false
  }

  func append(_ slot: Int32, to owner: Int) {
    let list = lists.base + owner
    if list.pointee.count == list.pointee.capacity {
      let capacity = max(8, 2 * list.pointee.capacity)
      let larger = UnsafeMutablePointer<Int32>.allocate(capacity: Int(capacity))
      if let old = list.pointee.base {
        larger.update(from: old, count: Int(list.pointee.count))
        old.deallocate()
      }
      list.pointee.base = larger
      list.pointee.capacity = capacity
    }
    list.pointee.base.unsafelyUnwrapped[Int(list.pointee.count)] = slot
    list.pointee.count += 1
  }

  /// Takes a user out; the others keep their order.
  func remove(_ slot: Int32, from owner: Int) {
    let list = lists.base + owner
    let base = list.pointee.base.unsafelyUnwrapped
    let count = Int(list.pointee.count)
    var place = 0
    while place < count, base[place] != slot { place += 1 }
    if place == count { return }
    while place + 1 < count {
      base[place] = base[place + 1]
      place += 1
    }
    list.pointee.count -= 1
  }
}

/// Pending events by time, then by the order in which they were scheduled: a 4-ary heap.
struct EventHeap: ~Copyable {
  struct Key: BitwiseCopyable {
    var time: Int64
    var order: UInt32
    var payload: Int32

    @inline(__always) static func < (a: Self, b: Self) -> Bool {
      a.time < b.time || (a.time == b.time && a.order < b.order)
    }
  }

  private var keys: UnsafeMutablePointer<Key>
  private var capacity: Int
  private(set) var count = 0
  /// Events scheduled so far.
  private(set) var scheduled: UInt32 = 0

  init(capacity: Int = 1024) {
    self.capacity = capacity
    keys = .allocate(capacity: capacity)
  }

  deinit { keys.deallocate() }

  /// The earliest time, `Int64.max` when there is none.
  var first: Int64 { @inline(__always) get { count > 0 ? keys[0].time : .max } }

  /// - Complexity: O(log n).
  mutating func push(_ time: Int64, _ payload: Int32) {
    if count == capacity { grow() }
    let key = Key(time: time, order: scheduled, payload: payload)
    scheduled &+= 1
    var place = count
    count += 1
    while place > 0 {
      let parent = (place - 1) >> 2
      if !(key < keys[parent]) { break }
      keys[place] = keys[parent]
      place = parent
    }
    keys[place] = key
  }

  /// - Precondition: There is an event.
  /// - Complexity: O(log n).
  mutating func pop() -> Int32 {
    let first = keys[0].payload
    count -= 1
    if count == 0 { return first }
    let last = keys[count]
    var place = 0
    while true {
      let child = place << 2 + 1
      if child >= count { break }
      var least = child
      for other in child + 1..<min(child + 4, count) where keys[other] < keys[least] { least = other }
      if !(keys[least] < last) { break }
      keys[place] = keys[least]
      place = least
    }
    keys[place] = last
    return first
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Key>.allocate(capacity: 2 * capacity)
    larger.update(from: keys, count: count)
    keys.deallocate()
    keys = larger
    capacity *= 2
  }
}
