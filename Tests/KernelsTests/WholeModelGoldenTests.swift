import Tensors
import TestSupport
import Testing

@testable import Kernels

/// The mini DeepSeek-V3 of the golden files, on one process.
@Suite struct WholeModelGoldenTests {
  struct Configuration: Decodable {
    var vocabulary: Int
    var hidden: Int
    var intermediate: Int
    var layers: Int
    var denseLayers: Int
    var heads: Int
    var queryRank: Int?
    var keyValueRank: Int
    var content: Int
    var rotaryWidth: Int
    var value: Int
    var expertIntermediate: Int
    var experts: Int
    var groups: Int
    var limitedGroups: Int
    var topK: Int
    var sharedExperts: Int
    var normalizes: Bool
    var scaling: Float
    var epsilon: Float
    var theta: Double
    var predictionWeight: Double
    var alpha: Float
    var gamma: Float
    var microBatches: Int
    var sequences: Int
    var length: Int

    enum CodingKeys: String, CodingKey {
      case hidden, heads, alpha, gamma
      case vocabulary = "vocab"
      case intermediate = "inter"
      case layers = "n_layers"
      case denseLayers = "n_dense"
      case queryRank = "q_lora"
      case keyValueRank = "kv_lora"
      case content = "nope"
      case rotaryWidth = "rope"
      case value = "v"
      case expertIntermediate = "moe_inter"
      case experts = "n_experts"
      case groups = "n_group"
      case limitedGroups = "topk_group"
      case topK = "top_k"
      case sharedExperts = "n_shared"
      case normalizes = "norm_topk_prob"
      case scaling = "routed_scaling_factor"
      case epsilon = "eps"
      case theta = "rope_theta"
      case predictionWeight = "mtp_lambda"
      case microBatches = "M"
      case sequences = "B"
      case length = "S"
    }

    func shape(predicts: Bool, balances: Bool) -> ReferenceModel.Shape {
      ReferenceModel.Shape(
        vocabulary: vocabulary, hidden: hidden, layers: layers, intermediate: intermediate,
        attention: .latent(
          heads: heads, queryRank: queryRank, keyValueRank: keyValueRank, contentDimension: content,
          rotaryDimension: rotaryWidth,
          valueDimension: value),
        rotary: RotaryTable(dimension: rotaryWidth, length: length, theta: theta, pairing: .interleaved),
        epsilon: epsilon,
        mixture: ReferenceModel.Shape.Mixture(
          router: Router(
            experts: experts, topK: topK, groups: groups, limitedGroups: limitedGroups, scoring: .sigmoid,
            groupScore: .topTwo, normalizes: normalizes, scaling: scaling),
          intermediate: expertIntermediate, sharedIntermediate: sharedExperts * expertIntermediate,
          firstDenseLayers: denseLayers,
          balanceLoss: balances ? alpha : 0), predictionDepth: predicts ? 1 : 0, sequences: sequences,
        length: length)
    }
  }

  struct Golden {
    var file: TensorFile
    var configuration: Configuration

    init() throws {
      file = try goldenFile("e2e_mini4")
      configuration = try file.described("config")
    }
  }

  private func model(
    _ golden: Golden, predicts: Bool, balances: Bool
  ) throws -> ReferenceModel {
    let model = ReferenceModel(golden.configuration.shape(predicts: predicts, balances: balances))
    try model.setParameters { try golden.file.floats("w." + $0, shape: $1) }
    for mixture in model.mixtures {
      mixture.selectionBias = try golden.file.floats("w.\(mixture.prefix)mlp.gate.e_score_correction_bias")
    }
    model.beginStep()
    return model
  }

  /// The losses of all micro-batches.
  private func run(
    _ model: ReferenceModel, _ golden: Golden, after: (Int) throws -> Void = { _ in }
  ) throws -> [ReferenceModel.Losses] {
    let configuration = golden.configuration
    let tokens = configuration.sequences * configuration.length
    let tensors = try ["input_ids", "labels", "mtp_labels"].map {
      try golden.file.int32s(
        $0, shape: [configuration.microBatches, configuration.sequences, configuration.length])
    }
    return try (0..<configuration.microBatches).map { batch in
      let rows = tensors.map { Array($0[batch * tokens..<(batch + 1) * tokens]) }
      let losses = model.run(
        ids: rows[0], labels: Array(rows[1...(1 + model.shape.predictionDepth)]),
        scale: 1 / Double(configuration.microBatches), predictionWeight: configuration.predictionWeight)
      try after(batch)
      return losses
    }
  }

  private func sorted(_ indices: [Int32], each: Int) -> [[Int32]] {
    stride(from: 0, to: indices.count, by: each).map { indices[$0..<$0 + each].sorted() }
  }

