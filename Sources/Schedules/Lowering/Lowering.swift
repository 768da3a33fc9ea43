import Models
import Operators
import Plans
import Programs
import Routing

/// Turns a pipeline order into a program: layers, kernels, exchanges, messages, reductions, optimizer.
///
/// All ranks of a pipeline rank share one code. Where the plan's experts are uneven, it is the code of the
/// fullest rank of an expert group, layer by layer: all others wait for it. Communication is inserted here,
/// never by a schedule; overlap is tasks on two lanes.
///
/// - Parameters:
///   - seed: Of the routing draw that dispatch and combine carry.
///   - traffic: What each rank exchanges with each other, where that is known; it must speak of every layer
///     with an exchange, every micro-batch and every expert group that holds the layer, by
///     ``Plans/RankGrid/groupIndex(_:containing:)``.
///   - tellsRanksApart: Experts' works say what they are for any number of rows, so that a table of traffic that
///     comes later, as from a run, may time each rank's own.
/// - Complexity: O(tasks of the pipeline ranks + ranks).
public func lower(
  _ plan: ValidPlan, order: PipelineOrder, seed: UInt64, traffic: TrafficTable? = nil,
  tellsRanksApart: Bool = false
) -> Program {
  let groups = Groups(plan)
  var builder = SegmentBuilder(plan, hasPairs: tellsRanksApart || traffic?.hasPairs ?? false)
  let stages = plan.layout.stages.indices.map { builder.segments(ofStage: $0) }
  var program = Program(name: "\(plan.model.name) on \(plan.cluster.name)")
  let exchanges = ExchangeTable(plan, seed: seed)
  program.exchanges = exchanges.exchanges
  for rank in 0..<order.ranks {
    let segments = (0..<order.parts).map { stages[order.stage(rank: rank, part: $0)] }
    let update = builder.works.intern(
      "optimizer", .forward, .optimizer,
      optimizerKernels(OptimizerShare(plan, segments: segments.flatMap { $0 })))
    var emitter = RankEmitter(
      plan: plan, order: order, rank: rank, groups: groups, segments: segments, exchanges: exchanges,
      optimizerWork: update)
    emitter.emitStep()
    program.codes.append(emitter.code)
  }
  program.works = builder.works.works
  program.communicators = groups.communicators
  program.traffic = traffic
  program.codeOfRank = (0..<plan.ranks).map { Int32(plan.grid.coordinates(of: $0).pipeline) }
  return program
}

extension OptimizerShare {
  init(_ plan: ValidPlan, segments: [Segment]) {
    let dense = Double(segments.reduce(0) { $0 + $1.denseParameters })
    let expert = Double(segments.reduce(0) { $0 + $1.expertParameters })
    let precision = plan.plan.precision
    let isSharded = plan.plan.zeroStage >= 1
    self.init(
      shardElements: isSharded
        ? dense / Double(plan.denseCopies) + expert / Double(max(1, plan.expertCopies)) : dense + expert,
      localElements: dense + expert, gradientBytes: precision.gradients.bytesPerElement,
      masterBytes: precision.master.bytesPerElement, momentBytes: precision.optimizerMoments.bytesPerElement,
      // Where the parameters are the master, writing the master is writing them.
      parameterBytes: precision.parameters == precision.master ? 0 : precision.parameters.bytesPerElement,
      castBytes: precision.operators.linear == precision.parameters
        ? 0 : precision.operators.linear.bytesPerElement)
  }
}
