import Operators
import TestSupport
import Testing

@testable import Models

/// Every operator of a model on one GPU, multi-token prediction left out.
private func operators(
  of model: Model, batch: Batch, slice: Slice = .whole, precision: Precision = .bfloat16,
  options: OperatorOptions = OperatorOptions()
) -> [Operator] {
  let layers = (0..<model.layers).flatMap { layer in
    model.attentionOperators(layer: layer, batch: batch, slice: slice, precision: precision, options: options)
      + model.feedForwardOperators(
        layer: layer, batch: batch, slice: slice, precision: precision, options: options)
  }
  return model.embeddingOperators(batch: batch, slice: slice, precision: precision, options: options) + layers
    + model.headOperators(
      batch: batch, slice: slice, precision: precision, options: options,
      sharesProjection: model.tiedEmbeddings)
}

private func work(_ operators: [Operator]) -> Double {
  operators.flatMap { step in Pass.allCases.flatMap(step.kernels) }.reduce(0) { $0 + $1.flops.value }
}

/// Scores that a fused backward computes a second time: no model FLOPs.
private func recomputedScores(_ operators: [Operator]) -> Double {
  operators.flatMap(\.inputGradient).reduce(0) { sum, kernel in
    guard case .fusedAttention(let attention) = kernel else { return sum }
    let scores =
      attention.sequences * Double(attention.queryHeads * attention.queries) * Double(attention.keys)
    return sum + 2 * scores * (attention.isCausal ? 0.5 : 1) * Double(attention.queryKeyDimension)
  }
}

/// Active parameters that no matrix product touches: norms, biases, the router's correction.
private func elementwiseParameters(_ model: Model) -> Int {
  var count = model.parameters[.norms].active
  if let mixture = model.mixture, mixture.hasSelectionBias {
    count += model.mixtureLayers * mixture.routedExperts
  }
  if case .grouped(let attention) = model.attention {
    if attention.hasProjectionBias { count += model.layers * attention.projectionColumns }
    if attention.hasOutputBias { count += model.layers * model.hidden }
  }
  if model.feedForward.hasBias { count += model.layers * (model.feedForward.intermediate + model.hidden) }
  return count
}

@Suite struct `Operators of a layer` {
  @Test(arguments: shippedModelNames, [true, false])
  func `do the work that the model's rule counts`(name: String, causal: Bool) throws {
    let model = try shippedModel(named: name).model
    let batch = Batch(sequences: 2, sequence: 1_024)
    let all = operators(of: model, batch: batch, options: OperatorOptions(causal: causal))
    let expected =
      (model.flopsPerToken(sequence: 1_024, causal: causal).value - 6 * Double(elementwiseParameters(model)))
      * Double(batch.tokens)
    #expect(abs((work(all) - recomputedScores(all)) / expected - 1) < 1e-9)
  }

  @Test func `do the full work when attention is not fused`() throws {
    let model = try shippedModel(named: "gpt3-175b").model
    let batch = Batch(sequences: 1, sequence: 2_048)
    let all = operators(
      of: model, batch: batch, options: OperatorOptions(fusedAttention: false, causal: true, dropout: true))
    let rule = model.megatronFLOPsPerStep(sequences: 1, sequence: 2_048, fullRecompute: false).value
    #expect(abs(work(all) / rule - 1) < 1e-9)
  }

  @Test(arguments: shippedModelNames)
  func `hold the model's parameters`(name: String) throws {
    let model = try shippedModel(named: name).model
    let all = operators(of: model, batch: Batch(sequences: 1, sequence: 128))
    #expect(all.reduce(0) { $0 + $1.parameters } == model.parameters.total)
  }

