import Documents
import Execution
import ExecutionSupport
import Foundation
import Models
import Plans
import Tensors
import Testing

/// Every token takes the same experts, which all lie on the first rank where there are several.
private struct SameExperts: ExpertChoices {
  let topK: Int

  func choices(layer: Int, batch: Int, source: Int, tokens: Int) -> [Int32] {
    (0..<tokens).flatMap { _ in (0..<topK).map(Int32.init) }
  }
}

private func golden() throws -> GoldenModel { try GoldenModel(GoldenFiles.models[0]) }

/// Losses and gradients of one step with given choices or a changed plan.
private func step(
  pipeline: Int, expert: Int, choices: (any ExpertChoices)? = nil,
  change: @escaping (inout Plan) -> Void = { _ in }
) throws -> (report: StepReport, gradients: [NamedTensor]) {
  let golden = try golden()
  let plan = try golden.plan(
    .total, .oneForwardOneBackward, pipeline: pipeline, expert: expert, change: change)
  let program = try plan.verified()
  let (tokens, parameters) = (try golden.tokens(), try golden.parameters(.total))
  var options = ExecutionOptions()
  options.updates = false
  let chosen = options
  return try LoopbackWorld.run(ranks: plan.ranks) { transport in
    let training = try RankTraining(
      plan, program: program, transport: transport, tokens: tokens, options: chosen, choices: choices)
    try training.loadParameters(from: parameters)
    return (try training.runStep(), try training.gradients())
  }[0]
}

@Suite struct EdgeTests {
  @Test func `all tokens to the experts of one rank, and none to those of the others`() throws {
    let choices = SameExperts(topK: try golden().dimensions.topK)
    let alone = try step(pipeline: 1, expert: 1, choices: choices)
    let spread = try step(pipeline: 2, expert: 4, choices: choices)
    #expect(abs(alone.report.loss - spread.report.loss) <= 1e-5 * alone.report.loss)
    let names = Dictionary(uniqueKeysWithValues: spread.gradients.map { ($0.name, $0) })
    for tensor in alone.gradients {
      let other = try #require(names[tensor.name])
      let most = tensor.values.reduce(0) { max($0, abs($1)) }
      let error = zip(tensor.values, other.values).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
      #expect(error <= 5e-5 * most, "\(tensor.name)")
    }
    let idle = try #require(names["model.layers.1.mlp.experts.\(choices.topK).gate_proj.weight"])
    #expect(idle.values.allSatisfy { $0 == 0 })
  }

  @Test func `micro-batches of one token`() throws {
    func single(_ plan: inout Plan) {
      plan.sequence = 1
      plan.microBatch = 1
      plan.globalBatch = 8
    }
    let alone = try step(pipeline: 1, expert: 1, change: single)
    let spread = try step(pipeline: 2, expert: 4, change: single)
    #expect(alone.report.loss.isFinite)
    #expect(abs(alone.report.loss - spread.report.loss) <= 1e-5 * alone.report.loss)
  }

  @Test func `tokens in narrower formats change the losses a little`() throws {
    let exact = try step(pipeline: 2, expert: 2)
    let narrow = try step(pipeline: 2, expert: 2) {
      $0.precision.dispatch = .float8
      $0.precision.combine = .bfloat16
      $0.precision.residual = .bfloat16
    }
    let difference = abs(exact.report.crossEntropy - narrow.report.crossEntropy)
    #expect(difference > 0 && difference < 0.05 * exact.report.crossEntropy)
  }

  @Test func `numbers that are not finite end the step with one error on every rank`() throws {
    let golden = try golden()
    let plan = try golden.plan(.total, .zeroBubble, pipeline: 2, expert: 2)
    let program = try plan.verified()
    let tokens = try golden.tokens()
    let source = try golden.parameters(.total)
    var tensors: [(description: TensorDescription, bytes: [UInt8])] = []
    for description in source.tensors {
      var bytes = try source.tensor(description.name).withBytes(Array.init)
      if description.name == "model.embed_tokens.weight" {
        for index in stride(from: 3, to: bytes.count, by: 4) {
          bytes[index] = 0x7f
          bytes[index - 1] = 0xc0
        }
      }
      tensors.append((description, bytes))
    }
    let path = FileManager.default.temporaryDirectory.appending(path: "nan-\(UUID().uuidString).safetensors")
      .path
    try writeTensors(tensors, to: path)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let broken = try TensorFile(path)
    let problems = try LoopbackWorld.run(ranks: plan.ranks) { transport -> String in
      let training = try RankTraining(plan, program: program, transport: transport, tokens: tokens)
      try training.loadParameters(from: broken)
      do {
        _ = try training.runStep()
        return "no error"
      } catch let error as Diagnostic {
        return error.problem
      }
    }
    #expect(problems == Array(repeating: "the step's numbers are not finite", count: plan.ranks))
  }

  @Test func `a plan that cannot be executed yet is refused by the choice that stands in the way`() throws {
    let golden = try golden()
    let cases: [(String, (inout Plan) -> Void)] = [
      ("parallel.zero", { $0.zeroStage = 2 }), ("recompute", { $0.recompute = .full }),
      ("precision.parameters", { $0.precision.parameters = .bfloat16 }),
    ]
    for (path, change) in cases {
      let plan = try golden.plan(.total, .oneForwardOneBackward, pipeline: 1, expert: 1, change: change)
      let error = #expect(throws: Diagnostic.self) { try requireExecutable(plan, ranks: 1) }
      #expect(error?.path == path)
    }
  }
}
