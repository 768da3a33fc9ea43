import CKernels
import Foundation
import TestSupport
import Testing

@testable import Kernels

@Suite(.serialized) struct ElementwiseTests {
  /// From tiny to overflowing, with what is not a number, in a length that leaves rests.
  static let hard: [Float] =
    [0, -0.0, 1e-40, -1e-40, 88.7, 88.8, -87.3, -88.8, -103, -104, 3e38, -3e38, .infinity, -.infinity, .nan]
    + stride(from: -30, through: 30, by: 0.37).map { $0 }

  private static func isClose(_ found: Float, _ expected: Double, _ tolerance: Double) -> Bool {
    if expected.isNaN { return found.isNaN }
    let rounded = Float(expected)
    if rounded.isInfinite { return found == rounded }
    return abs(Double(found) - expected) <= max(tolerance * abs(expected), 2e-45)
  }

  @Test(arguments: [0, 1])
  func `exponential and sigmoid are right to the last places, whatever the processor`(level: Int32) {
    ck_use_level(level)
    defer { ck_use_level(2) }
    let x = Self.hard
    var y = x
    ck_exp(x, &y, x.count)
    for (x, y) in zip(x, y) { #expect(Self.isClose(y, exp(Double(x)), 2e-7), "\(x) \(y)") }
    ck_sigmoid(x, &y, x.count)
    for (x, y) in zip(x, y) { #expect(Self.isClose(y, 1 / (1 + exp(-Double(x))), 3e-7), "\(x) \(y)") }
  }

  @Test(arguments: [0, 1])
  func `SwiGLU and its gradient follow their definition and hide nothing broken`(level: Int32) {
    ck_use_level(level)
    defer { ck_use_level(2) }
    var generator = SeededGenerator(seed: 1)
    let gate = Self.hard
    let up = generator.floats(gate.count, scale: 2)
    let dh = generator.floats(gate.count, scale: 2)
    var h = gate
    ck_swiglu(gate, up, &h, gate.count)
    var (dGate, dUp) = (gate, up)
    dGate.withUnsafeMutableBufferPointer { dGate in
      dUp.withUnsafeMutableBufferPointer { dUp in
        ck_swiglu_gradient(
          dGate.baseAddress!, dUp.baseAddress!, dh, dGate.baseAddress!, dUp.baseAddress!, gate.count)
      }
    }
    for i in gate.indices {
      let (g, u, d) = (Double(gate[i]), Double(up[i]), Double(dh[i]))
      if !gate[i].isFinite {
        #expect(!h[i].isFinite && !dGate[i].isFinite && !dUp[i].isFinite)
        continue
      }
      let s = 1 / (1 + exp(-g))
      #expect(Self.isClose(h[i], g * s * u, 1e-6) || abs(h[i]) < 1e-37, "\(g)")
      #expect(Self.isClose(dUp[i], d * g * s, 1e-6) || abs(dUp[i]) < 1e-37, "\(g)")
      #expect(
        abs(Double(dGate[i]) - d * u * s * (1 + g * (1 - s))) <= 1e-6 * abs(d * u) * (1 + abs(g) * s), "\(g)")
    }
  }

  @Test(arguments: [0, 1], [0, 1, 15, 16, 33, 100])
  func `dot products, sums of rows and their likes follow the plain loops`(level: Int32, count: Int) {
    ck_use_level(level)
    defer { ck_use_level(2) }
    var generator = SeededGenerator(seed: UInt64(count))
    let (a, b) = (generator.floats(count + 1), generator.floats(count + 1))
    let dot = (0..<count).reduce(0.0) { $0 + Double(a[$1]) * Double(b[$1]) }
    #expect(abs(Double(ck_dot(a, b, count)) - dot) < 1e-5)
    var y = b
    ck_axpy(0.5, a, &y, count)
    for i in 0..<count { #expect(abs(y[i] - (b[i] + 0.5 * a[i])) < 1e-6) }
    ck_scale(-2, a, &y, count)
    for i in 0..<count { #expect(y[i] == -2 * a[i]) }
    let rows = generator.floats(3 * count + 1)
    let indices: [Int32] = [2, 0, 2]
    var gathered = [Float](repeating: .nan, count: 3 * count + 1)
    ck_gather_rows(rows, indices, 3, count, &gathered)
    var sums = [Float](repeating: 1, count: 3 * count + 1)
    ck_scatter_add_rows(gathered, indices, [1, 2, 3], 3, count, &sums)
    var result = [Float](repeating: .nan, count: 2 * count + 1)
    ck_sum_rows(rows, [0, 0, 3], indices, nil, 2, count, 0, &result)
    for i in 0..<count {
      #expect(gathered[i] == rows[2 * count + i] && gathered[count + i] == rows[i])
      #expect(abs(sums[i] - (1 + 2 * rows[i])) < 1e-6 && sums[count + i] == 1)
      #expect(abs(sums[2 * count + i] - (1 + 4 * rows[2 * count + i])) < 1e-5)
      #expect(result[i] == 0 && abs(result[count + i] - (2 * rows[2 * count + i] + rows[i])) < 1e-6)
    }
  }
}
