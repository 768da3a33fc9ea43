import Foundation
import Testing
import Units

@testable import Documents

private func node(_ yaml: String) throws -> Node { try parseYAML(Data(yaml.utf8), file: "test.yaml") }

@Suite struct `Quantities` {
  @Test(arguments: [
    ("160 GB/s", 160e9), ("400 Gb/s", 50e9), ("1 B/s", 1), ("2.5 TB/s", 2.5e12), ("1e3 kB/s", 1e6),
    ("8 b/s", 1),
    ("1 PB/s", 1e15), ("0.5 MB/s", 5e5),
  ])
  func `a rate is read in its unit`(text: String, bytesPerSecond: Double) throws {
    #expect(try node(text).quantity(BytesPerSecond.self) == BytesPerSecond(bytesPerSecond))
  }

  @Test func `every kind reads its own units`() throws {
    #expect(try node("80 GiB").quantity(Bytes.self) == Bytes(80 << 30))
    #expect(try node("80 GB").quantity(Bytes.self) == Bytes(80_000_000_000))
    #expect(try node("3.7 us").quantity(Span.self) == Span(picoseconds: 3_700_000))
    #expect(try node("1 ps").quantity(Span.self) == Span(picoseconds: 1))
    #expect(try node("989 TFLOPS").quantity(FLOPsPerSecond.self) == FLOPsPerSecond(989e12))
    #expect(try node("250 GFLOP").quantity(FLOPs.self) == FLOPs(250e9))
    #expect(try node("1755 MHz").quantity(Hertz.self) == Hertz(1755e6))
    #expect(try node("10.2 kW").quantity(Watts.self) == Watts(10_200))
    #expect(try node("5.576 M$").quantity(Dollars.self) == Dollars(5_576_000))
    #expect(try node("2 $/GPU-hour").quantity(DollarsPerGPUHour.self) == DollarsPerGPUHour(2))
    #expect(try node("75 %").quantity(Ratio.self) == Ratio(0.75))
    #expect(try node("0.75").quantity(Ratio.self) == Ratio(0.75))
    #expect(try node("1").quantity(Ratio.self) == Ratio(1))
  }

  @Test(arguments: [
    "160", "160 GHz", "GB/s", "160GB/s", "nan GB/s", "inf GB/s", "-1 GB/s", "0 GB/s", "1e400 GB/s", "true",
    "~", "[1]",
    "{}", "\"\"", "160 gb/s", "160 GB/s extra",
  ])
  func `anything else is refused`(text: String) throws {
    let error = try #require(throws: Diagnostic.self) { try node(text).quantity(BytesPerSecond.self) }
    #expect(error.status == .data)
    #expect(error.allowed != nil)
  }

  /// Each of these once reached an integer conversion that stops the program.
  @Test func `an amount that its type cannot hold is refused`() throws {
    for text in ["1e300 s", "1e-300 s", "101 GB"] {
      #expect(throws: Diagnostic.self) { try node(text).quantity(Span.self) }
    }
    for text in ["1e300 B", "1e20 B", "1e-9 B"] {
      #expect(throws: Diagnostic.self) { try node(text).quantity(Bytes.self) }
    }
  }

  @Test func `zero is allowed only where it is asked for`() throws {
    #expect(try node("0 s").quantity(Span.self, allowingZero: true) == .zero)
    #expect(throws: Diagnostic.self) { try node("0 s").quantity(Span.self) }
    #expect(throws: Diagnostic.self) { try node("-1 s").quantity(Span.self, allowingZero: true) }
  }

  @Test func `a misspelled unit is answered with the likely one`() throws {
    let error = try #require(throws: Diagnostic.self) { try node("160 Gb/S").quantity(BytesPerSecond.self) }
    #expect(error.problem == "unknown unit")
    #expect(error.hint == "did you mean GB/s?")
  }

  @Test func `a sourced quantity keeps tag and source`() throws {
    let sourced = try node("{value: 160 GB/s, source: a paper, tag: published}").sourced(BytesPerSecond.self)
    #expect(sourced == Sourced(BytesPerSecond(160e9), tag: .published, source: "a paper"))
  }

  @Test(arguments: [
    ("160 GB/s", "needs its source"), ("{value: 160 GB/s, tag: published}", "missing"),
    ("{value: 160 GB/s, source: x}", "missing"), ("{source: x, tag: published}", "missing"),
    ("{value: 160 GB/s, source: \"\", tag: published}", "source is empty"),
    ("{value: 160 GB/s, source: x, tag: known}", "unknown choice"),
    ("{value: 160 GB/s, source: x, tag: published, unit: GB}", "unknown key"),
  ])
  func `a quantity without value, source or tag is refused`(text: String, problem: String) throws {
    let error = try #require(throws: Diagnostic.self) { try node(text).sourced(BytesPerSecond.self) }
    #expect(error.problem.contains(problem))
  }
}
