import Documents
import Foundation
import Models
import TestSupport
import Testing

private func read(_ text: String) throws -> Model {
  try Model(configuration: parseJSON(Data(text.utf8), file: "config.json"), name: "test", source: "test")
}

private func diagnostic(_ text: String) -> Diagnostic? {
  do {
    _ = try read(text)
    return nil
  } catch {
    return error as? Diagnostic
  }
}

private let llama = """
  {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "max_position_embeddings": 32,
   "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "rope_theta": 10000.0,
   "torch_dtype": "bfloat16", "architectures": ["LlamaForCausalLM"], "quantization_config": {"bits": 8}}
  """

@Suite struct `Reading a configuration` {
  @Test func `ignores keys that describe no shape`() throws {
    let model = try read(llama)
    #expect(model.family == .llama)
    #expect(model.hidden == 64)
    #expect(!model.tiedEmbeddings)
    #expect(model.mixture == nil)
    guard case .grouped(let attention) = model.attention else {
      Issue.record("llama attends in groups")
      return
    }
    #expect(attention.headDimension == 16)
    #expect(attention.keyValueHeads == 2)
  }

  @Test func `knows each family's own terms`() throws {
    let qwen2 = try read(llama.replacing("\"llama\"", with: "\"qwen2\""))
    guard case .grouped(let biased) = qwen2.attention else { return }
    #expect(biased.hasProjectionBias && !biased.hasOutputBias && !biased.normalizesQueryKey)
    let qwen3 = try read(llama.replacing("\"llama\"", with: "\"qwen3\""))
    guard case .grouped(let normed) = qwen3.attention else { return }
    #expect(!normed.hasProjectionBias && normed.normalizesQueryKey)
    let gpt = try read(
      #"{"model_type": "gpt", "hidden_size": 64, "num_layers": 2, "num_attention_heads": 4, "vocab_size": 100, "seq_length": 32}"#
    )
    #expect(
      gpt.tiedEmbeddings && gpt.feedForward == FeedForward(intermediate: 256, isGated: false, hasBias: true))
    #expect(
      gpt.parameters == Model.gpt(hidden: 64, layers: 2, heads: 4, vocabulary: 100, sequence: 32).parameters)
  }

  @Test func `of sparse steps and dense exceptions gives the layers with a mixture`() throws {
    let text = llama.replacing("\"llama\"", with: "\"qwen3_moe\"").dropLast()
    let model = try read(
      text
        + #", "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 2, "mlp_only_layers": [3], "num_hidden_layers": 8}"#
    )
    #expect((0..<8).filter(model.isMixtureLayer) == [1, 5, 7])
  }

  @Test func `of DeepSeek-V3 gives three dense layers and limited groups`() throws {
    let model = try shippedModel(named: "deepseek-v3").model
    #expect((0...61).filter { !model.isMixtureLayer($0) } == [0, 1, 2])
    let mixture = try #require(model.mixture)
    #expect((mixture.groups, mixture.limitedGroups) == (8, 4))
    #expect(mixture.scoring == .sigmoid && mixture.hasSelectionBias)
    #expect(model.multiTokenPredictionDepth == 1)
  }

  @Test func `of V2-Lite gives queries without a rank`() throws {
    guard case .latent(let attention) = try shippedModel(named: "deepseek-v2-lite").model.attention else {
      Issue.record("V2-Lite has latent attention")
      return
    }
    #expect(attention.queryRank == nil)
    #expect(attention.queryKeyDimension == 192)
  }
}

@Suite struct `A configuration that is wrong` {
  @Test func `with an unknown model type is answered with the known ones`() throws {
    let error = try #require(diagnostic(llama.replacing("\"llama\"", with: "\"deepseek_v4\"")))
    #expect(error.path == "model_type")
    #expect(error.allowed?.contains("deepseek_v3, deepseek_v2, llama, mixtral") == true)
    #expect(error.hint == "did you mean deepseek_v3?")
  }

