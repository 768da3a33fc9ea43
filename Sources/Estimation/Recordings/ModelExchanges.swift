import Clusters
import Documents
import Models
import Plans
import Programs
import Replaying
import Schedules
import Timelines
import Traces
import Units

/// What DeepEP's kernels carry for a model, from the project's own lowering of an overlapped pair.
struct ModelExchanges {
  let sizes: ExchangeSizes
  /// The pair itself as this project builds and simulates it.
  let pair: Span

  /// - Parameters:
  ///   - tokens: Of one rank and micro-batch; nil: the shipped plan's.
  ///   - ranks: Of the expert group.
  init(_ name: String, tokens: Int?, ranks: Int, on cluster: Cluster) throws {
    let model = try resolveModel(name).model
    guard model.mixture != nil else {
      throw Diagnostic(.usage, "the model has no experts", path: "--model", found: name)
    }
    var plan = try shippedPlan(named: name).plan
    if let tokens {
      plan.sequence = tokens / max(1, plan.microBatch)
    }
    let sized = try cluster.resized(gpus: ranks)
    let overlapped = try OverlappedPair(model: model, cluster: sized, plan: plan)
    pair = overlapped.length
    let program = overlapped.step.program.program
    let code = overlapped.step.program.code(ofRole: 0)
    func exchange(_ kind: TaskKind, known: Bool) -> Exchange? {
      (0..<code.count).first {
        code.kind[$0] == kind && (code.tag[$0] == Exchange.knownLayoutTag) == known
      }.map { program.exchanges[Int(code.work[$0])] }
    }
    guard let dispatch = exchange(.dispatch, known: false), let known = exchange(.dispatch, known: true),
      let combine = exchange(.combine, known: true) ?? exchange(.combine, known: false)
    else {
      throw Diagnostic(.usage, "the model's plan exchanges no tokens", path: "--model", found: name)
    }
    func row(_ exchange: Exchange) -> String { "\(Int(exchange.bytesPerToken))" }
    sizes = ExchangeSizes(
      dispatch: dispatch, knownDispatch: known, combine: combine,
      source:
        "what dispatch and combine carry is not in the recording: assumed from \(model.name), "
        + "\(Int(dispatch.tokens)) tokens "
        + "a rank among \(ranks) ranks, balanced experts, \(row(dispatch)) bytes a row forward, \(row(known)) "
        + "backward, "
        + "\(row(combine)) combined; notify kernels move counts alone and count as waiting")
  }
}
