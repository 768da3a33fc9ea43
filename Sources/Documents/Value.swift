/// A parsed YAML or JSON value, before anyone has decided what it means.
public indirect enum Value: Hashable, Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case list([Value])
  /// In the order of the file.
  case mapping([Entry])

  /// A key of a mapping with its value.
  public struct Entry: Hashable, Sendable {
    public var key: String
    public var value: Value
    public init(_ key: String, _ value: Value) {
      self.key = key
      self.value = value
    }
  }

  /// How an error shows this value: scalars as written, containers by kind.
  public var shown: String {
    switch self {
    case .null: "nothing"
    case .bool(let flag): "\(flag)"
    case .integer(let number): "\(number)"
    case .number(let number): "\(number)"
    case .text(let text): "\"\(text.prefix(80))\""
    case .list(let items): "a list of \(items.count)"
    case .mapping(let entries): "a mapping of \(entries.count)"
    }
  }
}
