import TestSupport
import Testing
import Units

@Suite struct `Spans and instants` {
  @Test func `a span rounds to the nearest picosecond, ties to even`() {
    #expect(Span(seconds: 1e-12).picoseconds == 1)
    #expect(Span(seconds: 0.4e-12).picoseconds == 0)
    #expect(Span(seconds: 0.5e-12).picoseconds == 0)
    #expect(Span(seconds: 1.5e-12).picoseconds == 2)
    #expect(Span(seconds: 2.5e-12).picoseconds == 2)
    #expect(Span(seconds: -1.5e-12).picoseconds == -2)
    #expect(Span(milliseconds: 1) == Span(microseconds: 1000))
    #expect(Span(seconds: 1).picoseconds == 1_000_000_000_000)
  }

  @Test func `a byte on a 400 gigabit link is not rounded away`() {
    #expect(Bytes(1) / BytesPerSecond(50e9) == Span(picoseconds: 20))
  }

  @Test func `addition is exact, commutative and undone by subtraction`() {
    var draws = SeededGenerator(seed: 11)
    for _ in 0..<1000 {
      let a = Span(picoseconds: Int64(draws.pick(-1_000_000_000...1_000_000_000)))
      let b = Span(picoseconds: Int64(draws.pick(-1_000_000_000...1_000_000_000)))
      let t = Instant(picoseconds: Int64(draws.pick(0...1_000_000_000)))
      #expect(a + b == b + a)
      #expect(a + b - b == a)
      #expect((t + a) - t == a)
      #expect(a * 3 == a + a + a)
      #expect((a < b) == (a.picoseconds < b.picoseconds))
      #expect((t < t + a) == (a > .zero))
      #expect(Span(seconds: a.seconds) == a)
      var sum = a
      sum += b
      sum -= a
      #expect(sum == b)
    }
  }

  @Test func `scaling by one changes nothing, by zero leaves nothing`() {
    var draws = SeededGenerator(seed: 12)
    for _ in 0..<1000 {
      // Half an hour: beyond it a double of seconds no longer tells picoseconds apart.
      let span = Span(picoseconds: Int64(draws.pick(0...1_800_000_000_000_000)))
      #expect(span.scaled(by: 1) == span)
      #expect(span.scaled(by: 0) == .zero)
      #expect(abs(span.scaled(by: 0.5).picoseconds * 2 - span.picoseconds) <= 2)
    }
  }

  @Test func `never is later than any instant`() {
    #expect(Instant.start < .never)
    #expect(Instant.start.sinceStart == .zero)
    #expect(Instant.start + Span(seconds: 8e6) < .never)
  }

  @Test func `a modelled span is at most three days`() {
    #expect(Span(modelled: 1.5) == Span(seconds: 1.5))
    #expect(Span(modelled: .infinity) == .longestTask)
    #expect(Span.longestTask == Span(seconds: 3 * 86_400))
    #expect(Bytes(1 << 60) / BytesPerSecond(1) == .longestTask)
  }

  @Test func `a span beyond its range stops the program`() async {
    await #expect(processExitsWith: .failure) { _ = Span(seconds: .nan) }
    await #expect(processExitsWith: .failure) { _ = Span(seconds: 1e8) }
  }
}
