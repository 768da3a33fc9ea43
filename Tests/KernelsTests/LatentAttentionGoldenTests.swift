import Testing

@testable import Kernels

/// The attention of Hugging Face's DeepSeek-V3, forward and backward.
@Suite struct LatentAttentionGoldenTests {
  struct Case: Decodable {
    var hidden: Int
    var heads: Int
    var queryRank: Int?
    var keyValueRank: Int
    var content: Int
    var rotaryWidth: Int
    var value: Int
    var sequences: Int
    var length: Int
    var theta: Double
    var softmaxScale: Double
    var yarn: Yarn?

    enum CodingKeys: String, CodingKey {
      case hidden, heads, yarn
      case queryRank = "q_lora"
      case keyValueRank = "kv_lora"
      case content = "nope"
      case rotaryWidth = "rope"
      case value = "v"
      case sequences = "B"
      case length = "S"
      case theta = "rope_theta"
      case softmaxScale = "softmax_scale"
    }

    struct Yarn: Decodable {
      var factor: Double
      var mscale: Double
      var mscaleAllDimensions: Double
      var betaFast: Double
      var betaSlow: Double
      var originalLength: Int

      enum CodingKeys: String, CodingKey {
        case factor, mscale
        case mscaleAllDimensions = "mscale_all_dim"
        case betaFast = "beta_fast"
        case betaSlow = "beta_slow"
        case originalLength = "original_max_position_embeddings"
      }
    }

    var rotary: RotaryTable {
      RotaryTable(
        dimension: rotaryWidth, length: length, theta: theta, pairing: .interleaved,
        scaling: yarn.map {
          .yarn(
            RotaryTable.Yarn(
              factor: $0.factor, originalLength: $0.originalLength, betaFast: $0.betaFast,
              betaSlow: $0.betaSlow, mscale: $0.mscale, mscaleAllDimensions: $0.mscaleAllDimensions))
        } ?? .none)
    }
  }

  @Test func `latent attention equals the golden one, with and without YaRN`() throws {
    let file = try goldenFile("mla")
    let cases: [String: Case] = try file.described("config")
    #expect(!cases.isEmpty)
    for (name, shape) in cases.sorted(by: { $0.key < $1.key }) {
      func tensor(_ suffix: String) throws -> [Float] { try file.floats(name + "/" + suffix) }
      let rotary = shape.rotary
      #expect(relativeError(rotary.cosines, try tensor("cos")) < 1e-6)
      #expect(relativeError(rotary.sines, try tensor("sin")) < 1e-6)
      let scale = rotary.softmaxFactor / Double(shape.content + shape.rotaryWidth).squareRoot()
      #expect(abs(scale - shape.softmaxScale) < 1e-12)
      // The golden module has no norm before it: with so large an epsilon the block's own norm is the identity.
      let block = AttentionBlock(
        .latent(
          heads: shape.heads, queryRank: shape.queryRank, keyValueRank: shape.keyValueRank,
          contentDimension: shape.content, rotaryDimension: shape.rotaryWidth, valueDimension: shape.value),
        hidden: shape.hidden, sequences: shape.sequences,
        length: shape.length, epsilon: 0x1p40, rotary: rotary)
      let parameters = try block.parameters.entries.flatMap { entry in
        entry.name == "input_layernorm.weight"
          ? [Float](repeating: 0x1p20, count: entry.count)
          : try file.floats(name + "/" + entry.name.dropFirst("self_attn.".count), shape: entry.shape)
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
