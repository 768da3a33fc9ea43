import Models
import Testing

@Suite struct `Parameter counts` {
  /// Counts of the published checkpoints.
  @Test(arguments: [
    ("deepseek-v3", 671_026_419_200), ("deepseek-v2", 235_741_434_880), ("deepseek-v2-lite", 15_706_484_224),
    ("llama-3.1-8b", 8_030_261_248), ("llama-3.1-70b", 70_553_706_496), ("llama-3.1-405b", 405_853_388_800),
    ("mixtral-8x7b", 46_702_792_704), ("mixtral-8x22b", 140_620_634_112),
    ("qwen3-235b-a22b", 235_093_634_560), ("qwen3-30b-a3b", 30_532_122_624),
  ])
  func `are those of the published checkpoint`(name: String, count: Int) throws {
    #expect(try shippedModel(named: name).model.parameters.total == count)
  }

  @Test func `of DeepSeek-V3 are exact with multi-token prediction and active`() throws {
    let parameters = try shippedModel(named: "deepseek-v3").model.parameters
    #expect(parameters.withMultiTokenPrediction == 684_489_845_504)
    #expect(parameters.active == 36_625_618_432)
    #expect(parameters[.embedding].total == 129_280 * 7_168)
    #expect(parameters[.embedding].active == 0)
    #expect(parameters[.routedExperts].total == 32 * parameters[.routedExperts].active)
  }

  @Test(arguments: shippedModelNames)
  func `of the modules add up`(name: String) throws {
    let parameters = try shippedModel(named: name).model.parameters
    #expect(parameters.rows.map(\.module) == ParameterCount.Module.allCases)
    #expect(parameters.rows.reduce(0) { $0 + $1.total } == parameters.withMultiTokenPrediction)
    #expect(parameters.rows.allSatisfy { 0 <= $0.active && ($0.active <= $0.total || $0.module == .head) })
  }

  /// The sizes that arXiv 2104.04473, Table 1, prints with one decimal.
  @Test(arguments: [
    (2304, 24, 24, 1.7), (3072, 30, 32, 3.6), (4096, 36, 32, 7.5), (6144, 40, 48, 18.4), (8192, 48, 64, 39.1),
    (10240, 60, 80, 76.1), (12288, 80, 96, 145.6), (16384, 96, 128, 310.1), (20480, 105, 128, 529.6),
    (25600, 128, 160, 1008.0),
  ])
  func `of a GPT are those of Megatron's table`(hidden: Int, layers: Int, heads: Int, billions: Double) {
    let model = Model.gpt(hidden: hidden, layers: layers, heads: heads, vocabulary: 51_200, sequence: 2_048)
    #expect(abs(Double(model.parameters.total) / 1e9 - billions) <= (billions > 1000 ? 0.5 : 0.05))
    let h = Double(hidden)
    let l = Double(layers)
    let formula = 12 * l * h * h * (1 + 13 / (12 * h) + (51_200 + 2_048) / (12 * l * h))
    // The paper's formula leaves the last norm out.
    #expect(abs(Double(model.parameters.total) - formula - 2 * h) < 1e-9 * formula)
  }
}

@Suite struct `Work of a token` {
  @Test func `of DeepSeek-V3 at 4096 is the published figure causal and full`() throws {
    let model = try shippedModel(named: "deepseek-v3").model
    let causal = model.flopsPerToken(sequence: 4_096, causal: true).value / 1e9
    let full = model.flopsPerToken(sequence: 4_096, causal: false).value / 1e9
    #expect((causal * 10).rounded() / 10 == 250.5)
    #expect((full * 10).rounded() / 10 == 281.2)
  }

  /// Training GFLOPs of a token at 4,096 in arXiv 2505.09343, Table 2. Its rule is not printed; ours agrees
  /// within two in a hundred.
  @Test(arguments: [("deepseek-v2", 155.0), ("deepseek-v3", 250.0), ("llama-3.1-405b", 2_448.0)])
  func `is that of the published comparison`(name: String, billions: Double) throws {
    let work = try shippedModel(named: name).model.flopsPerToken(sequence: 4_096, causal: true).value / 1e9
    #expect(abs(work / billions - 1) < 0.02)
  }

  @Test func `by Megatron's rule is its printed formula`() {
    let model = Model.gpt(hidden: 4_096, layers: 36, heads: 32, vocabulary: 51_200, sequence: 2_048)
    let (h, l, s, v, b) = (4_096.0, 36.0, 2_048.0, 51_200.0, 512.0)
    let recomputed = 96 * b * s * l * h * h * (1 + s / (6 * h) + v / (16 * l * h))
    let kept = 72 * b * s * l * h * h * (1 + s / (6 * h) + v / (12 * l * h))
    let rule = { model.megatronFLOPsPerStep(sequences: 512, sequence: 2_048, fullRecompute: $0).value }
    #expect(abs(rule(true) / recomputed - 1) < 1e-12)
    #expect(abs(rule(false) / kept - 1) < 1e-12)
  }
}
