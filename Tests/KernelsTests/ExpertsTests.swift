import Foundation
import TestSupport
import Testing

@testable import Kernels

/// One expert's pass over one row, in double precision: the definition.
struct ExpertReference {
  var hidden, intermediate: Int
  var gate, up, down: [Float]

  struct Row { var gate, up, activations, output: [Double] }

  func forward(_ x: [Double]) -> Row {
    func product(_ weights: [Float], _ row: Int, _ vector: [Double]) -> Double {
      vector.indices.reduce(0) { $0 + Double(weights[row * vector.count + $1]) * vector[$1] }
    }
    let gates = (0..<intermediate).map { product(gate, $0, x) }
    let ups = (0..<intermediate).map { product(up, $0, x) }
    let activations = zip(gates, ups).map { $0 / (1 + exp(-$0)) * $1 }
    return Row(
      gate: gates, up: ups, activations: activations,
      output: (0..<hidden).map { product(down, $0, activations) })
  }

  /// Gradients of gate and up, and of the row.
  func backward(_ row: Row, _ dy: [Double]) -> (gate: [Double], up: [Double], x: [Double]) {
    var (dGate, dUp) = (row.gate, row.up)
    for i in 0..<intermediate {
      let dh = (0..<hidden).reduce(0) { $0 + Double(down[$1 * intermediate + i]) * dy[$1] }
      let s = 1 / (1 + exp(-row.gate[i]))
      dGate[i] = dh * row.up[i] * s * (1 + row.gate[i] * (1 - s))
      dUp[i] = dh * row.gate[i] * s
    }
    let dx = (0..<hidden).map { j in
      (0..<intermediate).reduce(0) {
        $0 + dGate[$1] * Double(gate[$1 * hidden + j]) + dUp[$1] * Double(up[$1 * hidden + j])
      }
    }
    return (dGate, dUp, dx)
  }
}

