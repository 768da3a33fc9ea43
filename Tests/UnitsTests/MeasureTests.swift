import TestSupport
import Testing
import Units

@Suite struct `Bytes and measures` {
  @Test func `an average number of bytes rounds to the nearest, ties to even`() {
    #expect(Bytes(rounding: 2.5).count == 2)
    #expect(Bytes(rounding: 3.5).count == 4)
    #expect(Bytes(rounding: 7391.6) == Bytes(7392))
  }

  @Test func `bytes add, subtract and multiply exactly`() {
    var draws = SeededGenerator(seed: 21)
    for _ in 0..<1000 {
      let a = Bytes(draws.pick(0...1 << 40))
      let b = Bytes(draws.pick(0...1 << 40))
      #expect(a + b - b == a)
      #expect(a * 3 == a + a + a)
      #expect((a < b) == (a.count < b.count))
      var sum = a
      sum += b
      #expect(sum == a + b)
    }
  }

  @Test func `more bytes never take less time, and a faster link never more`() {
    var draws = SeededGenerator(seed: 22)
    for _ in 0..<1000 {
      let few = Bytes(draws.pick(0...1 << 30))
      let many = few + Bytes(draws.pick(0...1 << 30))
      let slow = BytesPerSecond(Double(draws.pick(1...1000)) * 1e9)
      let fast = slow * 1.5
      #expect(few / slow <= many / slow)
      #expect(many / fast <= many / slow)
    }
  }

  @Test func `work over rate is time`() {
    #expect(FLOPs(989e12) / FLOPsPerSecond(989e12) == Span(seconds: 1))
    #expect(FLOPs.zero / FLOPsPerSecond(1) == .zero)
  }

  @Test func `amounts of one kind divide to a plain number`() {
    #expect(Watts(700) / Watts(350) == 2)
    #expect(Dollars(1.5) * 2 == Dollars(3))
    #expect(2 * Dollars(1.5) == Dollars(3))
    #expect(Dollars(3) / 2 == Dollars(1.5))
    #expect(Dollars(3) - Dollars(1) == Dollars(2))
    #expect(Hertz(1) < Hertz(2))
    var sum = Joules(1)
    sum += Joules(2)
    #expect(sum == Joules(3))
  }

  @Test func `a sourced value keeps its birthplace when it is mapped`() {
    let sourced = Sourced(BytesPerSecond(160e9), tag: .published, source: "a paper")
    let ratio = sourced.map { Ratio($0 / BytesPerSecond(200e9)) }
    #expect(ratio == Sourced(Ratio(0.8), tag: .published, source: "a paper"))
    #expect(ratio != Sourced(Ratio(0.8), tag: .assumed, source: "a paper"))
    #expect(Tag.allCases.map(\.rawValue) == ["measured", "published", "derived", "assumed"])
  }
}