  @Test func `of multi-token prediction hold the module's parameters without its copies`() throws {
    let model = try shippedModel(named: "deepseek-v3").model
    let batch = Batch(sequences: 1, sequence: 128)
    let options = OperatorOptions()
    let module =
      model.multiTokenPredictionOperators(batch: batch, slice: .whole, precision: .float8, options: options)
      + model.attentionOperators(
        layer: model.layers, batch: batch, slice: .whole, precision: .float8, options: options)
      + model.feedForwardOperators(
        layer: model.layers, batch: batch, slice: .whole, precision: .float8, options: options)
      + model.headOperators(
        batch: batch, slice: .whole, precision: .float8, options: options, sharesProjection: true)
    let copies = 2 * model.vocabulary * model.hidden
    #expect(
      module.reduce(0) { $0 + $1.parameters } == model.parameters[.multiTokenPrediction].total - copies)
  }

  @Test func `cast to FP8 only when linear layers are FP8`() throws {
    let model = try shippedModel(named: "deepseek-v3").model
    let passes = { (precision: Precision) in
      operators(of: model, batch: Batch(sequences: 1, sequence: 4_096), precision: precision)
        .flatMap { step in Pass.allCases.flatMap(step.kernels) }
        .reduce(into: (passes: 0, float8: 0)) { counts, kernel in
          if case .memoryPass = kernel { counts.passes += 1 }
          if case .matrixProduct(let product) = kernel, product.format == .float8 { counts.float8 += 1 }
        }
    }
    #expect(passes(.bfloat16).float8 == 0)
    #expect(passes(.float8).float8 > 0)
    #expect(passes(.float8).passes > passes(.bfloat16).passes)
    // Work does not depend on the format.
    let batch = Batch(sequences: 1, sequence: 4_096)
    #expect(
      work(operators(of: model, batch: batch, precision: .float8)) == work(operators(of: model, batch: batch))
    )
  }

  @Test(arguments: shippedModelNames)
  func `have names that are unique within a layer`(name: String) throws {
    let model = try shippedModel(named: name).model
    let batch = Batch(sequences: 1, sequence: 64)
    let options = OperatorOptions(fusedAttention: false, dropout: true)
    for layer in [0, model.layers - 1] {
      let names =
        (model.attentionOperators(
          layer: layer, batch: batch, slice: .whole, precision: .float8, options: options)
        + model.feedForwardOperators(
          layer: layer, batch: batch, slice: .whole, precision: .float8, options: options))
        .map(\.name)
      #expect(Set(names).count == names.count)
    }
  }
}

@Suite struct `The recorded DeepSeek-V3 layer` {
  private let batch = Batch(sequences: 1, sequence: 4_096)

  private func products(_ operators: [Operator], _ pass: Pass) -> [[Int]] {
    operators.flatMap { $0.kernels(pass) }.compactMap { kernel in
      guard case .matrixProduct(let product) = kernel else { return nil }
      return [Int(product.rows), product.columns, Int(product.depth), product.count]
    }
  }

  /// Shapes of the profile-data training step, 4,096 tokens and 64 ranks: rows, columns, depth, experts.
  @Test func `has the recorded matrix products`() throws {
    let model = try shippedModel(named: "deepseek-v3").model
    let attention = model.attentionOperators(
      layer: 9, batch: batch, slice: Slice(expert: 64), precision: .float8, options: OperatorOptions())
    #expect(
      products(attention, .forward) == [
        [4096, 1536, 7168, 1], [4096, 24576, 1536, 1], [4096, 576, 7168, 1], [4096, 32768, 512, 1],
        [4096, 7168, 16384, 1],
      ])
    #expect(
      products(attention, .weightGradient) == [
        [1536, 7168, 4096, 1], [24576, 1536, 4096, 1], [576, 7168, 4096, 1], [32768, 512, 4096, 1],
        [7168, 16384, 4096, 1],
      ])
    let experts = model.feedForwardOperators(
      layer: 9, batch: batch, slice: Slice(expert: 64), precision: .float8, options: OperatorOptions()
    ).filter { $0.component == .routedExperts }
    #expect(products(experts, .forward) == [[8192, 4096, 7168, 4], [8192, 7168, 2048, 4]])
    #expect(products(experts, .inputGradient) == [[8192, 7168, 4096, 4], [8192, 2048, 7168, 4]])
    #expect(products(experts, .weightGradient) == [[4096, 7168, 8192, 4], [7168, 2048, 8192, 4]])
  }

  @Test func `adds the residual and norms it in one launch that reads two and writes two`() throws {
    let model = try shippedModel(named: "deepseek-v3").model
    let builder = OperatorBuilder(
      model: model, batch: batch, slice: .whole, precision: .float8, options: OperatorOptions())
    let kernels =
      builder.residual("sum", .attentionProjection).forward
      + builder.norm("norm", .attentionProjection, rows: 4_096, width: 7_168).forward
    let tensor = 4_096.0 * 7_168 * 2
    #expect(kernels.reduce(0) { $0 + $1.bytesRead } == 2 * tensor)
    #expect(kernels.reduce(0) { $0 + $1.bytesWritten } == 2 * tensor)
    let launches = kernels.reduce(0) { sum, kernel in
      guard case .memoryPass(let pass) = kernel else { return sum }
      return sum + pass.launches
    }
    #expect(launches == 1)
  }
}

