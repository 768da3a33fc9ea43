import CKernels
import TestSupport
import Testing

@testable import Kernels

@Suite(.serialized) struct MatrixProductTests {
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
          a, aTransposed: aTransposed, aLeading: aLeading, b, bTransposed: bTransposed, bLeading: bLeading,
          into: &c, cLeading: columns + 2, rows: rows, columns: columns, depth: depth, scale: 0.5,
          accumulate: accumulate)
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

  /// Shapes on both sides of every block, tile and panel.
  static let blocks = [
    (2, 12, 16), (13, 33, 255), (65, 49, 257), (257, 97, 300), (49, 300, 513), (200, 270, 31),
    (7, 65, 1030), (64, 130, 1100), (130, 200, 1025), (300, 129, 520),
  ]

  @Test(arguments: blocks, [0, 1, 2])
  func `the own product agrees on every kind of processor, on one thread and on three`(
    shape: (Int, Int, Int), level: Int32
  ) {
    ck_use_level(level)
    defer { ck_use_level(2) }
    let (rows, columns, depth) = shape
    var generator = SeededGenerator(seed: UInt64(rows))
    for (aTransposed, bTransposed) in [(false, true), (false, false), (true, false), (true, true)] {
      let a = generator.floats(rows * depth)
      let b = generator.floats(depth * columns)
      let before = generator.floats(rows * columns)
      // From columns of one operand and rows of the other, both in one piece.
      let left = (0..<rows).map { i in
        (0..<depth).map { Double(aTransposed ? a[$0 * rows + i] : a[i * depth + $0]) }
      }
      let right = (0..<columns).map { j in
        (0..<depth).map { Double(bTransposed ? b[j * depth + $0] : b[$0 * columns + j]) }
      }
      let expected = (0..<rows * columns).map { index in
        let (x, y) = (left[index / columns], right[index % columns])
        var sum = 0.0
        for k in 0..<depth { sum += x[k] * y[k] }
        return Float(sum)
      }
      var alone: [UInt32] = []
      for threads in [1, 3] {
        ck_set_threads(Int32(threads))
        defer { ck_set_threads(1) }
        var c = before
        ck_product(
          rows, columns, depth, 2, a, aTransposed ? 1 : 0, aTransposed ? rows : depth, b, bTransposed ? 1 : 0,
          bTransposed ? depth : columns, &c, columns, 1)
        #expect(relativeError(zip(c, before).map { $0 - $1 }, expected.map { 2 * $0 }) < 1e-5)
        c = c.map { _ in .nan }
        ck_product(
          rows, columns, depth, 1, a, aTransposed ? 1 : 0, aTransposed ? rows : depth, b, bTransposed ? 1 : 0,
          bTransposed ? depth : columns, &c, columns, 0)
        #expect(relativeError(c, expected) < 1e-5)
        let bits = c.map(\.bitPattern)
        #expect(alone.isEmpty || alone == bits, "the same numbers however the product is shared")
        alone = bits
      }
    }
  }

  /// Such a result is written past the caches, whole lines at a time, but for the columns that fill no line.
  @Test func `a large result in whole lines agrees, beside the columns between its rows`() throws {
    let (rows, columns, depth, step) = (512, 520, 20, 528)
    var generator = SeededGenerator(seed: 7)
    let a = generator.floats(depth * rows)
    let b = generator.floats(depth * columns)
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: 4 * rows * step, alignment: 64)
    defer { bytes.deallocate() }
    let c = bytes.bindMemory(to: Float.self, capacity: rows * step)
    var expected = [Float](repeating: 0, count: rows * columns)
    for k in 0..<depth {
      for i in 0..<rows {
        for j in 0..<columns { expected[i * columns + j] += a[k * rows + i] * b[k * columns + j] }
      }
    }
    defer { ck_use_level(2) }
    for level: Int32 in [0, 1, 2] {
      ck_use_level(level)
      c.update(repeating: -3, count: rows * step)
      ck_product(rows, columns, depth, 1, a, 1, rows, b, 0, columns, c, step, 0)
      let found = (0..<rows).flatMap { Array(UnsafeBufferPointer(start: c + $0 * step, count: columns)) }
      #expect(relativeError(found, expected) < 1e-5)
      #expect((0..<rows).allSatisfy { row in (columns..<step).allSatisfy { c[row * step + $0] == -3 } })
    }
  }
}
