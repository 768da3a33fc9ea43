/// How the numbers of a tensor are stored.
public enum Format: String, CaseIterable, Codable, Sendable {
  case float32 = "fp32"
  case bfloat16 = "bf16"
  case float16 = "fp16"
  /// E4M3 with one float32 scale for each tile of 128 elements, as DeepSeek-V3 trains with.
  case float8 = "fp8"

  /// Bytes of one element, tile scales included.
  public var bytesPerElement: Double {
    switch self {
    case .float32: 4
    case .bfloat16, .float16: 2
    case .float8: 1 + 4.0 / 128
    }
  }
}

/// One of the three passes over an operator.
public enum Pass: UInt8, CaseIterable, Codable, Sendable {
  /// `F`: outputs from inputs.
  case forward
  /// `B` (or `b`): the gradient of the inputs.
  case inputGradient
  /// `W`: the gradient of the parameters.
  case weightGradient

  public var name: String {
    switch self {
    case .forward: "forward"
    case .inputGradient: "input_gradient"
    case .weightGradient: "weight_gradient"
    }
  }
}
