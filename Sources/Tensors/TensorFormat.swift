/// Tensors by name in a file: the safetensors format.
public enum TensorFormat: String, CaseIterable, Sendable {
  case float32 = "F32"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case int64 = "I64"
  case uint8 = "U8"
}
