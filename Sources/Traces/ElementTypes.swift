/// Sizes of tensor elements by the words that recordings use for their types.
enum ElementTypes {
  /// Bytes of one element: PyTorch's `Float` and `BFloat16`, C++'s `float`, `long int` and `c10::BFloat16`, also inside
  /// `Tensor(float)`; nil where the word is not known.
  ///
  /// Source: `c10/core/ScalarType.h`; C++ sizes as on 64-bit Linux.
  static func size(_ word: String) -> Int64? {
    var name = Substring(word)
    if let open = name.firstIndex(of: "("), name.hasSuffix(")"), name.hasPrefix("Tensor") {
      name = name[name.index(after: open)...].dropLast()
    }
    return sizes[String(name)]
  }

  private static let sizes: [String: Int64] = [
    "Byte": 1, "Char": 1, "Short": 2, "Int": 4, "Long": 8, "Half": 2, "Float": 4, "Double": 8,
    "ComplexHalf": 4,
    "ComplexFloat": 8, "ComplexDouble": 16, "Bool": 1, "BFloat16": 2, "QInt8": 1, "QUInt8": 1, "QInt32": 4,
    "Float8_e5m2": 1, "Float8_e4m3fn": 1, "Float8_e5m2fnuz": 1, "Float8_e4m3fnuz": 1, "Float8_e8m0fnu": 1,
    "Float4_e2m1fn_x2": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8,
    "float": 4, "double": 8, "long int": 8, "long": 8, "int": 4, "short int": 2, "short": 2, "signed char": 1,
    "unsigned char": 1, "char": 1, "bool": 1, "c10::Half": 2, "c10::BFloat16": 2, "c10::complex<float>": 8,
    "c10::complex<double>": 16, "c10::complex<c10::Half>": 4, "c10::Float8_e4m3fn": 1, "c10::Float8_e5m2": 1,
    "c10::Float8_e4m3fnuz": 1, "c10::Float8_e5m2fnuz": 1, "unsigned short": 2, "unsigned int": 4,
    "unsigned long": 8,
  ]
}
