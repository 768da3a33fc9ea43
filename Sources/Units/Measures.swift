/// A quantity with a unit: adds to its own kind, scales by a number, and never mixes with another kind.
public protocol Measure: Hashable, Comparable, Sendable {
  /// The amount in the unit that names the type (bytes, FLOPs, watts, …).
  var value: Double { get }
  init(_ value: Double)
}

extension Measure {
  public static var zero: Self { Self(0) }
  @inlinable public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
  @inlinable public static func + (a: Self, b: Self) -> Self { Self(a.value + b.value) }
  @inlinable public static func - (a: Self, b: Self) -> Self { Self(a.value - b.value) }
  @inlinable public static func += (a: inout Self, b: Self) { a = a + b }
  @inlinable public static func * (a: Self, factor: Double) -> Self { Self(a.value * factor) }
  @inlinable public static func * (factor: Double, a: Self) -> Self { Self(a.value * factor) }
  @inlinable public static func / (a: Self, divisor: Double) -> Self { Self(a.value / divisor) }
  /// The ratio of two amounts of one kind.
  @inlinable public static func / (a: Self, b: Self) -> Double { a.value / b.value }
}

/// Bytes per second, in one direction.
@frozen
public struct BytesPerSecond: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// Floating-point operations; a multiply-add is two.
@frozen
public struct FLOPs: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// Floating-point operations per second.
@frozen
public struct FLOPsPerSecond: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// Cycles per second.
@frozen
public struct Hertz: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// Joules per second.
@frozen
public struct Watts: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// Energy; a kilowatt-hour is 3.6 million.
@frozen
public struct Joules: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// United States dollars.
@frozen
public struct Dollars: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// Dollars for one GPU during one hour.
@frozen
public struct DollarsPerGPUHour: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// A pure number: a share, an efficiency, a factor.
@frozen
public struct Ratio: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// One GPU working for one hour.
@frozen
public struct GPUHours: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}
