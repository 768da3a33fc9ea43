/// A whole number of bytes.
@frozen
public struct Bytes: Hashable, Comparable, Sendable {
  public var count: Int64

  @inlinable public init(_ count: Int64) { self.count = count }
  @inlinable public init(_ count: Int) { self.count = Int64(count) }

  /// Rounds to the nearest byte, for sizes that are averages (traffic per token, a share of a shard).
  @inlinable public init(rounding count: Double) {
    self.count = Int64(count.rounded(.toNearestOrEven))
  }

  public static let zero = Bytes(Int64(0))

  @inlinable public static func < (a: Bytes, b: Bytes) -> Bool { a.count < b.count }
  @inlinable public static func + (a: Bytes, b: Bytes) -> Bytes { Bytes(a.count + b.count) }
  @inlinable public static func - (a: Bytes, b: Bytes) -> Bytes { Bytes(a.count - b.count) }
  @inlinable public static func += (a: inout Bytes, b: Bytes) { a.count += b.count }
  @inlinable public static func * (a: Bytes, factor: Int) -> Bytes { Bytes(a.count * Int64(factor)) }

  /// How long these bytes take at a rate.
  @inlinable public static func / (a: Bytes, rate: BytesPerSecond) -> Span {
    Span(modelled: Double(a.count) / rate.value)
  }
}

extension FLOPs {
  /// How long this work takes at a rate.
  @inlinable public static func / (work: FLOPs, rate: FLOPsPerSecond) -> Span {
    Span(modelled: work.value / rate.value)
  }
}
