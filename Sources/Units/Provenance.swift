/// How a number came to be known.
public enum Tag: String, CaseIterable, Codable, Sendable {
  /// Read off real hardware, by this project or in a recording; the source says which.
  case measured
  /// Printed in a paper, a report, a data sheet.
  case published
  /// Computed from other numbers; the source says how.
  case derived
  /// Not known: chosen, and said so.
  case assumed
}

/// A value together with its birthplace.
public struct Sourced<Value: Sendable>: Sendable {
  public let value: Value
  public let tag: Tag
  /// Paper and table, data sheet, recording, or the derivation.
  public let source: String

  public init(_ value: Value, tag: Tag, source: String) {
    self.value = value
    self.tag = tag
    self.source = source
  }

  public func map<Other: Sendable>(_ transform: (Value) throws -> Other) rethrows -> Sourced<Other> {
    Sourced<Other>(try transform(value), tag: tag, source: source)
  }
}

extension Sourced: Equatable where Value: Equatable {}
extension Sourced: Hashable where Value: Hashable {}
