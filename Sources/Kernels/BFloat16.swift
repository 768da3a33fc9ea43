import CKernels

/// Sixteen-bit numbers with float32's exponent: its upper half.
public enum BFloat16 {
  /// The nearest, ties to even; NaN stays NaN.
  public static func encode(_ x: Float) -> UInt16 {
    var code: UInt16 = 0
    withUnsafePointer(to: x) { ck_bf16_encode($0, &code, 1) }
    return code
  }

  public static func decode(_ code: UInt16) -> Float { Float(bitPattern: UInt32(code) << 16) }

  public static func encode(
    _ x: UnsafePointer<Float>, count: Int, into codes: UnsafeMutablePointer<UInt16>
  ) { ck_bf16_encode(x, codes, count) }

  public static func decode(
    _ codes: UnsafePointer<UInt16>, count: Int, into x: UnsafeMutablePointer<Float>
  ) { ck_bf16_decode(codes, x, count) }
}
