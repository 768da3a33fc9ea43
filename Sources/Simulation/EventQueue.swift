/// Pending events in total order: time first, then the order in which they were scheduled.
///
/// A 4-ary heap over packed keys `time << 64 | sequence << 32 | payload`, so that one comparison decides.
struct EventQueue: Sendable {
  private var heap: [UInt128] = []
  private var sequence: UInt32 = 0

  var isEmpty: Bool { heap.isEmpty }

  /// Time of the earliest event, in picoseconds; nil when there is none.
  var nextTime: Int64? { heap.first.map { Int64($0 >> 64) } }

  /// - Precondition: `time` is not negative.
  /// - Complexity: O(log n).
  mutating func schedule(_ payload: UInt32, at time: Int64) {
    let key = UInt128(UInt64(time)) << 64 | UInt128(sequence) << 32 | UInt128(payload)
    sequence += 1
    var index = heap.count
    heap.append(key)
    while index > 0 {
      let parent = (index - 1) >> 2
      if heap[parent] <= key { break }
      heap[index] = heap[parent]
      index = parent
    }
    heap[index] = key
  }

  /// - Complexity: O(log n).
  mutating func popEarliest() -> (time: Int64, payload: UInt32)? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    if !heap.isEmpty {
      var index = 0
      while true {
        let firstChild = index << 2 + 1
        if firstChild >= heap.count { break }
        var smallest = firstChild
        for child in firstChild + 1..<max(firstChild + 1, min(firstChild + 4, heap.count))
        where heap[child] < heap[smallest] {
          smallest = child
        }
        if heap[smallest] >= last { break }
        heap[index] = heap[smallest]
        index = smallest
      }
      heap[index] = last
    }
    return (Int64(first >> 64), UInt32(truncatingIfNeeded: first))
  }
}