  @Test func `cross-entropy alone gives the golden losses, boundaries, choices and gradients`() throws {
    let golden = try Golden()
    let file = golden.file
    let model = try model(golden, predicts: false, balances: false)
    let losses = try run(model, golden) { batch in
      guard batch == 0 else { return }
      for boundary in 0...golden.configuration.layers {
        #expect(relativeError(model.hidden[boundary], try file.floats("ce/mb0.hidden.\(boundary)")) < 2e-5)
        let gradient = try file.floats("ce/mb0.dhidden.\(boundary)")
        #expect(relativeError(model.hiddenGradients[boundary], gradient) < 2e-5)
      }
      for (mixture, layer) in zip(model.mixtures, golden.configuration.denseLayers...) {
        let chosen = try file.int32s("ce/mb0.topk_idx.\(layer)")
        let topK = golden.configuration.topK
        #expect(sorted(mixture.indices, each: topK) == sorted(chosen, each: topK))
      }
    }
    let truth = try file.floats("ce/loss")
    for (loss, expected) in zip(losses, truth) {
      #expect(abs(loss.crossEntropy / Double(expected) - 1) < 1e-6)
      #expect(loss.balance == 0)
    }
    #expect(model.mixtures.flatMap(\.counts) == (try file.int32s("ce/counts")))
    for name in try file.described("ce_grad_order", as: [String].self) {
      let gradient = try #require(model.gradient(name), "\(name)")
      #expect(relativeError(gradient, try file.floats("ce/g." + name)) < 2e-5, "\(name)")
    }
    let square = model.parameters.reduce(0.0) { sum, parameter in
      let gradient = model.gradient(parameter.name) ?? []
      return sum + sumOfSquares(gradient, count: gradient.count)
    }
    let norm = try file.described("global_grad_norm_ce", as: Double.self)
    #expect(abs(square.squareRoot() / norm - 1) < 1e-6)
  }

  @Test func `prediction and balance loss give the golden losses, gradients, counts and biases`() throws {
    let golden = try Golden()
    let file = golden.file
    let model = try model(golden, predicts: true, balances: true)
    let losses = try run(model, golden)
    let crossEntropy = try file.floats("total/ce")
    let prediction = try file.floats("total/mtp")
    let balance = try file.floats("total/aux")
    for (batch, loss) in losses.enumerated() {
      #expect(abs(loss.crossEntropy / Double(crossEntropy[batch]) - 1) < 1e-6)
      #expect(abs(loss.predictions[0] / Double(prediction[batch]) - 1) < 1e-6)
      #expect(abs(loss.balance / Double(balance[batch]) - 1) < 1e-6)
    }
    #expect(model.mixtures.flatMap(\.counts) == (try file.int32s("total/counts")))
    let biases = model.mixtures.flatMap { mixture -> [Float] in
      let mean = Float(mixture.counts.reduce(0, +)) / Float(mixture.counts.count)
      return zip(mixture.selectionBias, mixture.counts).map { bias, count in
        let excess = mean - Float(count)
        return bias + (excess > 0 ? 1 : excess < 0 ? -1 : 0) * golden.configuration.gamma
      }
    }
    #expect(relativeError(biases, try file.floats("total/bias_after")) < 1e-6)

    let names = try file.described("total_grad_order", as: [String].self)
    let norms = try file.floats("total/grad_norm")
    let dots = try file.floats("total/grad_dot")
    let seed = try file.described("seed", as: UInt64.self)
    #expect(Set(names) == Set(model.parameters.map(\.name)))
    for (index, name) in names.enumerated() {
      let gradient = try #require(model.gradient(name), "\(name)")
      let norm = sumOfSquares(gradient, count: gradient.count).squareRoot()
      #expect(abs(norm / Double(norms[index]) - 1) < 1e-5, "\(name)")
      let probe = hashedFloats(seed: seed, stream: 5_000 + UInt64(index), count: gradient.count)
      let product = dot(gradient.map(Double.init), probe.map(Double.init))
      #expect(abs(product - Double(dots[index])) < 1e-5 * norm, "\(name)")
      if file.contains("total/g." + name) {
        #expect(relativeError(gradient, try file.floats("total/g." + name)) < 2e-5, "\(name)")
      }
    }
    let norm = try file.described("global_grad_norm_total", as: Double.self)
    let square = names.reduce(0.0) { sum, name in
      let gradient = model.gradient(name) ?? []
      return sum + sumOfSquares(gradient, count: gradient.count)
    }
    #expect(abs(square.squareRoot() / norm - 1) < 1e-6)
  }
}
