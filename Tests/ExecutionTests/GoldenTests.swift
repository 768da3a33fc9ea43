import Execution
import ExecutionSupport
import Foundation
import Plans
import TestSupport
import Testing

extension Spread: CustomTestStringConvertible {
  public var testDescription: String {
    "\(schedule.rawValue) PP \(pipeline) EP \(expert)"
      + (ranksPerNode > 1 ? " on nodes of \(ranksPerNode)" : "")
  }
}

/// The golden files of whole models.
enum GoldenFiles {
  static let models = (try? goldenPaths(in: "moe", beginning: "e2e_", ending: ".safetensors")) ?? []
}

extension GoldenModel.Loss {
  /// What counts of the loss under Open MPI goes by turns, so that every schedule runs with both; threads run the
  /// other, so that every plan does.
  fileprivate static func underMPI(_ spread: Spread) -> Self { spread.expert == 2 ? .crossEntropy : .total }

  fileprivate static func onThreads(_ spread: Spread) -> [Self] {
    MPIRun.isAvailable ? allCases.filter { $0 != underMPI(spread) } : allCases
  }
}

@Suite(.serialized) struct GoldenTests {
  @Test func `there are golden models to compare with`() {
    #expect(!GoldenFiles.models.isEmpty)
  }

  @Test(arguments: GoldenFiles.models, Spread.all)
  func `any plan gives the losses and gradients of the reference`(path: String, spread: Spread) throws {
    let golden = try GoldenModel(path)
    for loss in GoldenModel.Loss.onThreads(spread) {
      let outcomes = try LoopbackWorld.run(ranks: spread.ranks) { transport in
        try golden.run(loss, spread, on: transport)
      }
      #expect(outcomes[0].compared > 0)
      #expect(outcomes[0].complaints == [])
    }
  }

  @Test(arguments: GoldenFiles.models, Spread.twoHops)
  func `exchanges in two hops give the losses and gradients of the reference`(path: String, spread: Spread)
    throws
  {
    let golden = try GoldenModel(path)
    let outcomes = try LoopbackWorld.run(ranks: spread.ranks) { transport in
      try golden.run(.total, spread, on: transport)
    }
    #expect(outcomes[0].compared > 0)
    #expect(outcomes[0].complaints == [])
  }

  @Test(arguments: GoldenFiles.models) func `without sharded optimizer states gradients are the same`(
    path: String
  ) throws {
    let golden = try GoldenModel(path)
    let spread = Spread(schedule: .dualPipe, pipeline: 2, expert: 2)
    let outcomes = try LoopbackWorld.run(ranks: spread.ranks) { transport in
      try golden.run(.total, spread, zero: 0, on: transport)
    }
    #expect(outcomes[0].complaints == [])
  }

  @Test(arguments: GoldenFiles.models) func `selection biases after a step are those of the reference`(
    path: String
  ) throws {
    let golden = try GoldenModel(path)
    let spread = Spread(schedule: .dualPipe, pipeline: 2, expert: 2)
    let wrong = try LoopbackWorld.run(ranks: spread.ranks) { transport in
      try golden.wrongBiases(spread, on: transport)
    }
    #expect(wrong[0] ?? [] == [])
  }

  @Test(
    .enabled(if: MPIRun.isAvailable, Comment(rawValue: MPIRun.reason)), arguments: GoldenFiles.models,
    Spread.all + Spread.twoHops)
  func `under Open MPI any plan gives the losses and gradients of the reference`(
    path: String, spread: Spread
  ) throws {
    let run = try MPIRun.run(
      ranks: spread.ranks, "execution-check",
      [
        path, GoldenModel.Loss.underMPI(spread).rawValue, spread.schedule.rawValue, "\(spread.pipeline)",
        "\(spread.expert)", "\(spread.ranksPerNode)",
      ], timeout: 120)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.split(separator: "\n").count == 1, "\(run.output)")
    #expect(run.output.hasPrefix("compared "))
  }
}