@Suite struct `A slice` {
  private let batch = Batch(sequences: 1, sequence: 2_048)

  @Test(arguments: ["deepseek-v3", "deepseek-v2-lite", "mixtral-8x7b"], [2, 4])
  func `of tensor and sequence parallelism conserves the work of a mixture`(name: String, tensor: Int) throws
  {
    let model = try shippedModel(named: name).model
    let whole = work(operators(of: model, batch: batch))
    let part = work(operators(of: model, batch: batch, slice: Slice(tensor: tensor, sequenceParallel: true)))
    #expect(abs(part * Double(tensor) / whole - 1) < 1e-9)
  }

  @Test(arguments: ["llama-3.1-8b", "llama-3.1-405b", "gpt3-175b"], [2, 4, 8])
  func `of tensor parallelism does its share of the work and holds its share of the matrices`(
    name: String, tensor: Int
  ) throws {
    let model = try shippedModel(named: name).model
    let whole = operators(of: model, batch: batch)
    let part = operators(of: model, batch: batch, slice: Slice(tensor: tensor, sequenceParallel: true))
    #expect(abs(work(part) * Double(tensor) / work(whole) - 1) < 1e-9)
    let matrices = { (steps: [Operator]) in
      steps.filter { !$0.weightGradient.isEmpty && $0.component != .embedding }.reduce(0) {
        $0 + $1.parameters
      }
    }
    // Biases after a row-parallel product are whole on every GPU.
    let repeated = model.family == .gpt ? 2 * model.layers * model.hidden * (tensor - 1) : 0
    #expect(matrices(part) * tensor == matrices(whole) + repeated)
  }

  @Test(arguments: [2, 4, 8])
  func `of context parallelism does its share of the work`(context: Int) throws {
    for name in ["llama-3.1-8b", "deepseek-v3", "qwen3-30b-a3b"] {
      let model = try shippedModel(named: name).model
      let whole = work(operators(of: model, batch: batch))
      let part = work(operators(of: model, batch: batch, slice: Slice(context: context)))
      #expect(abs(part * Double(context) / whole - 1) < 1e-9)
    }
  }

  @Test(
    arguments: ["deepseek-v3", "mixtral-8x7b", "qwen3-235b-a22b"], [(1, 1), (4, 1), (8, 1), (2, 2), (4, 4)])
  func `of expert parallelism holds its share of the experts and does as much work as before`(
    name: String, degrees: (expert: Int, expertTensor: Int)
  ) throws {
    let model = try shippedModel(named: name).model
    let experts = { (slice: Slice) in
      model.feedForwardOperators(
        layer: 10, batch: batch, slice: slice, precision: .float8, options: OperatorOptions()
      ).filter { $0.component == .routedExperts }
    }
    let whole = experts(.whole)
    let part = experts(Slice(expert: degrees.expert, expertTensor: degrees.expertTensor))
    #expect(abs(work(part) / work(whole) - 1) < 1e-9)
    #expect(
      part.reduce(0) { $0 + $1.parameters } * degrees.expert * degrees.expertTensor
        == whole.reduce(0) { $0 + $1.parameters })
  }

  @Test func `with drawn expert rows does work in proportion`() throws {
    let model = try shippedModel(named: "deepseek-v3").model
    let experts = { (rows: Double?) in
      work(
        model.feedForwardOperators(
          layer: 10, batch: batch, slice: Slice(expert: 64, expertRows: rows), precision: .float8,
          options: OperatorOptions()
        ).filter { $0.component == .routedExperts })
    }
    #expect(abs(experts(2_048 * 12) / experts(nil) - 1.5) < 1e-9)
    #expect(experts(0) == 0)
  }
}

