import Operators
import Programs

/// Gradients, parameters and the optimizer.
extension RankEmitter {
  /// Whether ranks that hold copies share out the optimizer's work.
  private var isSharded: Bool { plan.plan.zeroStage >= 1 }

  /// Where gradients are sharded too, no rank keeps more than its share of them between micro-batches.
  var reducesEveryMicroBatch: Bool { plan.plan.zeroStage >= 2 }

  // MARK: During the step

  /// Parameters that the last step's optimizer changed come in while the first forwards run.
  mutating func gatherParametersAhead() {
    guard isSharded, plan.plan.zeroStage < 3, plan.plan.overlap.parameterGather else { return }
    code.beginSlot(TaskSlot(phase: .optimizer))
    for part in partsByStage {
      for (index, segment) in segments[part].enumerated() {
        gathers[part][index] = gatherParameters(of: segment, after: [])
      }
    }
  }

  /// Ranks that share a stage in opposite directions number their parts differently, but must meet in one
  /// order.
  private var partsByStage: [Int] {
    segments.indices.sorted { order.stage(rank: rank, part: $0) < order.stage(rank: rank, part: $1) }
  }

  mutating func takeGather(part: Int, index: Int) -> [TaskIndex] {
    guard index >= 0, gathers[part].indices.contains(index) else { return [] }
    defer { gathers[part][index] = [] }
    return gathers[part][index]
  }

  private mutating func gatherParameters(of segment: Segment, after: [TaskIndex]) -> [TaskIndex] {
    reduction(.allGather, .parameters, of: segment, plan.plan.precision.parameters, after: after)
  }

  /// One collective each over the dense and the expert copies, one after the other on the reduction lane: a
  /// segment is the bucket in which gradients and parameters travel.
  private mutating func reduction(
    _ kind: TaskKind, _ purpose: TaskPurpose, of segment: Segment, _ format: Format, after: [TaskIndex]
  ) -> [TaskIndex] {
    var tasks: [TaskIndex] = []
    for (group, count) in [("data", segment.denseParameters), ("expert_data", segment.expertParameters)]
    where count > 0 && groups.index(group) != nil {
      tasks.append(
        collective(kind, group, elements: count, of: format, purpose, bucket: segment.bucket, after: after))
    }
    return tasks
  }

  /// ZeRO-3: a segment's parameters are fetched for each use, two segments ahead.
  mutating func fetchShards(of segment: Segment) -> [TaskIndex] {
    guard plan.plan.zeroStage == 3 else { return [] }
    let gate = recentSegments.count >= 2 ? [recentSegments[recentSegments.count - 2]] : []
    return gatherParameters(of: segment, after: gate)
  }

  mutating func noteSegment(_ tasks: [TaskIndex]) {
    guard plan.plan.zeroStage == 3, let last = tasks.last else { return }
    recentSegments.append(last)
  }

  /// A segment's gradients are complete: reduce them while the rest of the backward runs, if the plan says
  /// so.
  mutating func reduceGradientsEarly(of segment: Segment, isLast: Bool, after: [TaskIndex]) {
    guard reducesEarly, !segment.reducesAtEnd else { return }
    _ = reduceGradients(of: segment, after: after)
    if isLast { _ = reduceCounts(of: segment, after: after) }
  }

  private var reducesEarly: Bool { plan.plan.overlap.gradientReduction || reducesEveryMicroBatch }

  /// Ranks of one pipeline that hold copies of the embedding add their gradients first.
  private mutating func reduceGradients(of segment: Segment, after: [TaskIndex]) -> [TaskIndex] {
    var ready = after
    if segment.sharedElements > 0 {
      ready = [
        collective(
          .allReduce, "embedding", elements: segment.sharedElements, of: gradientFormat, .sharedEmbedding,
          bucket: Bucket(stage: 0, segment: 0), after: after)
      ]
    }
    let reduced = reduction(
      isSharded ? .reduceScatter : .allReduce, .gradients, of: segment, gradientFormat, after: ready)
    return reduced.isEmpty ? ready : reduced
  }

  private var gradientFormat: Format { plan.plan.precision.gradientReduction }

