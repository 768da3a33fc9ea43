import Execution
import Foundation
import Plans
import Tensors
import Testing

/// One way to spread the golden model over ranks.
struct Spread: Sendable, CustomTestStringConvertible {
  var schedule: ScheduleName
  var pipeline: Int
  var expert: Int

  var testDescription: String { "\(schedule.rawValue) PP \(pipeline) EP \(expert)" }

  /// DualPipe needs an even number of pipeline ranks and DualPipeV two: with one rank neither exists.
  static let all: [Spread] = {
    var spreads: [Spread] = []
    for schedule in [ScheduleName.oneForwardOneBackward, .zeroBubble, .dualPipe, .dualPipeV] {
      for pipeline in [1, 2, 4] where pipeline > 1 || schedule.copiesOfStage == 1 && schedule != .dualPipeV {
        for expert in [1, 2, 4] { spreads.append(Spread(schedule: schedule, pipeline: pipeline, expert: expert)) }
      }
    }
    return spreads
  }()
}

/// What a run of the golden step gave on rank 0.
struct GoldenOutcome: Sendable {
  var report: StepReport
  var gradients: [NamedTensor]
  var wrongBytes: [String]
}

@Suite struct GoldenTests {
  static func run(_ golden: GoldenModel, _ loss: GoldenModel.Loss, _ spread: Spread, zero: Int = 1) throws -> GoldenOutcome {
    let plan = try golden.plan(loss, spread.schedule, pipeline: spread.pipeline, expert: spread.expert, zero: zero)
    let program = try plan.verified()
    let tokens = try golden.tokens()
    let parameters = try golden.parameters(loss)
    var options = ExecutionOptions()
    options.updates = false
    let chosen = options
    let outcomes = try LoopbackWorld.run(ranks: plan.ranks) { transport -> GoldenOutcome in
      let training = try RankTraining(
        plan, program: program, transport: transport, tokens: tokens, options: chosen)
      try training.loadParameters(from: parameters)
      let report = try training.runStep()
      let measured = try training.measured()
      let wrong = measured?.bytesThatDiffer().map { difference in
        let code = Int(program.program.codeOfRank[difference.rank])
        return "rank \(difference.rank): \(program.program.describe(code: code, task: difference.task)):"
          + " \(difference.counted) counted, \(difference.lowered) lowered"
      }
      return GoldenOutcome(report: report, gradients: try training.gradients(), wrongBytes: wrong ?? [])
    }
    return outcomes[0]
  }

  /// Compares losses and every gradient that the file holds whole; returns how many were compared.
  static func compare(_ outcome: GoldenOutcome, _ golden: GoldenModel, _ loss: GoldenModel.Loss) throws -> Int {
    let losses = try golden.file.floats(loss == .total ? "total/ce" : "ce/loss")
    for (index, value) in losses.enumerated() {
      #expect(abs(outcome.report.crossEntropies[index] - Double(value)) <= 1e-5 * Double(abs(value)))
    }
    if loss == .total {
      for (index, value) in try golden.file.floats("total/mtp").enumerated() {
        #expect(abs(outcome.report.predictions[index] - Double(value)) <= 1e-5 * Double(abs(value)))
      }
      for (index, value) in try golden.file.floats("total/aux").enumerated() {
        #expect(abs(outcome.report.balances[index] - Double(value)) <= 1e-5 * Double(abs(value)))
      }
    }
    var compared = 0
    for tensor in outcome.gradients {
      let (name, expert) = golden.golden(tensor.name)
      guard golden.file.contains("\(loss.rawValue)/g.\(name)") else { continue }
      let whole = try golden.file.floats("\(loss.rawValue)/g.\(name)")
      let size = tensor.values.count
      let expected = expert.map { Array(whole[$0 * size..<($0 + 1) * size]) } ?? whole
      let most = whole.reduce(0) { max($0, abs($1)) }
      let error = zip(tensor.values, expected).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
      #expect(error <= 5e-5 * most, "\(tensor.name): \(error) of \(most)")
      compared += 1
    }
    return compared
  }

  @Test(arguments: GoldenModel.names, Spread.all)
  func `any plan gives the losses and gradients of the reference`(name: String, spread: Spread) throws {
    let golden = try GoldenModel(name)
    for loss in GoldenModel.Loss.allCases {
      let outcome = try Self.run(golden, loss, spread)
      #expect(try Self.compare(outcome, golden, loss) > 0)
      #expect(outcome.wrongBytes == [])
    }
  }
}
