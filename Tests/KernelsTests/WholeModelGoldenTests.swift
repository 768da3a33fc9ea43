import TestSupport
import Testing

@testable import Kernels

/// The mini DeepSeek-V3 of the golden files, on one process.
@Suite struct WholeModelGoldenTests {
  struct Configuration: Decodable {
    var vocab: Int
    var hidden: Int
    var inter: Int
    var nLayers: Int
    var nDense: Int
    var heads: Int
    var qLora: Int?
    var kvLora: Int
    var nope: Int
    var rope: Int
    var v: Int
    var moeInter: Int
    var nExperts: Int
    var nGroup: Int
    var topkGroup: Int
    var topK: Int
    var nShared: Int
    var normTopkProb: Bool
    var routedScalingFactor: Float
    var eps: Float
    var ropeTheta: Double
    var mtp: Bool
    var mtpLambda: Double
    var alpha: Float
    var gamma: Float
    var M: Int
    var B: Int
    var S: Int

    func shape(predicts: Bool, balances: Bool) -> ReferenceModel.Shape {
      ReferenceModel.Shape(
        vocabulary: vocab, hidden: hidden, layers: nLayers, intermediate: inter,
        attention: .latent(
          heads: heads, queryRank: qLora, keyValueRank: kvLora, contentDimension: nope, rotaryDimension: rope,
          valueDimension: v),
        rotary: RotaryTable(dimension: rope, length: S, theta: ropeTheta, pairing: .interleaved),
        epsilon: eps,
        mixture: ReferenceModel.Shape.Mixture(
          router: Router(
            experts: nExperts, topK: topK, groups: nGroup, limitedGroups: topkGroup, scoring: .sigmoid,
            groupScore: .topTwo, normalizes: normTopkProb, scaling: routedScalingFactor),
          intermediate: moeInter, sharedIntermediate: nShared * moeInter, firstDenseLayers: nDense,
          balanceLoss: balances ? alpha : 0), predictionDepth: predicts ? 1 : 0, sequences: B, length: S)
    }
  }

  private func model(
    _ golden: GoldenTensors<Configuration>, predicts: Bool, balances: Bool
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
    _ model: ReferenceModel, _ golden: GoldenTensors<Configuration>,
    after: (Int) throws -> Void = { _ in }
  ) throws -> [ReferenceModel.Losses] {
    let configuration = golden.configuration
    let tokens = configuration.B * configuration.S
    let tensors = try ["input_ids", "labels", "mtp_labels"].map {
      try golden.file.int32s($0, shape: [configuration.M, configuration.B, configuration.S])
    }
    return try (0..<configuration.M).map { batch in
      let rows = tensors.map { Array($0[batch * tokens..<(batch + 1) * tokens]) }
      let losses = model.run(
        ids: rows[0], labels: Array(rows[1...(1 + model.shape.predictionDepth)]),
        scale: 1 / Double(configuration.M), predictionWeight: configuration.mtpLambda)
      try after(batch)
      return losses
    }
  }

  private func sorted(_ indices: [Int32], each: Int) -> [[Int32]] {
    stride(from: 0, to: indices.count, by: each).map { indices[$0..<$0 + each].sorted() }
  }

  @Test func `cross-entropy alone gives the golden losses, boundaries, choices and gradients`() throws {
    let golden = try GoldenTensors<Configuration>("moe/e2e_mini4.safetensors")
    let file = golden.file
    let model = try model(golden, predicts: false, balances: false)
    let losses = try run(model, golden) { batch in
      guard batch == 0 else { return }
      for boundary in 0...golden.configuration.nLayers {
        #expect(relativeError(model.hidden[boundary], try file.floats("ce/mb0.hidden.\(boundary)")) < 2e-5)
        let gradient = try file.floats("ce/mb0.dhidden.\(boundary)")
        #expect(relativeError(model.hiddenGradients[boundary], gradient) < 2e-5)
      }
      for (mixture, layer) in zip(model.mixtures, golden.configuration.nDense...) {
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
    for name in try golden.metadata("ce_grad_order", as: [String].self) {
      let gradient = try #require(model.gradient(name), "\(name)")
      #expect(relativeError(gradient, try file.floats("ce/g." + name)) < 2e-5, "\(name)")
    }
    let square = model.parameters.reduce(0.0) { sum, parameter in
      let gradient = model.gradient(parameter.name) ?? []
      return sum + sumOfSquares(gradient, count: gradient.count)
    }
    let norm = try golden.metadata("global_grad_norm_ce", as: Double.self)
    #expect(abs(square.squareRoot() / norm - 1) < 1e-6)
  }

  @Test func `prediction and balance loss give the golden losses, gradients, counts and biases`() throws {
    let golden = try GoldenTensors<Configuration>("moe/e2e_mini4.safetensors")
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

    let names = try golden.metadata("total_grad_order", as: [String].self)
    let norms = try file.floats("total/grad_norm")
    let dots = try file.floats("total/grad_dot")
    let seed = try golden.metadata("seed", as: UInt64.self)
    #expect(Set(names) == Set(model.parameters.map(\.name)))
    for (index, name) in names.enumerated() {
      let gradient = try #require(model.gradient(name), "\(name)")
      let norm = sumOfSquares(gradient, count: gradient.count).squareRoot()
      #expect(abs(norm / Double(norms[index]) - 1) < 1e-5, "\(name)")
      let probe = hashedUniform(seed: seed, stream: 5_000 + UInt64(index), count: gradient.count)
      let product = dot(gradient.map(Double.init), probe.map(Double.init))
      #expect(abs(product - Double(dots[index])) < 1e-5 * norm, "\(name)")
      if file.contains("total/g." + name) {
        #expect(relativeError(gradient, try file.floats("total/g." + name)) < 2e-5, "\(name)")
      }
    }
    let norm = try golden.metadata("global_grad_norm_total", as: Double.self)
    let square = names.reduce(0.0) { sum, name in
      let gradient = model.gradient(name) ?? []
      return sum + sumOfSquares(gradient, count: gradient.count)
    }
    #expect(abs(square.squareRoot() / norm - 1) < 1e-6)
  }
}