  /// How many tokens of the step chose each expert, over all ranks that routed some of them: the selection
  /// bias follows it. Source: DeepSeek-V3, arXiv 2412.19437, section 2.1.2.
  private mutating func reduceCounts(of segment: Segment, after: [TaskIndex]) -> [TaskIndex] {
    guard segment.countedExperts > 0 else { return after }
    var ready = after
    // Tensor ranks route different tokens of one sequence.
    for group in ["tensor", "data"] where groups.index(group) != nil {
      ready = [
        collective(
          .allReduce, group, elements: segment.countedExperts, of: .float32, .expertCounts,
          bucket: segment.bucket, after: ready)
      ]
    }
    return ready
  }

  // MARK: At its end

  /// What is left of the reduction, the norm of all gradients, the optimizer, what is left of the gathering.
  mutating func emitOptimizer() {
    code.beginSlot(TaskSlot(phase: .optimizer))
    // A slot's exits do not wait for its weight gradients; they end with its last compute task.
    var ready = merge(
      slotExits + blockingSends, code.kind.lastIndex(of: .compute).map { [TaskIndex($0)] } ?? [])
    let done = ready
    let owned = partsByStage.flatMap { segments[$0] }
    if !reducesEarly {
      for segment in owned where !segment.reducesAtEnd {
        ready += reduceGradients(of: segment, after: done) + reduceCounts(of: segment, after: done)
      }
    }
    for segment in owned where segment.reducesAtEnd { ready += reduceGradients(of: segment, after: done) }
    // The lane runs in order: behind its last task nothing is left.
    ready = merge(ready, code.lane.lastIndex(of: .reduction).map { [TaskIndex($0)] } ?? [])
    // Clipping needs the norm over all ranks, so here everyone waits for everyone.
    if groups.index("world") != nil {
      var norm = Code.Task(.allReduce, on: .reduction)
      norm.bytes = 8
      norm.elementBytes = 8
      norm.purpose = .gradientNorm
      ready = [append(norm, in: "world", after: ready)]
    }
    if optimizerWork >= 0 {
      var update = Code.Task(.compute, on: .compute)
      update.work = optimizerWork
      ready = [code.append(update, after: ready)]
    }
    if isSharded && plan.plan.zeroStage < 3 && !plan.plan.overlap.parameterGather {
      for segment in partsByStage.flatMap({ segments[$0] }) {
        _ = gatherParameters(of: segment, after: ready)
      }
    }
  }
}

/// The optimizer of one pipeline rank as kernels that move bytes.
///
/// AdamW reads gradient, master copy and moments of the rank's shard and writes master, moments and the
/// parameter; the norm reads the shard's gradients once more; the accumulators of all local parameters are
/// cleared. Where products take tile-scaled FP8, the parameters that were gathered are cast once for all
/// micro-batches of the next step.
func optimizerKernels(_ share: OptimizerShare) -> [Kernel] {
  let shard = share.shardElements
  guard shard > 0 else { return [] }
  let update = MemoryPass(
    .optimizer,
    bytesRead: shard * (share.gradientBytes + share.masterBytes + 2 * share.momentBytes),
    bytesWritten: shard * (share.masterBytes + 2 * share.momentBytes + share.parameterBytes))
  let norm = MemoryPass(bytesRead: shard * share.gradientBytes, bytesWritten: 0)
  let clear = MemoryPass(bytesRead: 0, bytesWritten: share.localElements * share.gradientBytes)
  var kernels: [Kernel] = [.memoryPass(norm), .memoryPass(update), .memoryPass(clear)]
  if share.castBytes > 0 {
    kernels.append(
      .memoryPass(
        MemoryPass(
          bytesRead: share.localElements * share.parameterBytes,
          bytesWritten: share.localElements * share.castBytes)))
  }
  return kernels
}

/// Elements and their bytes that the optimizer of one rank works on.
struct OptimizerShare {
  var shardElements: Double
  var localElements: Double
  var gradientBytes: Double
  var masterBytes: Double
  var momentBytes: Double
  var parameterBytes: Double
  /// Bytes of an element's copy in the products' own format; zero where that is the parameters' format.
  var castBytes: Double
}
