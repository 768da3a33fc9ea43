import Foundation
import Testing
import Units

@testable import Reports

@Suite struct NumbersTests {
  @Test func `fixed decimals agree with the C library on random numbers`() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      // Quarters are exact in binary, so both round the same number.
      let number = Double(Int.random(in: -4_000_000...4_000_000, using: &generator)) / 4
      let expected = String(format: "%.1f", number)
      #expect(fixed(number, decimals: 1) == (expected == "-0.0" ? "0.0" : expected))
    }
  }

  @Test(arguments: [
    (19.926, "19.93"), (127.44, "127.4"), (9.9996, "10.00"), (0.0042104, "0.004210"), (1234.6, "1235"),
    (0, "0"),
    (-1.5, "-1.500"), (99.995, "100.0"),
  ])
  func `four significant digits`(number: Double, text: String) {
    #expect(significant(number, digits: 4) == text)
  }

  @Test func `thousands are separated by commas`() {
    #expect(
      [0, 999, 1000, 2_664_000, -15_360].map(grouped) == ["0", "999", "1,000", "2,664,000", "-15,360"])
  }

  @Test func `grouping only adds commas`() {
    for number in [7, 12_345, Int.max, Int.min, -100] {
      #expect(grouped(number).filter { $0 != "," } == String(number))
    }
  }

  @Test func `prefixes carry when rounding does`() {
    #expect(FLOPsPerSecond(385.1e12).shown == "385.1 TFLOPS")
    #expect(FLOPs(250.5e9).shown == "250.5 GFLOP")
    #expect(counted(671_026_419_200) == "671.0 B")
    #expect(counted(14.8e12) == "14.80 T")
    #expect(counted(999_960) == "1.000 M")
    #expect(counted(12) == "12")
  }

  @Test func `durations take the unit that fits`() {
    #expect(Span(seconds: 19.926).shown == "19.93 s")
    #expect(Span(milliseconds: 127.44).shown == "127.4 ms")
    #expect(Span(microseconds: 5.2).shown == "5.200 µs")
    #expect(Span(picoseconds: 20_000).shown == "20.00 ns")
    #expect(Span.zero.shown == "0 s")
    #expect(Span(milliseconds: 999.96).shown == "1.000 s")
    #expect(Span(milliseconds: 26).shown(beside: Span(seconds: 19.926)) == "0.026 s")
    #expect(Span(microseconds: 26).shown(beside: Span(milliseconds: 127)) == "0.03 ms")
    #expect(days(54.14) == "54.1 days")
    #expect(days(0.5) == "12.0 hours")
  }

  @Test func `money, memory and shares`() {
    #expect(Dollars(5_328_000).shown == "$5.33 M")
    #expect(Dollars(238_000).shown == "$238 K")
    #expect(Dollars(12.4).shown == "$12.40")
    #expect(Dollars(999.999).shown == "$1.00 K")
    #expect(Bytes(Int64(80) << 30).shown == "80.0 GiB")
    #expect(Bytes(512).shown == "512 B")
    #expect(percent(0.3894) == "38.9 %")
    #expect([0.012, -0.012, -0.00001].map(signedPercent) == ["+1.2 %", "-1.2 %", "+0.0 %"])
    #expect(GPUHours(2_664_000).shown == "2.664 M GPU-hours")
  }

  @Test func `JSON numbers read back as themselves`() {
    for number in [0.1, 19.926, 1e-9, 5.328e6, -2.5, 1e300, 0] {
      #expect(Double(shortest(number)) == number)
    }
    #expect(
      json(.list([.text("a\"\\\n\u{1}é"), .null, .mapping([]), .list([])]))
        == "[\n  \"a\\\"\\\\\\n\\u0001é\",\n  null,\n  {},\n  []\n]\n")
  }

  @Test func `cells with commas, quotes and line feeds are quoted`() {
    #expect(
      ["plain", "a,b", "a\"b", "a\nb", ""].map(csvCell) == ["plain", "\"a,b\"", "\"a\"\"b\"", "\"a\nb\"", ""])
  }
}
