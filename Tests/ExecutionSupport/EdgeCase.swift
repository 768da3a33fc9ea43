import Execution
import Plans

/// Steps that a router seldom makes.
public enum EdgeCase: String, CaseIterable, Sendable {
  /// Every token takes the same experts, which all lie on the first rank where there are several: the others receive
  /// no token.
  case sameExperts = "same-experts"
  /// Every token takes one expert, the same, in a model whose tokens take no second one.
  case oneExpert = "one-expert"
  /// Micro-batches of one token.
  case oneToken = "one-token"

  fileprivate func choices(topK: Int) -> (any ExpertChoices)? {
    switch self {
    case .sameExperts: SameExperts(experts: (0..<topK).map(Int32.init))
    case .oneExpert: SameExperts(experts: [0])
    case .oneToken: nil
    }
  }
}

private struct SameExperts: ExpertChoices {
  /// Of each token.
  let experts: [Int32]

  func choices(layer: Int, batch: Int, source: Int, tokens: Int) -> [Int32] {
    (0..<tokens).flatMap { _ in experts }
  }
}

extension [NamedTensor] {
  fileprivate var joinedMaximum: Float { reduce(0) { $1.values.reduce($0) { Swift.max($0, abs($1)) } } }
}

/// What came of a step, on rank 0.
public struct EdgeOutcome: Sendable {
  public var report: StepReport
  public var gradients: [NamedTensor]

  /// Where losses and gradients are further from another run's than they may be.
  public func complaints(against other: EdgeOutcome) -> [String] {
    var complaints: [String] = []
    if !(abs(report.loss - other.report.loss) <= 1e-5 * other.report.loss) {
      complaints.append("loss \(report.loss) for \(other.report.loss)")
    }
    let found = Dictionary(uniqueKeysWithValues: gradients.map { ($0.name, $0.values) })
    let largest = other.gradients.joinedMaximum
    for tensor in other.gradients {
      let values = found[tensor.name] ?? []
      let most = tensor.values.reduce(0) { max($0, abs($1)) }
      var error: Float = values.count == tensor.values.count ? 0 : .infinity
      for (value, expected) in zip(values, tensor.values) {
        error = (value - expected).isNaN ? .infinity : max(error, abs(value - expected))
      }
      // What is zero but for rounding, as queries' gradients of a sequence of one token, is so in both runs.
      if most <= 1e-6 * largest, error <= 1e-6 * largest { continue }
      if !(error <= 5e-5 * most) { complaints.append("gradient of \(tensor.name): \(error) of \(most)") }
    }
    return complaints
  }
}

extension GoldenModel {
  /// Runs one step of an edge case, or of the file's own data, without updating anything; every rank calls it.
  public func run(
    _ edge: EdgeCase?, pipeline: Int, expert: Int, on transport: any Transport,
    change: @escaping (inout Plan) -> Void = { _ in }
  ) throws -> EdgeOutcome {
    let plan = try plan(
      .total, .oneForwardOneBackward, pipeline: pipeline, expert: expert, topK: edge == .oneExpert ? 1 : nil
    ) { plan in
      if edge == .oneToken {
        plan.sequence = 1
        plan.microBatch = 1
        plan.globalBatch = 8
      }
      change(&plan)
    }
    var options = ExecutionOptions()
    options.updates = false
    let training = try RankTraining(
      plan, program: plan.verified(), transport: transport, tokens: tokens(), options: options,
      choices: edge?.choices(topK: dimensions.topK))
    try training.loadParameters(from: try parameters(.total))
    return EdgeOutcome(report: try training.runStep(), gradients: try training.gradients())
  }
}
