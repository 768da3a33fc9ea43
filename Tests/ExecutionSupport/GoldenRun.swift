import Execution
import Foundation
import Plans
import Rehearsing
import Tensors
import TestSupport

/// One way to spread the golden model over ranks.
public struct Spread: Hashable, Sendable {
  public var schedule: ScheduleName
  public var pipeline: Int
  public var expert: Int
  /// More than one: exchanges take two hops.
  public var ranksPerNode: Int

  public init(schedule: ScheduleName, pipeline: Int, expert: Int, ranksPerNode: Int = 1) {
    self.schedule = schedule
    self.pipeline = pipeline
    self.expert = expert
    self.ranksPerNode = ranksPerNode
  }

  public var ranks: Int { pipeline * expert }

  /// Four expert ranks on two nodes, with exchanges in two hops.
  public static let twoHops = [
    Spread(schedule: .oneForwardOneBackward, pipeline: 1, expert: 4, ranksPerNode: 2),
    Spread(schedule: .zeroBubble, pipeline: 2, expert: 4, ranksPerNode: 2),
    Spread(schedule: .dualPipe, pipeline: 2, expert: 4, ranksPerNode: 2),
    Spread(schedule: .dualPipeV, pipeline: 2, expert: 4, ranksPerNode: 2),
  ]

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
  /// The largest difference of a gradient's product with given numbers, over the most that it can be.
  public var worstProduct = 0.0
}

extension GoldenModel {
  /// Runs the file's step on one rank and compares; every rank calls it, rank 0 has the outcome.
  public func run(
    _ loss: Loss, _ spread: Spread, zero: Int = 1, on transport: any Transport
  ) throws -> GoldenOutcome {
    let plan = try plan(
      loss, spread.schedule, pipeline: spread.pipeline, expert: spread.expert, zero: zero,
      ranksPerNode: spread.ranksPerNode)
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
    if let measured {
      outcome.complaints += measured.differences + (try measured.simulatedDifferences())
    } else {
      outcome.complaints.append("nothing was measured")
    }
    try compare(report, loss, &outcome)
    compareNorm(report, loss, &outcome)
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

  private func compareNorm(_ report: StepReport, _ loss: Loss, _ outcome: inout GoldenOutcome) {
    guard let norm = file.metadata["global_grad_norm_\(loss.rawValue)"].flatMap(Double.init) else { return }
    let error = abs(report.gradientNorm - norm) / norm
    outcome.compared += 1
    if !(error <= 5e-5) {
      outcome.complaints.append("norm of all gradients: \(report.gradientNorm) for \(norm)")
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
    try compareSummaries(gradients, loss, &outcome)
  }

  /// Norm of every parameter's gradient, and its product with numbers that the file names by their seed: the file
  /// holds both for all parameters, whole gradients for small ones only.
  private func compareSummaries(
    _ gradients: [NamedTensor], _ loss: Loss, _ outcome: inout GoldenOutcome
  ) throws {
    let part = loss.rawValue
    guard let order = file.metadata["\(part)_grad_order"], file.contains("\(part)/grad_norm") else { return }
    let names = try JSONDecoder().decode([String].self, from: Data(order.utf8))
    let norms = try file.floats("\(part)/grad_norm")
    let products = file.contains("\(part)/grad_dot") ? try file.floats("\(part)/grad_dot") : []
    let seed = file.metadata["seed"].flatMap { UInt64($0) }
    var byName: [String: [(expert: Int, values: [Float])]] = [:]
    for tensor in gradients {
      let (name, expert) = golden(tensor.name)
      byName[name, default: []].append((expert ?? 0, tensor.values))
    }
    for (index, name) in names.enumerated() {
      // Experts' matrices are one tensor in the file, one after the other.
      guard let parts = byName[name] else {
        outcome.complaints.append("no gradient of \(name)")
        continue
      }
      let values = parts.sorted { $0.expert < $1.expert }.flatMap(\.values)
      var squares = 0.0
      for value in values { squares += Double(value) * Double(value) }
      let norm = Double(norms[index])
      let error = abs(squares.squareRoot() - norm) / norm
      outcome.compared += 1
      if !(error <= 5e-5) { outcome.complaints.append("norm of \(name): off by \(error)") }
      guard let seed, index < products.count else { continue }
      let factors = hashedFloats(seed: seed, stream: UInt64(5000 + index), count: values.count)
      var (product, length) = (0.0, 0.0)
      for (value, factor) in zip(values, factors) {
        product += Double(value) * Double(factor)
        length += Double(factor) * Double(factor)
      }
      // A difference d of the gradient changes the product by at most |d| times the length of the factors.
      let difference = abs(product - Double(products[index])) / (norm * length.squareRoot())
      outcome.compared += 1
      outcome.worstProduct = max(outcome.worstProduct, difference)
      if !(difference <= 5e-5) { outcome.complaints.append("product of \(name): off by \(difference)") }
    }
  }
}

extension GoldenModel {
  /// Trains the file's step once; every rank calls it.
  ///
  /// - Returns: On rank 0 the names of selection biases that are not the file's after the step; nil where the file
  ///   holds none.
  public func wrongBiases(_ spread: Spread, on transport: any Transport) throws -> [String]? {
    guard let order = file.metadata["bias_order"], file.contains("total/bias_after") else { return nil }
    let plan = try plan(.total, spread.schedule, pipeline: spread.pipeline, expert: spread.expert)
    let training = try RankTraining(
      plan, program: plan.verified(), transport: transport, tokens: tokens())
    try training.loadParameters(from: try parameters(.total))
    _ = try training.runStep()
    let trained = try training.parameters()
    let names = try JSONDecoder().decode([String].self, from: Data(order.utf8))
    let expected = try file.floats("total/bias_after")
    let count = expected.count / names.count
    return names.enumerated().compactMap { index, name in
      let found = trained.first { golden($0.name).name == name }?.values ?? []
      // The file's sums were taken in double precision; a step is ten thousand times what rounding makes of it.
      let isEqual =
        found.count == count
        && zip(found, expected[index * count..<(index + 1) * count]).allSatisfy { abs($0 - $1) <= 1e-7 }
      return isEqual ? nil : name
    }
  }
}
