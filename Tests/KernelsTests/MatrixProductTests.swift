import TestSupport
import Testing

@testable import Kernels

@Suite struct MatrixProductTests {
  /// Shapes with odd dimensions, one row, one column and an empty depth.
  static let shapes = [
    (1, 1, 1), (1, 7, 5), (3, 1, 4), (5, 3, 1), (17, 33, 9), (64, 31, 40), (2, 5, 0), (1, 5, 0),
  ]

  @Test(arguments: shapes, [false, true])
  func `every order and leading dimension agrees with the plain sum`(shape: (Int, Int, Int), accumulate: Bool)
  {
    let (rows, columns, depth) = shape
    var generator = SeededGenerator(seed: UInt64(rows * 1000 + columns * 10 + depth))
    for aTransposed in [false, true] {
      for bTransposed in [false, true] {
        let aLeading = (aTransposed ? rows : depth) + 3
        let bLeading = (bTransposed ? depth : columns) + 1
        let a = generator.floats((aTransposed ? depth : rows) * aLeading)
        let b = generator.floats((bTransposed ? columns : depth) * bLeading)
        let count = rows * (columns + 2)
        let before = accumulate ? generator.floats(count) : .init(repeating: .nan, count: count)
        var c = before
        MatrixProduct.multiply(
          a, transposed: aTransposed, leading: aLeading, b, transposed: bTransposed, leading: bLeading,
          into: &c,
          leading: columns + 2, rows: rows, columns: columns, depth: depth, scale: 0.5, accumulate: accumulate
        )
        for i in 0..<rows {
          for j in 0..<columns {
            var sum = 0.0
            for k in 0..<depth {
              sum +=
                Double(aTransposed ? a[k * aLeading + i] : a[i * aLeading + k])
                * Double(bTransposed ? b[j * bLeading + k] : b[k * bLeading + j])
            }
            let expected = 0.5 * sum + (accumulate ? Double(before[i * (columns + 2) + j]) : 0)
            #expect(abs(Double(c[i * (columns + 2) + j]) - expected) < 1e-5)
          }
          #expect(c[i * (columns + 2) + columns].bitPattern == before[i * (columns + 2) + columns].bitPattern)
        }
      }
    }
  }
}
