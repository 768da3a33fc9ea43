import Testing

@testable import Kernels

/// The attention of Hugging Face's DeepSeek-V3, forward and backward.
@Suite struct LatentAttentionGoldenTests {
  struct Case: Decodable {
    var hidden: Int
    var heads: Int
    var qLora: Int?
    var kvLora: Int
    var nope: Int
    var rope: Int
    var v: Int
    var B: Int
    var S: Int
    var ropeTheta: Double
    var softmaxScale: Double
    var yarn: Yarn?

    struct Yarn: Decodable {
      var factor: Double
      var mscale: Double
      var mscaleAllDim: Double
      var betaFast: Double
      var betaSlow: Double
      var originalMaxPositionEmbeddings: Int
    }

    var rotary: RotaryTable {
      RotaryTable(
        dimension: rope, length: S, theta: ropeTheta, pairing: .interleaved,
        scaling: yarn.map {
          .yarn(
            RotaryTable.Yarn(
              factor: $0.factor, originalLength: $0.originalMaxPositionEmbeddings, betaFast: $0.betaFast,
              betaSlow: $0.betaSlow, mscale: $0.mscale, mscaleAllDimensions: $0.mscaleAllDim))
        } ?? .none)
    }
  }

  @Test func `latent attention equals the golden one, with and without YaRN`() throws {
    let golden = try GoldenTensors<[String: Case]>("moe/mla.safetensors")
    #expect(!golden.configuration.isEmpty)
    for (name, shape) in golden.configuration.sorted(by: { $0.key < $1.key }) {
      func tensor(_ suffix: String) throws -> [Float] { try golden.file.floats(name + "/" + suffix) }
      let rotary = shape.rotary
      #expect(relativeError(rotary.cosines, try tensor("cos")) < 1e-6)
      #expect(relativeError(rotary.sines, try tensor("sin")) < 1e-6)
      let scale = rotary.softmaxFactor / Double(shape.nope + shape.rope).squareRoot()
      #expect(abs(scale - shape.softmaxScale) < 1e-12)
      // The golden module has no norm before it: with so large an epsilon the block's own norm is the identity.
      let block = AttentionBlock(
        .latent(
          heads: shape.heads, queryRank: shape.qLora, keyValueRank: shape.kvLora,
          contentDimension: shape.nope,
          rotaryDimension: shape.rope, valueDimension: shape.v), hidden: shape.hidden, sequences: shape.B,
        length: shape.S, epsilon: 0x1p40, rotary: rotary)
      let parameters = try block.parameters.entries.flatMap { entry in
        entry.name == "input_layernorm.weight"
          ? [Float](repeating: 0x1p20, count: entry.count)
          : try golden.file.floats(name + "/" + entry.name.dropFirst("self_attn.".count), shape: entry.shape)
      }
      let input = try tensor("x")
      let outputGradient = try tensor("dy")
      let run = BlockRun(block, input: input, parameters: parameters, outputGradient: outputGradient)
      // The block adds the residual connection, which the golden module has not.
      #expect(relativeError(zip(run.output, input).map { $0 - $1 }, try tensor("y")) < 2e-5)
      #expect(relativeError(zip(run.inputGradient, outputGradient).map { $0 - $1 }, try tensor("dx")) < 2e-5)
      for entry in block.parameters.entries where entry.name != "input_layernorm.weight" {
        let truth = try tensor("d." + entry.name.dropFirst("self_attn.".count))
        let error = relativeError(run.gradients[entry.offset..<entry.offset + entry.count], truth)
        #expect(error < 2e-5, "\(name) \(entry.name)")
      }
    }
  }
}
