import Documents
import Execution
import ExecutionSupport
import Foundation
import Plans
import Testing

/// A training run of the golden model on two by two ranks.
private struct Run {
  var seed: UInt64 = 1
  var schedule = ScheduleName.dualPipe
  var from: String?
  var into: String?
  var steps = 3

  /// Losses of all micro-batches of every step.
  func losses() throws -> [[Double]] {
    let golden = try GoldenModel(GoldenFiles.models[0])
    let plan = try golden.plan(.total, schedule, pipeline: 2, expert: 2)
    let program = try plan.verified()
    let tokens = try golden.tokens()
    var options = ExecutionOptions()
    options.seed = seed
    let run = self
    let chosen = options
    return try LoopbackWorld.run(ranks: plan.ranks) { transport in
      let training = try RankTraining(
        plan, program: program, transport: transport, tokens: tokens, options: chosen)
      if let from = run.from { try training.resume(from: CheckpointFolder(from)) }
      let losses = try (0..<run.steps).map { _ in
        let report = try training.runStep()
        return report.crossEntropies + report.predictions + report.balances + [report.gradientNorm]
      }
      if let into = run.into { try training.save(to: CheckpointFolder(into)) }
      return losses
    }[0]
  }
}

private func temporaryFolder() -> String {
  FileManager.default.temporaryDirectory.appending(path: "checkpoints-\(UUID().uuidString)").path
}

@Suite struct CheckpointTests {
  @Test func `two runs with one seed have the same losses to the bit`() throws {
    let first = try Run().losses()
    #expect(try Run().losses() == first)
    #expect(first.last![0] < first[0][0])
    #expect(try Run(seed: 2).losses() != first)
  }

  @Test(arguments: [ScheduleName.oneForwardOneBackward, .dualPipe, .dualPipeV])
  func `a run that goes on from its checkpoint has the losses of one that never stopped`(
    schedule: ScheduleName
  ) throws {
    let folder = temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let whole = try Run(schedule: schedule, steps: 4).losses()
    let before = try Run(schedule: schedule, into: folder, steps: 2).losses()
    let after = try Run(schedule: schedule, from: folder, steps: 2).losses()
    #expect(before + after == whole)
  }

  @Test func `a checkpoint goes on with another plan`() throws {
    let folder = temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let before = try Run(into: folder, steps: 2).losses()
    let same = try Run(from: folder, steps: 2).losses()
    let other = try Run(schedule: .zeroBubble, from: folder, steps: 2).losses()
    #expect(before.count == 2)
    for (a, b) in zip(same.joined(), other.joined()) { #expect(abs(a - b) <= 1e-5 * abs(a)) }
  }

  @Test func `a checkpoint of another run is refused by name`() throws {
    let folder = temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    _ = try Run(into: folder, steps: 1).losses()
    let error = #expect(throws: Diagnostic.self) { try Run(seed: 2, from: folder, steps: 1).losses() }
    #expect(error?.path == "seed" && error?.status == .data)
  }

  @Test func `without a checkpoint there is nothing to go on from`() throws {
    let error = #expect(throws: Diagnostic.self) { try Run(from: temporaryFolder(), steps: 1).losses() }
    #expect(error?.status == .unavailableFile)
  }

  @Test(arguments: [10, 5000, -1]) func `a truncated checkpoint is refused`(kept: Int) throws {
    let folder = temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    _ = try Run(into: folder, steps: 1).losses()
    let path = folder + "/step-000001.safetensors"
    let bytes = try Data(contentsOf: URL(filePath: path))
    try bytes.prefix(kept < 0 ? bytes.count + kept : kept).write(to: URL(filePath: path))
    let error = #expect(throws: Diagnostic.self) { try Run(from: folder, steps: 1).losses() }
    #expect(error?.status == .data && error?.file == path)
  }
}
