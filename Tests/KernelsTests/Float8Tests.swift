import Foundation
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// The names of the conventions in the golden files.
private let conventions: [(String, Float8.Scaling)] = [
  ("rcp", .reciprocal), ("div", .division), ("mul", .multiplication), ("ue8m0", .powerOfTwo),
]

private func rows(_ x: Matrix, _ scaling: Float8.Scaling) -> (codes: [UInt8], scales: [Float]) {
  var codes = [UInt8](repeating: 0xaa, count: x.elements.count)
  var scales = [Float](repeating: -1, count: x.rows * Float8.tiles(x.columns))
  Float8.quantizeRows(
    x.elements, rows: x.rows, width: x.columns, scaling: scaling, codes: &codes, scales: &scales)
  return (codes, scales)
}

private func columns(_ x: Matrix, _ scaling: Float8.Scaling) -> (codes: [UInt8], scales: [Float]) {
  var codes = [UInt8](repeating: 0xaa, count: x.elements.count)
  var scales = [Float](repeating: -1, count: Float8.tiles(x.rows) * x.columns)
  Float8.quantizeColumns(
    x.elements, rows: x.rows, width: x.columns, scaling: scaling, codes: &codes, scales: &scales)
  return (codes, scales)
}

private func blocks(_ x: Matrix, _ scaling: Float8.Scaling) -> (codes: [UInt8], scales: [Float]) {
  var codes = [UInt8](repeating: 0xaa, count: x.elements.count)
  var scales = [Float](repeating: -1, count: Float8.tiles(x.rows) * Float8.tiles(x.columns))
  Float8.quantizeBlocks(
    x.elements, rows: x.rows, width: x.columns, scaling: scaling, codes: &codes, scales: &scales)
  return (codes, scales)
}

private func transposed<Element>(_ elements: [Element], rows: Int) -> [Element] {
  let columns = rows == 0 ? 0 : elements.count / rows
  return (0..<columns).flatMap { column in (0..<rows).map { elements[$0 * columns + column] } }
}

private func matrix(_ file: TensorFile, _ name: String) throws -> Matrix {
  let shape = try file.shape(name)
  return Matrix(shape[0], shape[1], try file.floats(name))
}

