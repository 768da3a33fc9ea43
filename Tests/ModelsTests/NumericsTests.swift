import Documents
import Foundation
import Models
import Testing

private func numerics(_ text: String) throws -> Numerics {
  try Model(configuration: parseJSON(Data(text.utf8), file: "config.json"), name: "test", source: "test")
    .numerics
}

private func configuration(_ family: String, _ more: String = "") -> String {
  """
  {"model_type": "\(family)", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100,
   "max_position_embeddings": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
   "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "moe_intermediate_size": 16,
   "num_experts": 8, "num_local_experts": 8, "n_routed_experts": 8, "num_experts_per_tok": 2\(more)}
  """
}

@Suite struct `Numerics of a configuration` {
  @Test func `are each family's defaults where the file is silent`() throws {
    let deepSeek = try numerics(configuration("deepseek_v3"))
    #expect(deepSeek.normEpsilon == 1e-6 && deepSeek.ropeTheta == 10_000 && deepSeek.ropeScaling == .none)
    #expect(deepSeek.normalizesTopK && deepSeek.routedScaling == 2.5 && deepSeek.balanceLoss == 0.0001)
    #expect(deepSeek.biasUpdateSpeed == 0.001 && deepSeek.predictionWeight == 0.3)
    let older = try numerics(configuration("deepseek_v2"))
    #expect(!older.normalizesTopK && older.routedScaling == 1 && older.balanceLoss == 0.001)
    let mixtral = try numerics(configuration("mixtral"))
    #expect(mixtral.normEpsilon == 1e-5 && mixtral.ropeTheta == 1_000_000 && mixtral.normalizesTopK)
    #expect(mixtral.balanceLoss == 0 && mixtral.routedScaling == 1)
    let qwen = try numerics(configuration("qwen3_moe"))
    #expect(qwen.normEpsilon == 1e-6 && qwen.ropeTheta == 10_000 && !qwen.normalizesTopK)
  }

  @Test func `are read where the file gives them, in its older and its newer form`() throws {
    let yarn = RopeScaling.yarn(
      RopeScaling.Yarn(
        factor: 40, originalLength: 16, betaFast: 16, betaSlow: 2, mscale: 0.707, mscaleAllDimensions: 0.5))
    let keys = """
      "factor": 40, "original_max_position_embeddings": 16, "beta_fast": 16, "beta_slow": 2, "mscale": 0.707,
      "mscale_all_dim": 0.5
      """
    let old = try numerics(
      configuration(
        "deepseek_v3",
        """
        , "rms_norm_eps": 1e-5, "rope_theta": 5000, "rope_scaling": {"type": "yarn", \(keys)},
        "norm_topk_prob": false, "routed_scaling_factor": 16, "aux_loss_alpha": 0.01
        """))
    #expect(old.normEpsilon == 1e-5 && old.ropeTheta == 5_000 && old.ropeScaling == yarn)
    #expect(!old.normalizesTopK && old.routedScaling == 16 && old.balanceLoss == 0.01)
    let new = try numerics(
      configuration(
        "deepseek_v3", #", "rope_parameters": {"rope_type": "yarn", "rope_theta": 5000, \#(keys)}"#))
    #expect(new.ropeTheta == 5_000 && new.ropeScaling == yarn)
  }

  @Test func `of YaRN without its optional keys take the published ones`() throws {
    let given = try numerics(configuration("qwen3", #", "rope_scaling": {"rope_type": "yarn", "factor": 4}"#))
    #expect(given.ropeScaling == .yarn(RopeScaling.Yarn(factor: 4, originalLength: 128)))
  }

  @Test func `name a rotation that is not known instead of refusing the model`() throws {
    let given = try numerics(configuration("llama", #", "rope_scaling": {"type": "dynamic", "factor": 4}"#))
    #expect(given.ropeScaling == .other("dynamic"))
  }

  @Test(arguments: [
    #", "rms_norm_eps": 0"#, #", "rope_theta": -1"#, #", "rope_scaling": 3"#, #", "aux_loss_alpha": -0.1"#,
    #", "rope_scaling": {"rope_type": "yarn"}"#, #", "rope_scaling": {"rope_type": "linear", "factor": 0}"#,
    #", "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}"#,
  ])
  func `that make no sense are refused`(more: String) {
    #expect(throws: Diagnostic.self) { try numerics(configuration("deepseek_v3", more)) }
  }

  @Test func `of the shipped models are the published ones`() throws {
    let deepSeek = try shippedModel(named: "deepseek-v3").model.numerics
    #expect(
      deepSeek.ropeScaling
        == .yarn(RopeScaling.Yarn(factor: 40, originalLength: 4_096, mscale: 1, mscaleAllDimensions: 1)))
    let llama = try shippedModel(named: "llama-3.1-8b").model.numerics
    #expect(llama.normEpsilon == 1e-5 && llama.ropeTheta == 500_000)
    #expect(
      llama.ropeScaling
        == .llama3(
          RopeScaling.Llama3(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalLength: 8_192))
    )
    #expect(try shippedModel(named: "deepseek-v2").model.numerics.routedScaling == 16)
    #expect(try shippedModel(named: "qwen3-30b-a3b").model.numerics.normalizesTopK)
  }

  @Test func `the small model made for execution has DeepSeek-V3's form and is small`() throws {
    let model = try shippedModel(named: "deepseek-v3-mini").model
    #expect(model.family == .deepseekV3 && model.vocabulary == 256 && model.multiTokenPredictionDepth == 1)
    #expect((5_000_000...10_000_000).contains(model.parameters.withMultiTokenPrediction))
    let mixture = try #require(model.mixture)
    #expect(
      mixture.groups == 4 && mixture.limitedGroups == 2 && mixture.topK == 4 && mixture.hasSelectionBias)
  }
}
