import CKernels
import COpenBLAS

/// The one matrix product of all blocks: `C = scale * op(A) * op(B)`, added to what C holds or in its place.
///
/// `op(A)` is `[rows, depth]`, `op(B)` is `[depth, columns]` and C is `[rows, columns]`, all row-major float32; a
/// transposed operand lies in memory the other way round. Weights `[out, in]` therefore are the transposed B of a
/// forward product. A leading dimension is the distance of two rows in memory, by default the width of what is there.
public enum MatrixProduct {
  /// Multiplies; C must not overlap A or B.
  ///
  /// Where not accumulating, C is not read: it may hold anything. An empty depth gives zeros.
  @inlinable
  public static func multiply(
    _ a: UnsafePointer<Float>, aTransposed: Bool = false, aLeading: Int? = nil,
    _ b: UnsafePointer<Float>, bTransposed: Bool = false, bLeading: Int? = nil,
    into c: UnsafeMutablePointer<Float>, cLeading: Int? = nil,
    rows: Int, columns: Int, depth: Int, scale: Float = 1, accumulate: Bool = false
  ) {
    product(
      Operand(elements: a, isTransposed: aTransposed, leading: aLeading ?? (aTransposed ? rows : depth)),
      Operand(elements: b, isTransposed: bTransposed, leading: bLeading ?? (bTransposed ? depth : columns)),
      c, cLeading ?? columns, rows, columns, depth, scale, accumulate)
  }

  @usableFromInline struct Operand {
    @usableFromInline var elements: UnsafePointer<Float>
    @usableFromInline var isTransposed: Bool
    @usableFromInline var leading: Int

    @inlinable init(elements: UnsafePointer<Float>, isTransposed: Bool, leading: Int) {
      self.elements = elements
      self.isTransposed = isTransposed
      self.leading = leading
    }

    @usableFromInline var order: CBLAS_TRANSPOSE { isTransposed ? CblasTrans : CblasNoTrans }
  }

  @usableFromInline static func product(
    _ a: Operand, _ b: Operand, _ c: UnsafeMutablePointer<Float>, _ leading: Int, _ rows: Int, _ columns: Int,
    _ depth: Int, _ scale: Float, _ accumulate: Bool
  ) {
    guard rows > 0, columns > 0 else { return }
    if depth == 0 {
      if !accumulate { for row in 0..<rows { (c + row * leading).update(repeating: 0, count: columns) } }
      return
    }
    let beta: Float = accumulate ? 1 : 0
    if rows == 1 {
      // One row is bound by reading B: the matrix-vector routine reads it at twice the speed.
      cblas_sgemv(
        CblasRowMajor, b.isTransposed ? CblasNoTrans : CblasTrans,
        blasint(b.isTransposed ? columns : depth), blasint(b.isTransposed ? depth : columns), scale,
        b.elements, blasint(b.leading), a.elements, blasint(a.isTransposed ? a.leading : 1), beta, c, 1)
    } else if ck_level() > 0 {
      ck_product(
        rows, columns, depth, scale, a.elements, a.isTransposed ? 1 : 0, a.leading, b.elements,
        b.isTransposed ? 1 : 0, b.leading, c, leading, accumulate ? 1 : 0)
    } else {
      // Without AVX2 a library written for the processor at hand is the faster one.
      cblas_sgemm(
        CblasRowMajor, a.order, b.order, blasint(rows), blasint(columns), blasint(depth), scale,
        a.elements, blasint(a.leading), b.elements, blasint(b.leading), beta, c, blasint(leading))
    }
  }

  /// How many threads a product may take, in the whole process.
  public static func setThreads(_ count: Int) {
    openblas_set_num_threads(Int32(max(1, count)))
    ck_set_threads(Int32(max(1, count)))
  }
}