@Suite struct Float8Tests {
  @Test func `codes have their values and numbers their codes`() throws {
    let file = try goldenFile("fp8")
    let decoded = try file.floats("decode")
    for code in 0...255 {
      #expect(
        Float8.decode(UInt8(code)).bitPattern == decoded[code].bitPattern
          || Float8.decode(UInt8(code)).isNaN && decoded[code].isNaN, "code \(code)")
    }
    let inputs = try file.floats("cast_in")
    #expect(try inputs.map(Float8.encode) == file.uint8s("cast_codes_sat"))
    // PyTorch's own cast saturates from version 2.12 on, and did not before; the file's is one or the other.
    let plain = try file.uint8s("cast_codes_torch")
    #expect(plain == inputs.map(Float8.encode) || plain == inputs.map(Float8.encodeUnsaturated))
  }

  @Test func `without saturation, what is nearer to 480 than to 448 is no number`() {
    for (x, code) in [
      (448, 0x7e), (464, 0x7e), (Float(464).nextUp, 0x7f), (480, 0x7f), (3e38, 0x7f), (.infinity, 0x7f),
      (.nan, 0x7f), (463.9, 0x7e),
    ] as [(Float, UInt8)] {
      #expect(Float8.encodeUnsaturated(x) == code)
      #expect(Float8.encodeUnsaturated(-x) == code | 0x80)
      #expect(Float8.encode(x) == (x.isNaN ? 0x7f : 0x7e))
    }
    var generator = SeededGenerator(seed: 5)
    for x in generator.floats(2000, scale: 464) { #expect(Float8.encodeUnsaturated(x) == Float8.encode(x)) }
  }

  @Test func `every code is the code of its own value`() {
    for code in 0...255 {
      #expect(Float8.encode(Float8.decode(UInt8(code))) == UInt8(code))
      #expect(Float8.encodeUnsaturated(Float8.decode(UInt8(code))) == UInt8(code))
    }
  }

  @Test func `casts are to the nearest code in any length of run`() {
    var generator = SeededGenerator(seed: 1)
    for count in 0..<70 {
      let x = generator.floats(count, scale: [500, 1, 0.02][count % 3])
      let scaling = Float8.Scaling.reciprocal
      let (codes, scales) = rows(Matrix(1, count, x), scaling)
      let reference = Float8Reference.quantized(
        Matrix(1, count, x), tileRows: 1, tileColumns: 128, scaling: scaling)
      #expect(codes == reference.codes && scales == reference.scales)
      for number in x { #expect(Float8.encode(number) == Float8Reference.nearestCode(to: number)) }
    }
  }

  @Test func `tiles and blocks have the golden codes and scales`() throws {
    let file = try goldenFile("fp8")
    let (x, w, dy) = (try matrix(file, "X"), try matrix(file, "W"), try matrix(file, "dY"))
    for (name, scaling) in conventions {
      let (codes, scales) = rows(x, scaling)
      #expect(try codes == file.uint8s("\(name)/X_codes"))
      #expect(try scales == file.floats("\(name)/X_scale"))
      #expect(try blocks(w, scaling).scales == file.floats("\(name)/W_scale"))
      if file.contains("\(name)/W_codes") {
        #expect(try blocks(w, scaling).codes == file.uint8s("\(name)/W_codes"))
      }
    }
    #expect(try rows(dy, .reciprocal).codes == file.uint8s("rcp/dY_codes"))
    #expect(try rows(dy, .reciprocal).scales == file.floats("rcp/dY_scale"))
    for (name, matrix) in [("dYT", dy), ("XT", x)] {
      let (codes, scales) = columns(matrix, .reciprocal)
      #expect(try transposed(codes, rows: matrix.rows) == file.uint8s("rcp/\(name)_codes"))
      #expect(
        try transposed(scales, rows: Float8.tiles(matrix.rows)) == file.floats("rcp/\(name)_scale"))
    }
    var restored = [Float](repeating: 0, count: x.elements.count)
    let (codes, scales) = rows(x, .reciprocal)
    Float8.dequantizeRows(codes: codes, scales: scales, rows: x.rows, width: x.columns, into: &restored)
    #expect(try relativeError(restored, file.floats("rcp/X_deq")) < 1e-7)
  }

  @Test func `a tile that is not finite stays so and leaves its neighbours alone`() throws {
    let file = try goldenFile("fp8")
    let x = try matrix(file, "nonfinite/X")
    let isFinite = try file.uint8s("nonfinite/tile_finite")
    let expected = try file.floats("nonfinite/X_deq")
    let tiles = Float8.tiles(x.columns)
    for (_, scaling) in conventions {
      let (codes, scales) = rows(x, scaling)
      var restored = x.elements
      Float8.dequantizeRows(codes: codes, scales: scales, rows: x.rows, width: x.columns, into: &restored)
      var rounded = x.elements
      Float8.roundRows(x.elements, rows: x.rows, width: x.columns, scaling: scaling, into: &rounded)
      for (index, value) in restored.enumerated() {
        let tile = index / x.columns * tiles + index % x.columns / Float8.tile
        #expect(value.isFinite == (isFinite[tile] == 1))
        #expect(value == rounded[index] || value.isNaN && rounded[index].isNaN)
        if scaling == .reciprocal, isFinite[tile] == 1 {
          #expect(abs(value - expected[index]) <= 1e-6 * abs(expected[index]))
        }
      }
    }
  }

  @Test func `quantising is the same as the definition, whatever the shape and the convention`() {
    for seed in 0..<24 {
      var generator = SeededGenerator(seed: UInt64(seed))
      let (height, width) = (generator.pick(1...200), generator.pick(1...200))
      var x = Matrix(height, width, generator.floats(height * width, scale: generator.chance(3) ? 1e-5 : 3))
      x[generator.below(height), generator.below(width)] = generator.chance(2) ? 3e38 : -0.0
      let scaling = Float8.Scaling.allCases[seed % 4]
      for (tileRows, tileColumns, found) in [
        (1, 128, rows(x, scaling)), (128, 128, blocks(x, scaling)), (128, 1, columns(x, scaling)),
      ] {
        let reference = Float8Reference.quantized(
          x, tileRows: tileRows, tileColumns: tileColumns, scaling: scaling)
        #expect(found.codes == reference.codes, "seed \(seed), tiles \(tileRows) x \(tileColumns)")
        #expect(found.scales == reference.scales, "seed \(seed), tiles \(tileRows) x \(tileColumns)")
        var rounded = [Float](repeating: 0, count: x.elements.count)
        switch (tileRows, tileColumns) {
        case (1, _):
          Float8.roundRows(x.elements, rows: height, width: width, scaling: scaling, into: &rounded)
        case (_, 1):
          Float8.roundColumns(x.elements, rows: height, width: width, scaling: scaling, into: &rounded)
        default: Float8.roundBlocks(x.elements, rows: height, width: width, scaling: scaling, into: &rounded)
        }
        let across = (width + tileColumns - 1) / tileColumns
        for (index, code) in found.codes.enumerated() {
          let scale = found.scales[index / width / tileRows * across + index % width / tileColumns]
          guard rounded[index] == Float8.decode(code) * scale else {
            Issue.record("seed \(seed), element \(index)")
            break
          }
        }
      }
    }
  }
}

