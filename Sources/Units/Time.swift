/// A length of time, in whole picoseconds.
///
/// Picoseconds in 64 bits reach 106 days: long enough for a step, short enough that a byte on a 400 Gb/s link
/// (20 ps) is not rounded away. Whole runs are counted in ``Days`` of `Double`, not in spans.
@frozen
public struct Span: Hashable, Comparable, Sendable {
  public var picoseconds: Int64

  @inlinable public init(picoseconds: Int64) { self.picoseconds = picoseconds }

  /// Rounds to the nearest picosecond, the one rounding rule of the project.
  ///
  /// - Precondition: `seconds` is finite and its magnitude is below 100 days.
  @inlinable public init(seconds: Double) {
    precondition(seconds.isFinite && abs(seconds) < 8.64e6, "a span of \(seconds) s is out of range")
    picoseconds = Int64((seconds * 1e12).rounded(.toNearestOrEven))
  }

  /// The longest that a model of a task's time answers: three days, so that some tens still add up in 64 bits.
  public static let longestTask = Span(picoseconds: 259_200_000_000_000_000)

  /// Rounds as ``init(seconds:)``; whatever is longer than ``longestTask``, infinity too, is taken as that.
  ///
  /// - Precondition: `seconds` is a number.
  @inlinable public init(modelled seconds: Double) {
    self.init(seconds: min(seconds, Span.longestTask.seconds))
  }

  @inlinable public init(milliseconds: Double) { self.init(seconds: milliseconds * 1e-3) }
  @inlinable public init(microseconds: Double) { self.init(seconds: microseconds * 1e-6) }

  public static let zero = Span(picoseconds: 0)

  @inlinable public var seconds: Double { Double(picoseconds) * 1e-12 }
  @inlinable public var milliseconds: Double { Double(picoseconds) * 1e-9 }
  @inlinable public var microseconds: Double { Double(picoseconds) * 1e-6 }

  @inlinable public static func < (a: Span, b: Span) -> Bool { a.picoseconds < b.picoseconds }
  @inlinable public static func + (a: Span, b: Span) -> Span {
    Span(picoseconds: a.picoseconds + b.picoseconds)
  }
  @inlinable public static func - (a: Span, b: Span) -> Span {
    Span(picoseconds: a.picoseconds - b.picoseconds)
  }
  @inlinable public static func += (a: inout Span, b: Span) { a.picoseconds += b.picoseconds }
  @inlinable public static func -= (a: inout Span, b: Span) { a.picoseconds -= b.picoseconds }
  @inlinable public static func * (a: Span, factor: Int) -> Span {
    Span(picoseconds: a.picoseconds * Int64(factor))
  }

  /// A share or a multiple of this span, rounded to the nearest picosecond.
  @inlinable public func scaled(by factor: Double) -> Span {
    Span(picoseconds: Int64((Double(picoseconds) * factor).rounded(.toNearestOrEven)))
  }
}

/// A point on the simulated clock, in picoseconds since the step began.
@frozen
public struct Instant: Hashable, Comparable, Sendable {
  public var picoseconds: Int64

  @inlinable public init(picoseconds: Int64) { self.picoseconds = picoseconds }

  public static let start = Instant(picoseconds: 0)

  /// Later than anything that happens.
  public static let never = Instant(picoseconds: .max)

  @inlinable public var sinceStart: Span { Span(picoseconds: picoseconds) }

  @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.picoseconds < b.picoseconds }
  @inlinable public static func + (a: Instant, b: Span) -> Instant {
    Instant(picoseconds: a.picoseconds + b.picoseconds)
  }
  @inlinable public static func - (a: Instant, b: Instant) -> Span {
    Span(picoseconds: a.picoseconds - b.picoseconds)
  }
}
