import Documents
import Execution
import Kernels
import Models
import Testing

@Suite struct BlockConfigurationTests {
  @Test(arguments: shippedModelNames)
  func `every shipped model with RMSNorm and SwiGLU can be executed`(name: String) throws {
    let model = try shippedModel(named: name).model
    if model.family == .gpt {
      let error = #expect(throws: Diagnostic.self) { try model.requireExecutable() }
      #expect(error?.problem == "the model cannot be executed" && error?.path == "model_type")
    } else {
      try model.requireExecutable()
      #expect(model.rotaryTable(length: 3).cosines.count % 3 == 0)
    }
  }

  @Test func `a rotation that is not known and a feed-forward network with biases are refused`() throws {
    var model = try shippedModel(named: "llama-3.1-8b").model
    model.numerics.ropeScaling = .other("dynamic")
    #expect(throws: Diagnostic.self) { try model.requireExecutable() }
    model.numerics.ropeScaling = .none
    try model.requireExecutable()
    model.feedForward.hasBias = true
    #expect(throws: Diagnostic.self) { try model.requireExecutable() }
  }

  @Test func `a model's rotation takes its family's pairs and its file's scaling`() throws {
    let deepSeek = try shippedModel(named: "deepseek-v3").model.rotaryTable(length: 4)
    #expect(deepSeek.pairing == .interleaved && deepSeek.dimension == 64)
    // mscale and mscale_all_dim are one: only the softmax scale changes.
    #expect(abs(deepSeek.softmaxFactor - 1.8738) < 1e-4 && deepSeek.cosines[0] == 1)
    let llama = try shippedModel(named: "llama-3.1-8b").model.rotaryTable(length: 4)
    #expect(llama.pairing == .halves && llama.dimension == 128 && llama.softmaxFactor == 1)
  }
}
