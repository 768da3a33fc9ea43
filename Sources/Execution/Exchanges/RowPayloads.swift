import Kernels
import Operators

extension RowPayload {
  /// Nil for a format that rows cannot take.
  init?(_ format: Format) {
    switch format {
    case .float32: self = .float32
    case .bfloat16: self = .bfloat16
    case .float8: self = .float8
    default: return nil
    }
  }
}
