import Documents
import Units

/// Whole days and their parts; runs last longer than a ``Units/Span`` reaches.
@frozen
public struct Days: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// Tokens of training text.
@frozen
public struct Tokens: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

/// United States dollars for one kilowatt-hour.
@frozen
public struct DollarsPerKilowattHour: Measure {
  public let value: Double
  @inlinable public init(_ value: Double) { self.value = value }
}

extension Days: Quantity {
  public static let units: [(name: String, worth: Double)] = [("days", 1.0), ("years", 365.25)]
}
extension Tokens: Quantity {
  public static let units: [(name: String, worth: Double)] = [
    ("tokens", 1.0), ("B tokens", 1e9), ("T tokens", 1e12),
  ]
}
extension DollarsPerKilowattHour: Quantity {
  public static let units: [(name: String, worth: Double)] = [("$/kWh", 1.0)]
}
extension GPUHours: Quantity {
  public static let units: [(name: String, worth: Double)] = [
    ("GPU-hours", 1.0), ("K GPU-hours", 1e3), ("M GPU-hours", 1e6),
  ]
}

extension Joules {
  /// Joules of one kilowatt-hour.
  static let perKilowattHour = 3.6e6
  public var kilowattHours: Double { value / Self.perKilowattHour }
}
