import CKernels

/// How rows of numbers travel between ranks.
///
/// A row of H numbers takes 4H bytes, 2H, or with E4M3 its codes and then its scales: `H + 4 * ceil(H / 128)`,
/// which is `H * (1 + 4/128)` where 128 divides H.
/// Source: DeepEP, `hidden` and `num_scales` of `intranode_dispatch`.
public enum RowPayload: String, CaseIterable, Sendable {
  case float32
  case bfloat16
  case float8

  public func bytesPerRow(_ width: Int) -> Int {
    switch self {
    case .float32: 4 * width
    case .bfloat16: 2 * width
    case .float8: width + 4 * Float8.tiles(width)
    }
  }

  /// Writes rows, little-endian.
  ///
  /// - Parameters:
  ///   - source: Rows of `width` numbers.
  ///   - indices: Which of them, in this order; by default the first `rows`.
  ///   - stride: Bytes from one packed row to the next, by default those of a row.
  ///   - bytes: Needs no alignment, except what its format has for whole rows and strides.
  public func pack(
    _ source: UnsafePointer<Float>, gathering indices: UnsafePointer<Int32>? = nil, rows: Int, width: Int,
    into bytes: UnsafeMutableRawPointer, stride: Int? = nil
  ) {
    let stride = stride ?? bytesPerRow(width)
    for row in 0..<rows {
      let numbers = source + (indices.map { Int($0[row]) } ?? row) * width
      let place = bytes + row * stride
      switch self {
      case .float32: place.copyMemory(from: numbers, byteCount: 4 * width)
      case .bfloat16: ck_bf16_encode(numbers, place.assumingMemoryBound(to: UInt16.self), width)
      case .float8:
        ck_fp8_quantize(
          numbers, 1, width, 1, Float8.tile, Float8.Scaling.reciprocal.rawValue,
          place.assumingMemoryBound(to: UInt8.self), width,
          (place + width).assumingMemoryBound(to: Float.self), Float8.tiles(width), nil)
      }
    }
  }

  /// Reads rows that ``pack(_:gathering:rows:width:into:stride:)`` wrote.
  public func unpack(
    _ bytes: UnsafeRawPointer, stride: Int? = nil, rows: Int, width: Int,
    into target: UnsafeMutablePointer<Float>
  ) {
    let stride = stride ?? bytesPerRow(width)
    for row in 0..<rows {
      let place = bytes + row * stride
      let numbers = target + row * width
      switch self {
      case .float32: UnsafeMutableRawPointer(numbers).copyMemory(from: place, byteCount: 4 * width)
      case .bfloat16: ck_bf16_decode(place.assumingMemoryBound(to: UInt16.self), numbers, width)
      case .float8:
        for tile in 0..<Float8.tiles(width) {
          let start = tile * Float8.tile
          let scale = (place + width).loadUnaligned(fromByteOffset: 4 * tile, as: Float.self)
          ck_fp8_decode(
            (place + start).assumingMemoryBound(to: UInt8.self), scale, numbers + start,
            min(Float8.tile, width - start))
        }
      }
    }
  }
}
