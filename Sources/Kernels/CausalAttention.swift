import CKernels

/// Rows in a wider matrix: where the first begins, and the elements from one to the next.
public struct Rows {
  public var base: UnsafeMutablePointer<Float>
  public var pitch: Int

  public init(_ base: UnsafeMutablePointer<Float>, pitch: Int) {
    self.base = base
    self.pitch = pitch
  }

  public subscript(row: Int) -> UnsafeMutablePointer<Float> { base + row * pitch }
}

/// `softmax(scale * Q Kᵀ) V` of one head of one sequence, each query over the keys up to its own position.
///
/// Queries are taken in tiles; a tile is multiplied with the keys up to its last query only. The backward pass
/// computes the probabilities again from the logarithm of their sums, so that no `[length, length]` matrix is kept.
/// Source: FlashAttention-2, arXiv 2307.08691, algorithm 2, without tiles over the keys.
public struct CausalAttention: Hashable, Sendable {
  public let length: Int
  public let queryKeyWidth: Int
  public let valueWidth: Int
  public let scale: Float

  public init(length: Int, queryKeyWidth: Int, valueWidth: Int, scale: Float) {
    self.length = length
    self.queryKeyWidth = queryKeyWidth
    self.valueWidth = valueWidth
    self.scale = scale
  }

  /// Queries of a tile: few enough to waste little of the triangle, enough for the matrix products.
  public static let tile = 64

  public var scratchCount: Int { 2 * min(Self.tile, length) * length }

  /// - Parameter logSum: `log(sum(exp(scale * scores)))` of each query, `logPitch` apart.
  public func forward(
    query: Rows, key: Rows, value: Rows, output: Rows, logSum: UnsafeMutablePointer<Float>, logPitch: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    for first in stride(from: 0, to: length, by: Self.tile) {
      let end = min(first + Self.tile, length)
      let rows = end - first
      MatrixProduct.multiply(
        query[first], aLeading: query.pitch, key.base, bTransposed: true, bLeading: key.pitch, into: scratch,
        rows: rows, columns: end, depth: queryKeyWidth)
      ck_causal_softmax(scratch, end, rows, first, end, scale, logSum + first * logPitch, logPitch)
      MatrixProduct.multiply(
        scratch, value.base, bLeading: value.pitch, into: output[first], cLeading: output.pitch, rows: rows,
        columns: valueWidth, depth: end)
    }
  }

  /// - Parameters:
  ///   - queryGradient: Overwritten; may be `query`.
  ///   - keyGradient: Added to, as `valueGradient`.
  public func gradient(
    query: Rows, key: Rows, value: Rows, output: Rows, outputGradient: Rows, logSum: UnsafePointer<Float>,
    logPitch: Int, queryGradient: Rows, keyGradient: Rows, valueGradient: Rows,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let scoreGradient = scratch + min(Self.tile, length) * length
    for first in stride(from: 0, to: length, by: Self.tile) {
      let end = min(first + Self.tile, length)
      let rows = end - first
      MatrixProduct.multiply(
        query[first], aLeading: query.pitch, key.base, bTransposed: true, bLeading: key.pitch, into: scratch,
        rows: rows, columns: end, depth: queryKeyWidth)
      MatrixProduct.multiply(
        outputGradient[first], aLeading: outputGradient.pitch, value.base, bTransposed: true,
        bLeading: value.pitch, into: scoreGradient, rows: rows, columns: end, depth: valueWidth)
      ck_causal_softmax_gradient(
        scratch, scoreGradient, end, rows, first, end, scale, logSum + first * logPitch, logPitch,
        output[first], output.pitch, outputGradient[first], outputGradient.pitch, valueWidth)
      MatrixProduct.multiply(
        scratch, aTransposed: true, outputGradient[first], bLeading: outputGradient.pitch,
        into: valueGradient.base, cLeading: valueGradient.pitch, rows: end, columns: valueWidth, depth: rows,
        accumulate: true)
      MatrixProduct.multiply(
        scoreGradient, aTransposed: true, query[first], bLeading: query.pitch, into: keyGradient.base,
        cLeading: keyGradient.pitch, rows: end, columns: queryKeyWidth, depth: rows, accumulate: true)
      // Last, for the gradient may take the queries' place.
      MatrixProduct.multiply(
        scoreGradient, key.base, bLeading: key.pitch, into: queryGradient[first],
        cLeading: queryGradient.pitch, rows: rows, columns: queryKeyWidth, depth: end)
    }
  }
}
