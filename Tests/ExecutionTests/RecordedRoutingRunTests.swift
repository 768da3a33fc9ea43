import Execution
import Foundation
import Plans
import Rehearsing
import Testing

/// The folder of recordings that lies beside the project, or that `REHEARSAL_ROUTING` names.
private let recordings: String? = {
  let place =
    ProcessInfo.processInfo.environment["REHEARSAL_ROUTING"]
    ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../shared/routing")
    .standardized.path
  return FileManager.default.fileExists(atPath: place) ? place : nil
}()

/// A small model with as many experts as the recorded ones.
private let configuration = """
  {"model_type": "deepseek_v3", "vocab_size": 256, "hidden_size": 32, "intermediate_size": 64,
   "num_hidden_layers": 2, "first_k_dense_replace": 1, "num_attention_heads": 2, "q_lora_rank": null,
   "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8,
   "moe_intermediate_size": 8, "n_routed_experts": 64, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 6,
   "n_shared_experts": 1, "norm_topk_prob": true, "routed_scaling_factor": 1.0, "scoring_func": "sigmoid",
   "topk_method": "noaux_tc", "max_position_embeddings": 128, "tie_word_embeddings": false}
  """

@Suite struct RecordedRoutingRunTests {
  @Test(
    .enabled(if: recordings != nil, "the recordings lie beside the project, and are not here"),
    arguments: zip(["olmoe/olmoe_c4_expert_counts.csv", "esft/intent"], [AllToAllForm.direct, .twoHop]))
  func `a step runs with the choices of a recording`(path: String, form: AllToAllForm) throws {
    let model = FileManager.default.temporaryDirectory.appending(path: "model-\(UUID().uuidString).json").path
    try Data(configuration.utf8).write(to: URL(filePath: model))
    defer { try? FileManager.default.removeItem(atPath: model) }
    var request = ExecutionRequest()
    request.model = model
    request.steps = 1
    request.routing = RoutingSource(text: try #require(recordings) + "/" + path)
    (request.overrides.sequence, request.overrides.pipeline, request.overrides.expert) = (16, 1, 4)
    (request.overrides.schedule, request.overrides.allToAll) = (.oneForwardOneBackward, form)
    request.ranksPerNode = 2
    let chosen = request
    let results = try LoopbackWorld.run(ranks: 4) { transport in
      try execute(chosen, on: transport, share: "") { _ in }
    }
    let result = try #require(results[0])
    #expect(result.steps.count == 1 && result.steps[0].report.loss.isFinite)
    #expect(result.checkedTasks > 0)
    #expect(result.differences == [])
  }
}