@Suite struct `Memory kept for the backward` {
  private func saved(
    _ model: Model, _ batch: Batch, _ slice: Slice, without unit: String? = nil
  ) -> Double {
    let options = OperatorOptions(fusedAttention: false, causal: true, dropout: true)
    let layer =
      model.attentionOperators(layer: 0, batch: batch, slice: slice, precision: .bfloat16, options: options)
      + model.feedForwardOperators(
        layer: 0, batch: batch, slice: slice, precision: .bfloat16, options: options)
    return layer.reduce(0) { $0 + ($1.recomputeUnit == unit && unit != nil ? 0 : $1.savedBytes) }
  }

  /// arXiv 2205.05198, Table 2.
  @Test(arguments: [1, 2, 8])
  func `by a GPT layer is the published formula`(tensor: Int) {
    let model = Model.gpt(hidden: 6_144, layers: 48, heads: 64, vocabulary: 51_200, sequence: 2_048)
    let (s, b, h, a, t) = (2_048.0, 4.0, 6_144.0, 64.0, Double(tensor))
    let batch = Batch(sequences: 4, sequence: 2_048)
    let plain = saved(model, batch, Slice(tensor: tensor))
    // 5 a s² b is kept apart: dividing by h and multiplying again would round.
    #expect(plain == s * b * h * (10 + 24 / t) + 5 * a * s * s * b / t)
    let cut = Slice(tensor: tensor, sequenceParallel: true)
    #expect(saved(model, batch, cut) == s * b * h * 34 / t + 5 * a * s * s * b / t)
    #expect(saved(model, batch, cut, without: "attention_core") == s * b * h * 34 / t)
  }

  @Test func `by DeepSeek-V3's attention shrinks when its units are recomputed`() throws {
    let model = try shippedModel(named: "deepseek-v3").model
    let layer = model.attentionOperators(
      layer: 5, batch: Batch(sequences: 1, sequence: 4_096), slice: .whole, precision: .float8,
      options: OperatorOptions())
    let all = layer.reduce(0) { $0 + $1.savedBytes }
    let kept = layer.filter { !["norm", "mla_up"].contains($0.recomputeUnit) }.reduce(0) {
      $0 + $1.savedBytes
    }
    // Queries, keys and values of 128 heads make up most of it.
    #expect(kept < all / 3)
  }
}

@Suite struct `Tokens among ranks` {
  /// Mean distinct ranks of eight experts of 256 without groups, by DeepEP's published benchmark.
  @Test(arguments: [(8, 5.30), (16, 6.52), (32, 7.27)])
  func `travel once to each`(ranks: Int, mean: Double) {
    let mixture = Mixture(routedExperts: 256, topK: 8, expertIntermediate: 1)
    #expect(abs(mixture.distinctRanks(of: ranks) - mean) < 0.01)
  }

  /// Recorded at 64 ranks: 7.47 to 7.49. Real scores spread a little more over the groups than equal chances
  /// do.
  @Test func `reach 64 ranks about as often as DeepSeek-V3's do`() throws {
    let mixture = try #require(try shippedModel(named: "deepseek-v3").model.mixture)
    #expect(abs(mixture.distinctRanks(of: 64) / 7.47 - 1) < 0.02)
  }

  @Test(arguments: [1, 2, 4, 8, 16, 32])
  func `are as many as drawing says`(ranks: Int) {
    let mixture = Mixture(routedExperts: 32, topK: 4, expertIntermediate: 1, groups: 8, limitedGroups: 3)
    var random = SeededGenerator(seed: 11)
    var sum = 0
    let draws = 20_000
    for _ in 0..<draws {
      let open = (0..<8).shuffled(using: &random).prefix(3)
      let experts = open.flatMap { ($0 * 4)..<($0 * 4 + 4) }.shuffled(using: &random).prefix(4)
      sum += Set(experts.map { $0 * ranks / 32 }).count
    }
    #expect(abs(Double(sum) / Double(draws) / mixture.distinctRanks(of: ranks) - 1) < 0.01)
  }

  @Test func `never exceed the ranks or the choices`() throws {
    let mixture = try #require(try shippedModel(named: "mixtral-8x7b").model.mixture)
    #expect(mixture.distinctRanks(of: 1) == 1)
    #expect(mixture.distinctRanks(of: 8) == 2)
  }
}
