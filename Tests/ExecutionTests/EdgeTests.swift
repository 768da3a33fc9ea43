import Documents
import Execution
import ExecutionSupport
import Foundation
import Models
import Plans
import Tensors
import TestSupport
import Testing

private func golden() throws -> GoldenModel { try GoldenModel(GoldenFiles.models[0]) }

/// Losses and gradients of one step of an edge case or with a changed plan.
private func step(
  pipeline: Int, expert: Int, edge: EdgeCase? = nil,
  change: @escaping @Sendable (inout Plan) -> Void = { _ in }
) throws -> EdgeOutcome {
  let golden = try golden()
  return try LoopbackWorld.run(ranks: pipeline * expert) { transport in
    try golden.run(edge, pipeline: pipeline, expert: expert, on: transport, change: change)
  }[0]
}

@Suite struct EdgeTests {
  @Test(arguments: EdgeCase.allCases)
  func `an edge case on many ranks gives what it gives on one`(edge: EdgeCase) throws {
    let alone = try step(pipeline: 1, expert: 1, edge: edge)
    let spread = try step(pipeline: 2, expert: 4, edge: edge)
    #expect(alone.report.loss.isFinite)
    #expect(spread.complaints(against: alone) == [])
  }

  @Test func `experts that receive no token have no gradient`() throws {
    let topK = try golden().dimensions.topK
    let spread = try step(pipeline: 2, expert: 4, edge: .sameExperts)
    let name = "model.layers.1.mlp.experts.\(topK).gate_proj.weight"
    let idle = try #require(spread.gradients.first { $0.name == name })
    #expect(idle.values.allSatisfy { $0 == 0 })
  }

  @Test(.enabled(if: MPIRun.isAvailable, Comment(rawValue: MPIRun.reason)), arguments: EdgeCase.allCases)
  func `under Open MPI an edge case gives what it gives on one rank`(edge: EdgeCase) throws {
    let run = try MPIRun.run(ranks: 8, "execution-check", ["edge", GoldenFiles.models[0], edge.rawValue])
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output == "\(edge.rawValue): as on one rank\n")
  }

  @Test func `rotation of an odd number of elements is refused`() throws {
    let golden = try golden()
    var plan = try golden.plan(.total, .oneForwardOneBackward, pipeline: 1, expert: 1)
    var model = plan.model
    guard case .latent(var latent) = model.attention else { return }
    latent.rotaryDimension += 1
    model.attention = .latent(latent)
    plan = try validate(plan.plan, model: model, cluster: plan.cluster)
    let error = #expect(throws: Diagnostic.self) { try requireExecutable(plan, ranks: 1) }
    #expect(error?.path == "qk_rope_head_dim")
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
