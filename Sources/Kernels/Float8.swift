import CKernels

/// The eight-bit numbers that experts compute with: E4M3, with bias 7, no infinities and 448 as the largest.
///
/// Source: Micikevicius et al., "FP8 Formats for Deep Learning", arXiv 2209.05433, table 1.
public enum Float8 {
  /// Elements that share a scale, along a row and, for weights, along a column.
  ///
  /// Source: DeepSeek-V3, arXiv 2412.19437, section 3.3.2.
  public static let tile = 128
  public static let largest: Float = 448

  /// How a tile's elements are brought over its scale, `max(amax, 1e-4) / 448`; the ways differ in single codes.
  public enum Scaling: Int32, CaseIterable, Sendable {
    /// `x * (1 / scale)`, as DeepGEMM does.
    case reciprocal
    /// `x / scale`, as DeepSeek-V3's inference code does.
    case division
    /// `x * (448 / amax)`, as DeepEP does.
    case multiplication
    /// The scale rounded up to a power of two, then as `reciprocal`: UE8M0.
    case powerOfTwo
  }

  /// The code nearest to a number, ties to even; 448 beyond it, as CUDA's `satfinite`. NaN stays NaN.
  public static func encode(_ x: Float) -> UInt8 { code(of: x, saturates: true) }

  /// The code nearest to a number, ties to even; NaN from where 448 is no longer the nearest, as PyTorch casts.
  public static func encodeUnsaturated(_ x: Float) -> UInt8 { code(of: x, saturates: false) }

  private static func code(of x: Float, saturates: Bool) -> UInt8 {
    var code: UInt8 = 0
    withUnsafePointer(to: x) { ck_fp8_encode($0, &code, 1, saturates ? 1 : 0) }
    return code
  }

  /// The values of all 256 codes.
  public static let values: [Float] = {
    let codes = (0...255).map(UInt8.init)
    return [Float](unsafeUninitializedCapacity: 256) { buffer, count in
      // The buffer has room for 256, so it has an address.
      if let values = buffer.baseAddress { ck_fp8_decode(codes, 1, values, 256) }
      count = 256
    }
  }()

  public static func decode(_ code: UInt8) -> Float { values[Int(code)] }

  /// Scales that `width` elements need.
  public static func tiles(_ width: Int) -> Int { (width + tile - 1) / tile }

  // MARK: Codes and scales

  /// Quantises each row in tiles of 128; the last may be narrower.
  ///
  /// A tile with a NaN or an infinity in it does not come back finite.
  /// - Parameters:
  ///   - x: `[rows, width]`.
  ///   - codes: `[rows, width]`.
  ///   - scales: `[rows, tiles(width)]`.
  public static func quantizeRows(
    _ x: UnsafePointer<Float>, rows: Int, width: Int, scaling: Scaling = .reciprocal,
    codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutablePointer<Float>
  ) {
    ck_fp8_quantize(
      x, rows, width, 1, tile, scaling.rawValue, codes, width, scales, tiles(width), nil)
  }

  /// Quantises each column in tiles of 128 rows, as weight gradients need it; the last may be shorter.
  ///
  /// - Parameters:
  ///   - x: `[rows, width]`.
  ///   - codes: `[rows, width]`.
  ///   - scales: `[tiles(rows), width]`.
  public static func quantizeColumns(
    _ x: UnsafePointer<Float>, rows: Int, width: Int, scaling: Scaling = .reciprocal,
    codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutablePointer<Float>
  ) {
    ck_fp8_quantize_columns(x, rows, width, tile, scaling.rawValue, codes, scales, nil)
  }

  /// Quantises a weight in blocks of 128 x 128; the last ones may be smaller.
  ///
  /// - Parameters:
  ///   - weight: `[rows, width]`.
  ///   - codes: `[rows, width]`.
  ///   - scales: `[tiles(rows), tiles(width)]`.
  public static func quantizeBlocks(
    _ weight: UnsafePointer<Float>, rows: Int, width: Int, scaling: Scaling = .reciprocal,
    codes: UnsafeMutablePointer<UInt8>, scales: UnsafeMutablePointer<Float>
  ) {
    ck_fp8_quantize(
      weight, rows, width, tile, tile, scaling.rawValue, codes, width, scales, tiles(width), nil)
  }

  /// Codes times scales, in float32.
  public static func dequantizeRows(
    codes: UnsafePointer<UInt8>, scales: UnsafePointer<Float>, rows: Int, width: Int,
    into x: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<rows {
      for number in 0..<tiles(width) {
        let start = row * width + number * tile
        ck_fp8_decode(
          codes + start, scales[row * tiles(width) + number], x + start, min(tile, width - number * tile))
      }
    }
  }

  // MARK: There and back

  /// What ``quantizeRows`` keeps of each number: its code times its scale, in float32. `rounded` is not `x`.
  public static func roundRows(
    _ x: UnsafePointer<Float>, rows: Int, width: Int, scaling: Scaling = .reciprocal,
    into rounded: UnsafeMutablePointer<Float>
  ) {
    ck_fp8_quantize(x, rows, width, 1, tile, scaling.rawValue, nil, 0, nil, 0, rounded)
  }

  /// What ``quantizeColumns`` keeps of each number.
  public static func roundColumns(
    _ x: UnsafePointer<Float>, rows: Int, width: Int, scaling: Scaling = .reciprocal,
    into rounded: UnsafeMutablePointer<Float>
  ) {
    ck_fp8_quantize_columns(x, rows, width, tile, scaling.rawValue, nil, nil, rounded)
  }

  /// What ``quantizeBlocks`` keeps of each number.
  public static func roundBlocks(
    _ weight: UnsafePointer<Float>, rows: Int, width: Int, scaling: Scaling = .reciprocal,
    into rounded: UnsafeMutablePointer<Float>
  ) {
    ck_fp8_quantize(weight, rows, width, tile, tile, scaling.rawValue, nil, 0, nil, 0, rounded)
  }
}
