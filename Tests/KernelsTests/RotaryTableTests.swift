import Foundation
import Testing

@testable import Kernels

@Suite struct RotaryTableTests {
  /// The frequencies of a table: its angles at position 1, which stay below half a turn.
  private func frequencies(_ scaling: RotaryTable.Scaling, dimension: Int = 16, theta: Double = 10_000)
    -> [Double]
  {
    let table = RotaryTable(dimension: dimension, length: 2, theta: theta, pairing: .halves, scaling: scaling)
    return (0..<dimension / 2).map {
      atan2(Double(table.sines[dimension / 2 + $0]), Double(table.cosines[dimension / 2 + $0]))
    }
  }

  private let plain = (0..<8).map { pow(10_000, -Double($0) / 8) }

  private func expectEqual(_ found: [Double], _ expected: [Double]) {
    for (found, expected) in zip(found, expected) { #expect(abs(found / expected - 1) < 1e-5) }
  }

  @Test func `frequencies fall from one to nearly one over theta`() {
    expectEqual(frequencies(.none), plain)
    expectEqual(frequencies(.linear(factor: 4)), plain.map { $0 / 4 })
  }

  @Test func `Llama 3 keeps short waves, stretches long ones and blends between`() {
    let scaled = frequencies(
      .llama3(
        RotaryTable.Llama3(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalLength: 256)))
    let expected = plain.map { frequency in
      let wavelength = 2 * Double.pi / frequency
      if wavelength < 256 / 4 { return frequency }
      if wavelength > 256 { return frequency / 8 }
      let smooth = (256 / wavelength - 1) / (4 - 1)
      return (1 - smooth) * frequency / 8 + smooth * frequency
    }
    expectEqual(scaled, expected)
    #expect(scaled[0] == plain[0] || abs(scaled[0] / plain[0] - 1) < 1e-5)
    #expect(abs(scaled[7] / plain[7] - 1 / 8.0) < 1e-5)
  }

  @Test func `YaRN without its mscale keys takes the factor of the paper on cosines and sines`() {
    let yarn = RotaryTable.Yarn(factor: 4, originalLength: 64)
    let table = RotaryTable(dimension: 16, length: 1, theta: 10_000, pairing: .halves, scaling: .yarn(yarn))
    #expect(table.cosines.allSatisfy { abs(Double($0) - (0.1 * log(4.0) + 1)) < 1e-6 })
    #expect(table.softmaxFactor == 1)
  }

  @Test(arguments: [RotaryTable.Pairing.interleaved, .halves])
  func `turning back undoes a turn, and a turn keeps lengths`(pairing: RotaryTable.Pairing) {
    let table = RotaryTable(dimension: 6, length: 5, theta: 100, pairing: pairing)
    let before = (0..<2 * 5 * 3 * 8).map { sin(Float($0)) }
    var rows = before
    func turn(backwards: Bool) {
      rows.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        // Three heads of eight elements, of which the last six are rotated.
        table.rotate(
          base + 2, pitch: 24, tokens: 10, heads: 3, headPitch: 8, sequenceLength: 5, backwards: backwards)
      }
    }
    turn(backwards: false)
    #expect(rows != before)
    for head in 0..<30 {
      let range = head * 8 + 2..<(head + 1) * 8
      let lengths = [rows, before].map { $0[range].reduce(0) { $0 + $1 * $1 } }
      #expect(abs(lengths[0] - lengths[1]) < 1e-5 * lengths[1])
      #expect(rows[head * 8] == before[head * 8] && rows[head * 8 + 1] == before[head * 8 + 1])
      if head % 15 < 3 { #expect(rows[range] == before[range], "the first position is not turned") }
    }
    turn(backwards: true)
    #expect(relativeError(rows, before) < 1e-6)
  }
}