@Suite struct ExpertsTests {
  @Test(arguments: 0..<24, [true, false])
  func `experts follow the definition whatever their rows`(seed: Int, isGathered: Bool) {
    var generator = SeededGenerator(seed: UInt64(seed) + 100)
    let experts = generator.pick(1...5)
    let block = ExpertsBlock(
      experts: experts, hidden: generator.pick(1...70), intermediate: generator.pick(1...40))
    let (hidden, intermediate) = (block.hidden, block.intermediate)
    // Some experts idle, some with one row; now and then everything on one.
    var counts = (0..<experts).map { _ in generator.chance(3) ? generator.pick(0...1) : generator.pick(0...90)
    }
    if generator.chance(4) { counts = counts.indices.map { $0 == experts / 2 ? 37 : 0 } }
    let rows = counts.reduce(0, +)
    let offsets = counts.reduce(into: [Int32(0)]) { $0.append($0.last! + Int32($1)) }
    let tokens = isGathered ? generator.pick(1...20) : rows
    let sources = (0..<rows).map { Int32(isGathered ? generator.below(tokens) : $0) }
    let weights = generator.floats(rows + 1)
    let x = generator.floats(tokens * hidden + 1)
    let dy = generator.floats(tokens * hidden + 1)
    let parameters = generator.floats(block.parameters.count)
    var saved = [Float](repeating: .nan, count: block.savedCount(rows: rows) + 1)
    var scratch = [Float](repeating: .nan, count: block.scratchCount(rows: rows) + 1)
    var output = [Float](repeating: .nan, count: rows * hidden + 1)
    var dx = output
    var weightGradients = [Float](repeating: .nan, count: rows + 1)
    var gradients = [Float](repeating: 2, count: parameters.count)
    offsets.withUnsafeBufferPointer { offsets in
      sources.withUnsafeBufferPointer { sources in
        weights.withUnsafeBufferPointer { weights in
          let described = ExpertRows(
            offsets: offsets.baseAddress!, sources: isGathered ? sources.baseAddress : nil,
            weights: isGathered ? weights.baseAddress : nil)
          block.forward(
            rows: described, input: x, parameters: parameters, saved: &saved, scratch: &scratch,
            output: &output)
          block.inputGradient(
            rows: described, outputGradient: dy, parameters: parameters, saved: &saved, scratch: &scratch,
            weightGradients: &weightGradients, inputGradient: &dx)
          block.weightGradient(
            rows: described, input: x, outputGradient: dy, saved: saved, scratch: &scratch,
            gradients: &gradients)
        }
      }
    }
    let each = hidden * intermediate
    var expectedOutput: [Float] = []
    var expectedDx: [Float] = []
    var expectedWeightGradients: [Float] = []
    var expectedGradients = [Double](repeating: 2, count: parameters.count)
    for expert in 0..<experts {
      func weight(_ matrix: Int) -> [Float] {
        Array(parameters[(matrix * experts + expert) * each..<(matrix * experts + expert + 1) * each])
      }
      let reference = ExpertReference(
        hidden: hidden, intermediate: intermediate, gate: weight(0), up: weight(1), down: weight(2))
      for row in Int(offsets[expert])..<Int(offsets[expert + 1]) {
        let source = Int(sources[row]) * hidden..<(Int(sources[row]) + 1) * hidden
        let input = x[source].map(Double.init)
        let factor = isGathered ? Double(weights[row]) : 1
        let pass = reference.forward(input)
        let upstream = dy[source].map { Double($0) * factor }
        let back = reference.backward(pass, upstream)
        expectedOutput += pass.output.map { Float($0) }
        expectedDx += back.x.map { Float($0) }
        expectedWeightGradients.append(
          Float(zip(dy[source], pass.output).reduce(0) { $0 + Double($1.0) * $1.1 }))
        for i in 0..<intermediate {
          for j in 0..<hidden {
            expectedGradients[expert * each + i * hidden + j] += back.gate[i] * input[j]
            expectedGradients[(experts + expert) * each + i * hidden + j] += back.up[i] * input[j]
            expectedGradients[(2 * experts + expert) * each + j * intermediate + i] +=
              upstream[j] * pass.activations[i]
          }
        }
      }
    }
    #expect(relativeError(output.dropLast(), expectedOutput) < 1e-5)
    #expect(relativeError(dx.dropLast(), expectedDx) < 1e-5)
    #expect(relativeError(weightGradients.dropLast(), expectedWeightGradients) < 1e-5)
    #expect(relativeError(gradients, expectedGradients.map { Float($0) }) < 1e-5)
  }

  @Test func `gradients replace what was there where they are not added, idle experts' too`() {
    let block = ExpertsBlock(experts: 2, hidden: 5, intermediate: 3)
    var generator = SeededGenerator(seed: 9)
    let (x, dy) = (generator.floats(4 * 5), generator.floats(4 * 5))
    let parameters = generator.floats(block.parameters.count)
    var saved = [Float](repeating: .nan, count: block.savedCount(rows: 4))
    var scratch = [Float](repeating: .nan, count: block.scratchCount(rows: 4))
    var rowsBuffer = [Float](repeating: .nan, count: 4 * 5)
    var gradients = [Float](repeating: .nan, count: parameters.count)
    let offsets: [Int32] = [0, 4, 4]
    offsets.withUnsafeBufferPointer {
      let rows = ExpertRows(offsets: $0.baseAddress!)
      block.forward(
        rows: rows, input: x, parameters: parameters, saved: &saved, scratch: &scratch, output: &rowsBuffer)
      block.inputGradient(
        rows: rows, outputGradient: dy, parameters: parameters, saved: &saved, scratch: &scratch,
        weightGradients: nil, inputGradient: &rowsBuffer)
      block.weightGradient(
        rows: rows, input: x, outputGradient: dy, saved: saved, scratch: &scratch, gradients: &gradients,
        accumulate: false)
    }
    #expect(gradients.allSatisfy { $0.isFinite })
    for matrix in 0..<3 { #expect(gradients[matrix * 30 + 15..<matrix * 30 + 30].allSatisfy { $0 == 0 }) }
  }
}
