import Units

/// Stretches of time, sorted and apart from each other.
public struct IntervalSet: Hashable, Sendable {
  public private(set) var starts: [Int64] = []
  public private(set) var ends: [Int64] = []

  /// The union of some intervals, empty ones left out.
  ///
  /// - Complexity: O(n log n).
  public init(_ intervals: [(start: Int64, end: Int64)]) {
    for interval in intervals.sorted(by: { ($0.start, $0.end) < ($1.start, $1.end) })
    where interval.end > interval.start {
      if let last = ends.last, interval.start <= last {
        ends[ends.count - 1] = max(last, interval.end)
      } else {
        starts.append(interval.start)
        ends.append(interval.end)
      }
    }
  }

  public var length: Span {
    Span(picoseconds: zip(starts, ends).reduce(0) { $0 + $1.1 - $1.0 })
  }

  /// What lies in this set and not in the other.
  ///
  /// - Complexity: O(n + m).
  public func subtracting(_ other: IntervalSet) -> IntervalSet {
    var pieces: [(start: Int64, end: Int64)] = []
    var cursor = 0
    for (start, end) in zip(starts, ends) {
      var position = start
      while cursor < other.starts.count && other.ends[cursor] <= position { cursor += 1 }
      var index = cursor
      while index < other.starts.count && other.starts[index] < end {
        if other.starts[index] > position { pieces.append((position, other.starts[index])) }
        position = max(position, other.ends[index])
        index += 1
      }
      if position < end { pieces.append((position, end)) }
    }
    return IntervalSet(pieces)
  }
}