  @Test(arguments: [
    ("\"hidden_size\": 64", "\"hidden\": 64", "hidden_size"),
    ("\"hidden_size\": 64", "\"hidden_size\": 0", "hidden_size"),
    ("\"hidden_size\": 64", "\"hidden_size\": -64", "hidden_size"),
    ("\"hidden_size\": 64", "\"hidden_size\": 1e18", "hidden_size"),
    ("\"hidden_size\": 64", "\"hidden_size\": 64.5", "hidden_size"),
    ("\"hidden_size\": 64", "\"hidden_size\": \"64\"", "hidden_size"),
    ("\"hidden_size\": 64", "\"hidden_size\": null", "hidden_size"),
    ("\"hidden_size\": 64", "\"hidden_size\": 99999999999999999999999", "hidden_size"),
    ("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads"),
    ("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 8", "num_key_value_heads"),
    ("\"num_attention_heads\": 4", "\"num_attention_heads\": 6", "num_attention_heads"),
    ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": true", "num_hidden_layers"),
    ("\"model_type\": \"llama\",", "", "model_type"),
  ])
  func `names the key`(original: String, replacement: String, path: String) throws {
    let error = try #require(diagnostic(llama.replacing(original, with: replacement)))
    #expect(error.path == path)
    #expect(error.file == "config.json")
    #expect(error.status == .data)
  }

  @Test(arguments: ["", "[]", "3", "null", "{", "{\"model_type\": NaN}"])
  func `that is no mapping is refused`(text: String) {
    #expect(diagnostic(text) != nil)
  }

  @Test func `with more groups than experts is refused`() throws {
    let text = try shippedText("deepseek-v3")
    #expect(diagnostic(text.replacing("\"n_group\": 8", with: "\"n_group\": 7"))?.path == "n_group")
    #expect(diagnostic(text.replacing("\"topk_group\": 4", with: "\"topk_group\": 9"))?.path == "topk_group")
    let choices = text.replacing("\"num_experts_per_tok\": 8", with: "\"num_experts_per_tok\": 129")
    #expect(diagnostic(choices)?.path == "num_experts_per_tok")
  }

  @Test func `that multiplies to an absurd size is refused`() throws {
    let text = try shippedText("deepseek-v3")
      .replacing("\"n_routed_experts\": 256", with: "\"n_routed_experts\": 16384")
      .replacing("\"moe_intermediate_size\": 2048", with: "\"moe_intermediate_size\": 4000000")
    #expect(diagnostic(text)?.problem == "the model is too large to be one")
  }

  @Test func `mutated at random never does worse than a diagnostic`() throws {
    var random = SeededGenerator(seed: 20_260_101)
    let junk = [
      "0", "-1", "1e18", "1e400", "9223372036854775807", "-9223372036854775808", "null", "true", "\"\"",
      "\"x\"", "[]", "{}",
      "[1,[2,{}]]", "3.5", "1", "2", "7", "1000000", "268435456", "16384",
    ]
    var accepted = 0
    for name in shippedModelNames {
      let lines = try shippedText(name).split(separator: "\n").map(String.init)
      for _ in 0..<200 {
        var mutated = lines
        for _ in 0...Int.random(in: 0..<3, using: &random) {
          let line = 1 + Int.random(in: 0..<(mutated.count - 2), using: &random)
          guard let colon = mutated[line].firstIndex(of: ":") else { continue }
          let comma = mutated[line].hasSuffix(",") ? "," : ""
          mutated[line] =
            mutated[line][...colon] + " " + junk[Int.random(in: 0..<junk.count, using: &random)] + comma
        }
        var text = mutated.joined(separator: "\n")
        if Int.random(in: 0..<10, using: &random) == 0 {
          text = String(text.prefix(Int.random(in: 0..<text.count, using: &random)))
        }
        do {
          let model = try read(text)
          accepted += 1
          #expect(model.parameters.withMultiTokenPrediction > 0)
          #expect(model.flopsPerToken(sequence: 4_096, causal: true).value.isFinite)
        } catch {
          #expect(error is Diagnostic)
        }
      }
    }
    #expect(accepted > 50)
  }
}

@Suite struct `Shipped models` {
  @Test func `are the twelve that the documentation names`() {
    #expect(
      shippedModelNames == [
        "deepseek-v3", "deepseek-v2", "deepseek-v2-lite", "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b",
        "mixtral-8x7b", "mixtral-8x22b", "qwen3-235b-a22b", "qwen3-30b-a3b", "gpt3-175b",
        "deepseek-v3-mini",
      ])
  }

  @Test(arguments: shippedModelNames)
  func `have a name, a source and a hash`(name: String) throws {
    let resolved = try resolveModel(name)
    #expect(resolved.model.name == name)
    #expect(!resolved.model.source.isEmpty)
    #expect(resolved.hash.count == 64)
    #expect(resolved.origin == "shipped:\(name)")
  }

  @Test func `are suggested for a misspelled name`() throws {
    let error = #expect(throws: Diagnostic.self) { try resolveModel("deepseek-v33") }
    #expect(error?.hint == "did you mean deepseek-v3?")
    #expect(error?.status == .unavailableFile)
  }

  @Test func `stand back for a path`() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "models-\(UUID().uuidString)/Tiny")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }
    try llama.write(to: folder.appendingPathComponent("config.json"), atomically: true, encoding: .utf8)
    let resolved = try resolveModel(folder.path)
    #expect(resolved.model.name == "Tiny")
    #expect(resolved.model.hidden == 64)
    #expect(resolved.origin == folder.path + "/config.json")
    let missing = #expect(throws: Diagnostic.self) { try resolveModel(folder.path + "/other.json") }
    #expect(missing?.status == .unavailableFile)
  }
}

private func shippedText(_ name: String) throws -> String {
  let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Sources/Models/Shipped")
  return try String(contentsOf: folder.appendingPathComponent(name + ".json"), encoding: .utf8)
}
