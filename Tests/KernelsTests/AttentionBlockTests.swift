import CKernels
import TestSupport
import Testing

@testable import Kernels

@Suite struct AttentionBlockTests {
  struct Shape: CustomTestStringConvertible, Sendable {
    var configuration: AttentionConfiguration
    var hidden: Int
    var sequences: Int
    var length: Int
    var testDescription: String { "\(configuration) \(hidden) \(sequences)x\(length)" }

    var rotary: RotaryTable {
      switch configuration {
      case .latent(_, _, _, _, let dimension, _):
        RotaryTable(dimension: dimension, length: length + 2, theta: 100, pairing: .interleaved)
      case .grouped(_, _, let dimension, _, _, _):
        RotaryTable(dimension: dimension, length: length, theta: 100, pairing: .halves)
      }
    }

    var block: AttentionBlock {
      AttentionBlock(
        configuration, hidden: hidden, sequences: sequences, length: length, epsilon: 1e-5, rotary: rotary)
    }
  }

  static func latent(
    _ heads: Int, _ queryRank: Int?, _ rank: Int, _ content: Int, _ rotary: Int, _ value: Int
  )
    -> AttentionConfiguration
  {
    .latent(
      heads: heads, queryRank: queryRank, keyValueRank: rank, contentDimension: content,
      rotaryDimension: rotary, valueDimension: value)
  }

  static func grouped(
    _ heads: Int, _ groups: Int, _ width: Int, bias: Bool = false, outputBias: Bool = false,
    norms: Bool = false
  ) -> AttentionConfiguration {
    .grouped(
      queryHeads: heads, keyValueHeads: groups, headDimension: width, hasProjectionBias: bias,
      hasOutputBias: outputBias, normalizesQueryKey: norms)
  }

  static let shapes = [
    Shape(configuration: latent(3, 7, 5, 3, 4, 5), hidden: 11, sequences: 2, length: 9),
    Shape(configuration: latent(2, nil, 9, 5, 2, 3), hidden: 13, sequences: 3, length: 5),
    Shape(configuration: latent(1, 4, 3, 1, 2, 1), hidden: 5, sequences: 1, length: 1),
    // Longer than a tile of queries, and no multiple of it.
    Shape(configuration: latent(2, 6, 5, 4, 2, 3), hidden: 7, sequences: 1, length: 67),
    Shape(configuration: grouped(3, 3, 4), hidden: 9, sequences: 2, length: 7),
    Shape(configuration: grouped(6, 2, 6), hidden: 17, sequences: 2, length: 11),
    Shape(configuration: grouped(4, 1, 2, bias: true), hidden: 9, sequences: 1, length: 10),
    Shape(configuration: grouped(4, 2, 4, bias: true, outputBias: true), hidden: 10, sequences: 3, length: 3),
    Shape(configuration: grouped(4, 2, 6, norms: true), hidden: 13, sequences: 2, length: 9),
    Shape(configuration: grouped(2, 1, 2, norms: true), hidden: 5, sequences: 1, length: 130),
  ]

  @Test(arguments: shapes)
  func `attention agrees with plain loops and its gradients with finite differences`(shape: Shape) {
    var generator = SeededGenerator(seed: UInt64(shape.hidden * 100 + shape.length))
    check(
      shape.block, hidden: shape.hidden, tokens: shape.sequences * shape.length, using: &generator
    ) { input, reference in
      reference.attention(
        input, shape.configuration, hidden: shape.hidden, length: shape.length, epsilon: 1e-5, theta: 100)
    }
  }

  @Test func `a token that is not a number spoils its own sequence and no other`() {
    let shape = Self.shapes[0]
    var generator = SeededGenerator(seed: 3)
    let block = shape.block
    let parameters = randomParameters(block.parameters, using: &generator)
    var input = generator.floats(2 * shape.length * shape.hidden)
    let zero = [Float](repeating: 0, count: input.count)
    let clean = BlockRun(block, input: input, parameters: parameters, outputGradient: zero)
    let half = shape.length * shape.hidden
    input[half - shape.hidden] = .nan
    let run = BlockRun(block, input: input, parameters: parameters, outputGradient: zero)
    #expect(!run.output[(half - shape.hidden)..<half].contains { !$0.isNaN })
    #expect(run.output[half...] == clean.output[half...])
    #expect(run.inputGradient[half...] == clean.inputGradient[half...])
  }

  @Test(arguments: [shapes[0], shapes[3], shapes[8], shapes[9]])
  func `plain kernels and those of the processor agree`(shape: Shape) {
    var generator = SeededGenerator(seed: 7)
    let block = shape.block
    let count = shape.sequences * shape.length * shape.hidden
    let parameters = randomParameters(block.parameters, using: &generator)
    let input = generator.floats(count)
    let outputGradient = generator.floats(count)
    func run(level: Int32) -> BlockRun {
      ck_use_level(level)
      defer { ck_use_level(2) }
      return BlockRun(block, input: input, parameters: parameters, outputGradient: outputGradient)
    }
    let plain = run(level: 0)
    let fast = run(level: 2)
    #expect(relativeError(fast.output, plain.output) < 2e-6)
    #expect(relativeError(fast.inputGradient, plain.inputGradient) < 2e-6)
    #expect(relativeError(fast.gradients, plain.gradients) < 2e-6)
  }

  @Test func `gradients of two micro-batches add up whatever the order of the passes`() {
    let shape = Self.shapes[1]
    var generator = SeededGenerator(seed: 4)
    let block = shape.block
    let count = shape.sequences * shape.length * shape.hidden
    let parameters = randomParameters(block.parameters, using: &generator)
    let inputs = [generator.floats(count), generator.floats(count)]
    let outputGradient = generator.floats(count)
    var saved = inputs.map { _ in [Float](repeating: .nan, count: block.savedCount) }
    var scratch = [Float](repeating: .nan, count: block.scratchCount)
    var rows = outputGradient
    var gradients = [Float](repeating: 0, count: parameters.count)
    for batch in 0..<2 {
      block.forward(
        input: inputs[batch], parameters: parameters, saved: &saved[batch], scratch: &scratch, output: &rows)
    }
    for batch in 0..<2 {
      block.inputGradient(
        outputGradient: outputGradient, parameters: parameters, saved: &saved[batch], scratch: &scratch,
        inputGradient: &rows)
    }
    for batch in 0..<2 {
      block.weightGradient(
        parameters: parameters, saved: &saved[batch], scratch: &scratch, gradients: &gradients)
    }
    let alone = inputs.map {
      BlockRun(block, input: $0, parameters: parameters, outputGradient: outputGradient).gradients
    }
    #expect(relativeError(gradients, zip(alone[0], alone[1]).map { $0 + $1 }) < 1e-6)
  }
}
