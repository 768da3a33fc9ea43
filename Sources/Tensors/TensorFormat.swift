/// The element formats of a safetensors file, under the names the format gives them.
///
/// Source: github.com/huggingface/safetensors, `safetensors/src/tensor.rs`, `Dtype`.
public enum TensorFormat: String, CaseIterable, Sendable {
  case float32 = "F32"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case int64 = "I64"
  case uint8 = "U8"
  case float64 = "F64"
  case float16 = "F16"
  case float8E4M3 = "F8_E4M3"
  case float8E5M2 = "F8_E5M2"
  case bool = "BOOL"
  case int8 = "I8"
  case int16 = "I16"
  case uint16 = "U16"
  case uint32 = "U32"
  case uint64 = "U64"

  /// Bytes of one element.
  public var width: Int {
    switch self {
    case .uint8, .int8, .bool, .float8E4M3, .float8E5M2: 1
    case .bfloat16, .float16, .int16, .uint16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }
}

/// A tensor's name, format and shape, without its elements.
public struct TensorDescription: Hashable, Sendable {
  public var name: String
  public var format: TensorFormat
  /// Extents, the slowest first; empty for a single number.
  public var shape: [Int]

  public init(_ name: String, _ format: TensorFormat, _ shape: [Int]) {
    self.name = name
    self.format = format
    self.shape = shape
  }

  /// Bytes of all elements, or nil where the product does not fit or an extent is negative.
  var byteCount: Int? {
    var product = format.width
    for extent in shape {
      let (next, isTooLarge) = product.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !isTooLarge else { return nil }
      product = next
    }
    return product
  }
}
