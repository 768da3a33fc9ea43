import TestSupport
import Testing
import Timelines

@Suite struct `A set of intervals` {
  private func drawIntervals(_ random: inout SeededGenerator) -> [(start: Int64, end: Int64)] {
    (0..<random.pick(0...8)).map { _ in
      let start = Int64(random.pick(0...40))
      return (start, start + Int64(random.pick(-2...12)))
    }
  }

  private func bitmap(_ intervals: [(start: Int64, end: Int64)]) -> [Bool] {
    (0..<60 as Range<Int64>).map { moment in intervals.contains { $0.start <= moment && moment < $0.end } }
  }

  private func bitmap(_ set: IntervalSet) -> [Bool] {
    bitmap(zip(set.starts, set.ends).map { (start: $0, end: $1) })
  }

  @Test func `is what a bitmap is`() {
    var random = SeededGenerator(seed: 61)
    for _ in 0..<3000 {
      let (first, second) = (drawIntervals(&random), drawIntervals(&random))
      let (one, other) = (IntervalSet(first), IntervalSet(second))
      let bits = bitmap(first)
      #expect(bitmap(one) == bits)
      #expect(one.length.picoseconds == Int64(bits.count { $0 }))
      let rest = one.subtracting(other)
      #expect(bitmap(rest) == zip(bits, bitmap(second)).map { $0 && !$1 })
      for set in [one, rest] {
        #expect(zip(set.starts, set.ends).allSatisfy { $0 < $1 })
        #expect(zip(set.ends, set.starts.dropFirst()).allSatisfy { $0 < $1 }, "sorted and apart")
      }
    }
  }

  @Test func `may be empty`() {
    let empty = IntervalSet([(3, 3), (5, 4)])
    #expect(empty.starts.isEmpty && empty.length == .zero)
    #expect(IntervalSet([(1, 2)]).subtracting(empty) == IntervalSet([(1, 2)]))
    #expect(empty.subtracting(IntervalSet([(1, 2)])) == empty)
  }
}
