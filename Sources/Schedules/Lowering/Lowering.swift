import Models
import Operators
import Plans
import Programs
import Routing

/// Turns a pipeline order into a program: layers, kernels, exchanges, messages, reductions, optimizer.
///
/// All ranks of a pipeline rank share one code. Communication is inserted here, never by a schedule; overlap
/// is tasks on two lanes.
///
/// - Parameters:
///   - seed: Of the routing draw that dispatch and combine carry.
///   - traffic: What each rank exchanges with each other, where that is known; it must speak of every layer
///     with an exchange, every micro-batch and every expert group that holds the layer, by
///     ``Plans/RankGrid/groupIndex(_:containing:)``.
/// - Complexity: O(tasks of the pipeline ranks + ranks).
public func lower(
  _ plan: ValidPlan, order: PipelineOrder, seed: UInt64, traffic: TrafficTable? = nil
) -> Program {
  let groups = Groups(plan)
  var builder = SegmentBuilder(plan)
  let stages = plan.layout.stages.indices.map { builder.segments(ofStage: $0) }
  var program = Program(name: "\(plan.model.name) on \(plan.cluster.name)")
  let exchanges = addExchanges(to: &program, plan: plan, seed: seed)
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

private func addExchanges(
  to program: inout Program, plan: ValidPlan, seed: UInt64
) -> RankEmitter.ExchangeIndices {
  var indices = RankEmitter.ExchangeIndices()
  guard let mixture = plan.model.mixture, plan.plan.expert > 1 else { return indices }
  let ranksPerNode = plan.grid.span(
    of: plan.grid.group(.expert, containing: 0), gpusPerNode: plan.cluster.gpusPerNode.value
  ).ranksPerNode
  let traffic = ExpertTraffic(
    balanced: mixture, ranks: plan.plan.expert, ranksPerNode: ranksPerNode, seed: seed)
  let tokens = Double(plan.residualTokens)
  func exchange(_ format: Format, metadata: Int) -> Exchange {
    Exchange(
      tokens: tokens, nodesPerToken: traffic.nodesPerToken, remoteNodesPerToken: traffic.remoteNodesPerToken,
      ranksPerToken: traffic.ranksPerToken, forwardedPerToken: traffic.forwardedPerToken,
      bytesPerToken: Double(format.rowBytes(plan.model.hidden)), metadataBytesPerToken: metadata,
      membersPerNode: plan.expertMembersPerNode)
  }
  func bytes(_ exchange: Exchange) -> Int64 {
    Int64((exchange.tokens * exchange.ranksPerToken * exchange.bytesPerToken).rounded())
  }
  // Beside a row travel its experts and their weights, and on the way back of the backward their gradients.
  let choices = mixture.topK * Exchange.choiceBytes
  let gradients = mixture.topK * Exchange.weightGradientBytes
  let precision = plan.plan.precision
  program.exchanges = [
    exchange(precision.dispatch, metadata: choices), exchange(precision.combine, metadata: 0),
    exchange(precision.dispatch, metadata: 0), exchange(precision.combine, metadata: gradients),
  ]
  indices.forward = (0, 1)
  indices.backward = (2, 3)
  indices.dispatchBytes = bytes(program.exchanges[0])
  indices.combineBytes = bytes(program.exchanges[1])
  return indices
}

extension Format {
  /// Bytes of a row as it travels: tile scales stand behind their elements, one for the last tile even where
  /// it is not full.
  fileprivate func rowBytes(_ elements: Int) -> Int {
    self == .float8 ? elements + (elements + 127) / 128 * 4 : elements * Int(bytesPerElement)
  }
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
