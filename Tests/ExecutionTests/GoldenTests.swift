import Execution
import ExecutionSupport
import Foundation
import Plans
import TestSupport
import Testing

extension Spread: CustomTestStringConvertible {
  public var testDescription: String { "\(schedule.rawValue) PP \(pipeline) EP \(expert)" }
}

/// The golden files of whole models: those of `REHEARSAL_GOLDEN`, else the tests' own.
enum GoldenFiles {
  private static var folder: String {
    ProcessInfo.processInfo.environment["REHEARSAL_GOLDEN"]
      ?? Bundle.module.resourceURL.map { $0.appending(path: "Golden").path } ?? "Golden"
  }

  static let models: [String] = {
    let place = folder + "/moe"
    let files = (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []
    return files.filter { $0.hasPrefix("e2e_") && $0.hasSuffix(".safetensors") }.sorted().map {
      "\(place)/\($0)"
    }
  }()
}

@Suite(.serialized) struct GoldenTests {
  @Test(arguments: GoldenFiles.models, Spread.all)
  func `any plan gives the losses and gradients of the reference`(path: String, spread: Spread) throws {
    let golden = try GoldenModel(path)
    for loss in GoldenModel.Loss.allCases {
      let outcomes = try LoopbackWorld.run(ranks: spread.ranks) { transport in
        try golden.run(loss, spread, on: transport)
      }
      #expect(outcomes[0].compared > 0)
      #expect(outcomes[0].complaints == [])
    }
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

  /// What counts of the loss goes by turns, so that every schedule runs with both.
  @Test(
    .enabled(if: MPIRun.isAvailable, Comment(rawValue: MPIRun.reason)), arguments: GoldenFiles.models,
    Spread.all)
  func `under Open MPI any plan gives the losses and gradients of the reference`(
    path: String, spread: Spread
  ) throws {
    let loss = spread.expert == 2 ? "ce" : "total"
    let run = try MPIRun.run(
      ranks: spread.ranks, "execution-check",
      [path, loss, spread.schedule.rawValue, "\(spread.pipeline)", "\(spread.expert)"], timeout: 120)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.split(separator: "\n").count == 1, "\(run.output)")
    #expect(run.output.hasPrefix("compared "))
  }
}
