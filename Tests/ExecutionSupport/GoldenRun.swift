import Execution
import Foundation
import Plans
import Tensors

/// One way to spread the golden model over ranks.
public struct Spread: Hashable, Sendable {
  public var schedule: ScheduleName
  public var pipeline: Int
  public var expert: Int

  public init(schedule: ScheduleName, pipeline: Int, expert: Int) {
    self.schedule = schedule
    self.pipeline = pipeline
    self.expert = expert
  }

  public var ranks: Int { pipeline * expert }

  /// DualPipe needs an even number of pipeline ranks and DualPipeV at least two: with one rank neither exists.
  public static let all: [Spread] = {
    var spreads: [Spread] = []
    for schedule in [ScheduleName.oneForwardOneBackward, .zeroBubble, .dualPipe, .dualPipeV] {
      for pipeline in [1, 2, 4]
      where pipeline > 1 || schedule == .oneForwardOneBackward || schedule == .zeroBubble {
        for expert in [1, 2, 4] {
          spreads.append(Spread(schedule: schedule, pipeline: pipeline, expert: expert))
        }
      }
    }
    return spreads
  }()
}

/// How far a run of the golden step is from the file.
public struct GoldenOutcome: Sendable {
  /// What was off by more than it may be, in words.
  public var complaints: [String] = []
  /// Gradients that were compared, whole or by norm and product.
  public var compared = 0
  /// The largest difference of a loss over its value, and of a gradient over its maximum.
  public var worstLoss = 0.0
  public var worstGradient = 0.0
}

extension GoldenModel {
  /// Runs the file's step on one rank and compares; every rank calls it, rank 0 has the outcome.
  public func run(
    _ loss: Loss, _ spread: Spread, zero: Int = 1, on transport: any Transport
  ) throws -> GoldenOutcome {
    let plan = try plan(loss, spread.schedule, pipeline: spread.pipeline, expert: spread.expert, zero: zero)
    let program = try plan.verified()
    var options = ExecutionOptions()
    options.updates = false
    let training = try RankTraining(
      plan, program: program, transport: transport, tokens: try tokens(), options: options)
    try training.loadParameters(from: try parameters(loss))
    let report = try training.runStep()
    let measured = try training.measured()
    let gradients = try training.gradients()
    guard transport.rank == 0 else { return GoldenOutcome() }
    var outcome = GoldenOutcome()
    for difference in measured?.bytesThatDiffer() ?? [] {
      let code = Int(program.program.codeOfRank[difference.rank])
      outcome.complaints.append(
        "rank \(difference.rank): \(program.program.describe(code: code, task: difference.task)):"
          + " \(difference.counted) bytes counted, \(difference.lowered) lowered")
    }
    try compare(report, loss, &outcome)
    try compare(gradients, loss, &outcome)
    return outcome
  }

  private func compare(_ report: StepReport, _ loss: Loss, _ outcome: inout GoldenOutcome) throws {
    var parts = [(loss == .total ? "total/ce" : "ce/loss", report.crossEntropies)]
    if loss == .total { parts += [("total/mtp", report.predictions), ("total/aux", report.balances)] }
    for (name, values) in parts {
      let expected = try file.floats(name)
      guard expected.count == values.count else {
        outcome.complaints.append("\(name): \(values.count) micro-batches")
        continue
      }
      for (index, value) in expected.enumerated() {
        let error = abs(values[index] - Double(value)) / Double(abs(value))
        outcome.worstLoss = max(outcome.worstLoss, error)
        if !(error <= 1e-5) { outcome.complaints.append("\(name)[\(index)]: \(values[index]) for \(value)") }
      }
    }
  }

  private func compare(_ gradients: [NamedTensor], _ loss: Loss, _ outcome: inout GoldenOutcome) throws {
    for tensor in gradients {
      let (name, expert) = golden(tensor.name)
      guard file.contains("\(loss.rawValue)/g.\(name)") else { continue }
      let whole = try file.floats("\(loss.rawValue)/g.\(name)")
      let size = tensor.values.count
      let expected = expert.map { Array(whole[$0 * size..<($0 + 1) * size]) } ?? whole
      let most = whole.reduce(0) { max($0, abs($1)) }
      var error: Float = 0
      for (value, reference) in zip(tensor.values, expected) {
        // Not a number must not pass for no difference.
        error = (value - reference).isNaN ? .infinity : max(error, abs(value - reference))
      }
      outcome.compared += 1
      outcome.worstGradient = max(outcome.worstGradient, Double(error / most))
      if !(error <= 5e-5 * most) {
        outcome.complaints.append("gradient of \(tensor.name): \(error) of \(most)")
      }
    }
    guard loss == .total, let order = file.metadata["total_grad_order"] else { return }
    let names = try JSONDecoder().decode([String].self, from: Data(order.utf8))
    let norms = try file.floats("total/grad_norm")
    for (index, name) in names.enumerated() {
      // Experts' matrices are one tensor in the file; their squares add up.
      var squares = 0.0
      for tensor in gradients where golden(tensor.name).name == name {
        for value in tensor.values { squares += Double(value) * Double(value) }
      }
      let error = abs(squares.squareRoot() - Double(norms[index])) / Double(norms[index])
      outcome.compared += 1
      if !(error <= 5e-5) { outcome.complaints.append("norm of \(name): off by \(error)") }
    }
  }
}