@Suite struct Float8ProductTests {
  @Test func `products have the golden results`() throws {
    let file = try goldenFile("fp8")
    let (x, w, dy) = (try matrix(file, "X"), try matrix(file, "W"), try matrix(file, "dY"))
    for (name, scaling) in conventions {
      let product = Float8Product(inputs: w.columns, outputs: w.rows, scaling: scaling)
      var scratch = [Float](repeating: .nan, count: product.scratchCount(rows: x.rows))
      var y = [Float](repeating: .nan, count: x.rows * w.rows)
      product.forward(x.elements, weight: w.elements, rows: x.rows, into: &y, scratch: &scratch)
      #expect(try relativeError(y, file.floats("\(name)/Y")) < 1e-6)
      guard scaling == .reciprocal else { continue }
      var dx = [Float](repeating: .nan, count: x.elements.count)
      product.inputGradient(dy.elements, weight: w.elements, rows: x.rows, into: &dx, scratch: &scratch)
      #expect(try relativeError(dx, file.floats("rcp/dX")) < 1e-6)
      var dw = [Float](repeating: 0, count: w.elements.count)
      product.weightGradient(dy.elements, x.elements, rows: x.rows, into: &dw, scratch: &scratch)
      #expect(try relativeError(dw, file.floats("rcp/dW")) < 1e-6)
    }
  }

  @Test func `products are those of the quantised operands, whatever the shape`() {
    for seed in 0..<8 {
      var generator = SeededGenerator(seed: UInt64(seed))
      let (height, inputs, outputs) = (
        generator.pick(1...200), generator.pick(1...150), generator.pick(1...150)
      )
      let x = Matrix(height, inputs, generator.floats(height * inputs))
      let w = Matrix(outputs, inputs, generator.floats(outputs * inputs, scale: 0.1))
      let dy = Matrix(height, outputs, generator.floats(height * outputs, scale: 1e-2))
      let scaling = Float8.Scaling.allCases[seed % 4]
      func restored(_ x: Matrix, _ tileRows: Int, _ tileColumns: Int) -> Matrix {
        let (codes, scales) = Float8Reference.quantized(
          x, tileRows: tileRows, tileColumns: tileColumns, scaling: scaling)
        let across = (x.columns + tileColumns - 1) / tileColumns
        return Matrix(
          x.rows, x.columns,
          codes.indices.map { index in
            Float8.decode(codes[index])
              * scales[index / x.columns / tileRows * across + index % x.columns / tileColumns]
          })
      }
      let product = Float8Product(inputs: inputs, outputs: outputs, scaling: scaling)
      var scratch = [Float](repeating: .nan, count: product.scratchCount(rows: height))
      var y = [Float](repeating: .nan, count: height * outputs)
      product.forward(x.elements, weight: w.elements, rows: height, into: &y, scratch: &scratch)
      let weight = restored(w, 128, 128)
      #expect(relativeError(y, restored(x, 1, 128).timesTransposed(weight).elements) < 1e-6)
      var dx = [Float](repeating: 1, count: height * inputs)
      product.inputGradient(
        dy.elements, weight: w.elements, rows: height, into: &dx, accumulate: true, scratch: &scratch)
      let expected = restored(dy, 1, 128).timesTransposed(weight.transposed).elements
      #expect(relativeError(dx, expected.map { $0 + 1 }) < 1e-6)
      var dw = [Float](repeating: .nan, count: outputs * inputs)
      product.weightGradient(
        dy.elements, x.elements, rows: height, into: &dw, accumulate: false, scratch: &scratch)
      let sum = restored(dy, 128, 1).transposed.timesTransposed(restored(x, 128, 1).transposed)
      #expect(relativeError(dw, sum.elements) < 1e-6)
    }
  }
}
