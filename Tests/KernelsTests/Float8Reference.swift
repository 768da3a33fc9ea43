@testable import Kernels

/// A row-major matrix, for references that read like their definitions.
struct Matrix {
  var rows: Int
  var columns: Int
  var elements: [Float]

  init(_ rows: Int, _ columns: Int, _ elements: [Float]) {
    precondition(elements.count == rows * columns)
    (self.rows, self.columns, self.elements) = (rows, columns, elements)
  }

  subscript(row: Int, column: Int) -> Float {
    get { elements[row * columns + column] }
    set { elements[row * columns + column] = newValue }
  }

  var transposed: Matrix {
    var result = Matrix(columns, rows, elements)
    for row in 0..<rows { for column in 0..<columns { result[column, row] = self[row, column] } }
    return result
  }

  /// `self otherᵀ`, summed in double precision.
  func timesTransposed(_ other: Matrix) -> Matrix {
    var result = Matrix(rows, other.rows, Array(repeating: 0, count: rows * other.rows))
    for row in 0..<rows {
      for column in 0..<other.rows {
        var sum = 0.0
        for index in 0..<columns { sum += Double(self[row, index]) * Double(other[column, index]) }
        result[row, column] = Float(sum)
      }
    }
    return result
  }
}

/// Quantisation by the definition: every tile on its own, codes by the distance of their values.
enum Float8Reference {
  /// Codes and scales in tiles of `tileRows` x `tileColumns`.
  static func quantized(
    _ x: Matrix, tileRows: Int, tileColumns: Int, scaling: Float8.Scaling
  ) -> (codes: [UInt8], scales: [Float]) {
    var codes = [UInt8](repeating: 0, count: x.elements.count)
    var scales: [Float] = []
    for row in stride(from: 0, to: x.rows, by: tileRows) {
      for column in stride(from: 0, to: x.columns, by: tileColumns) {
        var amax: Float = 1e-4
        for i in row..<min(x.rows, row + tileRows) {
          for j in column..<min(x.columns, column + tileColumns) { amax = max(amax, abs(x[i, j])) }
        }
        var scale = amax / 448
        if scaling == .powerOfTwo {
          var power: Float = 0x1p-126
          while power < scale { power *= 2 }
          scale = power
        }
        scales.append(scale)
        for i in row..<min(x.rows, row + tileRows) {
          for j in column..<min(x.columns, column + tileColumns) {
            let over =
              switch scaling {
              case .division: x[i, j] / scale
              case .multiplication: x[i, j] * (448 / amax)
              default: x[i, j] * (1 / scale)
              }
            codes[i * x.columns + j] = nearestCode(to: over)
          }
        }
      }
    }
    return (codes, scales)
  }

  /// The saturated code of a finite number: the nearest of all, ties to the even code.
  static func nearestCode(to x: Float) -> UInt8 {
    let magnitude = Double(min(abs(x), 448))
    // The codes ascend with their values: the last one not above, or the one after it.
    var (below, above) = (0, 127)
    while above - below > 1 {
      let middle = (below + above) / 2
      if values[middle] <= magnitude { below = middle } else { above = middle }
    }
    var best = below
    if below < 126 {
      let (under, over) = (magnitude - values[below], values[below + 1] - magnitude)
      if over < under || over == under && below % 2 == 1 { best = below + 1 }
    }
    return UInt8(best) | (x.sign == .minus ? 0x80 : 0)
  }

  private static let values = (0..<127).map(value)

  /// By the format's definition: 4 bits of exponent with bias 7, 3 of mantissa.
  private static func value(_ code: Int) -> Double {
    let (exponent, mantissa) = (code >> 3, Double(code & 7))
    if exponent == 0 { return mantissa * 0x1p-9 }
    return (1 + mantissa / 8) * (exponent < 7 ? 1 / Double(1 << (7 - exponent)) : Double(1 << (exponent - 7)))
  }
}
