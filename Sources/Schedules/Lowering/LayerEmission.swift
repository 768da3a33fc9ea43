import Plans
import Programs

/// How far a forward chunk has come.
struct ForwardWalk {
  let chunk: Chunk
  let segments: [Segment]
  /// What the next task waits for.
  var ready: [TaskIndex] = []
  /// The dispatch of the segment at hand.
  var dispatched: [TaskIndex] = []
  /// The slot's forward, or once more the forward of its backward chunk.
  let pass: TaskPass

  init(chunk: Chunk, segments: [Segment], pass: TaskPass = .forward) {
    self.chunk = chunk
    self.segments = segments
    self.pass = pass
  }
}

/// How far a backward chunk has come; its segments are in backward order.
struct BackwardWalk {
  let chunk: Chunk
  let segments: [Segment]
  /// Weight gradients follow at once, segment by segment.
  let withWeights: Bool
  /// No forward chunk is woven in: the framework's backward runs, which computes a layer's weight gradient
  /// before it hands the input gradient on.
  let isAlone: Bool
  /// The part's last micro-batch: gradients are complete after it.
  let isLast: Bool
  var ready: [TaskIndex] = []
  var dispatched: [TaskIndex] = []
  /// Weight gradients of the segment at hand.
  var weights: [TaskIndex] = []
}

extension RankEmitter {
  private var tensorOverlap: TensorOverlap { plan.plan.overlap.tensorCollectives }

  // MARK: Forward

  /// Attention and router, or all of a segment that is not a layer; then the tokens leave for their experts.
  mutating func firstHalf(_ walk: inout ForwardWalk, _ segment: Segment, index: Int) {
    walk.ready += takeGather(part: walk.chunk.part, index: index)
    walk.ready += fetchShards(of: segment)
    if segment.layer >= 0 { walk.ready = gatherContext(walk.pass, after: walk.ready) }
    walk.ready = half(
      segment.first.forward, segment, walk.pass, cut: segment.cutsFirst ? "tensor" : nil, after: walk.ready)
    noteSegment(walk.ready)
    walk.dispatched =
      segment.hasExchange
      ? [exchange(.dispatch, segment, walk.pass, after: walk.ready)] : walk.ready
  }

  /// Shared experts while tokens travel, experts when they have come, and the way back.
  mutating func secondHalf(_ walk: inout ForwardWalk, _ segment: Segment) {
    var local = walk.ready
    if let shared = compute(segment.shared.forward, segment, walk.pass, after: walk.ready) {
      local = [shared]
    }
    guard segment.second.forward >= 0 else {
      walk.ready = local
      return
    }
    var done = half(
      segment.second.forward, segment, walk.pass, cut: secondCut(segment),
      after: merge(walk.dispatched, local))
    if segment.hasExchange { done = [exchange(.combine, segment, walk.pass, after: done)] }
    walk.ready = done
  }

  private func secondCut(_ segment: Segment) -> String? {
    guard segment.cutsSecond else { return nil }
    return segment.hasExchange || segment.expertParameters > 0 ? "expert_tensor" : "tensor"
  }

  // MARK: Backward

  /// With full recomputation the layer's forward once more; then the gradients leave for the experts.
  mutating func enterBackward(_ walk: inout BackwardWalk, _ segment: Segment) {
    if plan.plan.recompute == .full && segment.layer >= 0 {
      // The forward fetches the layer's shards, and the backward finds them there.
      var again = ForwardWalk(chunk: walk.chunk, segments: [segment], pass: .recomputation)
      // Recomputation needs only what was kept; it is put behind the gradient's arrival by its place on the lane.
      again.ready = walk.ready
      firstHalf(&again, segment, index: -1)
      secondHalf(&again, segment)
      walk.ready = merge(walk.ready, again.ready)
    } else {
      walk.ready += fetchShards(of: segment)
    }
    walk.weights = []
    walk.dispatched =
      segment.hasExchange
      ? [exchange(.dispatch, segment, .backward, after: walk.ready)] : walk.ready
  }

  /// Input gradients of experts and dense feed-forward, the way back, and their weight gradients meanwhile.
  mutating func expertsBackward(_ walk: inout BackwardWalk, _ segment: Segment) {
    var ready = walk.ready
    if let shared = compute(segment.shared.input, segment, .backward, after: ready) { ready = [shared] }
    guard segment.second.input >= 0 else { return }
    if segment.hasExchange { ready = merge(walk.dispatched, ready) }
    walk.ready = backwardHalf(
      segment.second.input, [segment.shared.weight, segment.second.weight], &walk, segment,
      cut: secondCut(segment), after: ready)
    if segment.hasExchange {
      let awaited = walk.isAlone ? merge(walk.ready, walk.weights) : walk.ready
      walk.ready = [exchange(.combine, segment, .backward, after: awaited)]
    }
  }

  /// Input gradient of attention, or of a segment that is not a layer, and the weight gradients.
  mutating func attentionBackward(_ walk: inout BackwardWalk, _ segment: Segment) {
    if segment.layer >= 0 { walk.ready = gatherContext(.backward, after: walk.ready) }
    walk.ready = backwardHalf(
      segment.first.input, [segment.first.weight], &walk, segment, cut: segment.cutsFirst ? "tensor" : nil,
      after: walk.ready)
    if segment.layer >= 0 { walk.ready = scatterContext(after: walk.ready) }
    noteSegment(walk.ready)
    if walk.withWeights && (walk.isLast || reducesEveryMicroBatch) {
      reduceGradientsEarly(of: segment, isLast: walk.isLast, after: merge(walk.ready, walk.weights))
    }
  }

  private mutating func backwardHalf(
    _ input: Int32, _ weights: [Int32], _ walk: inout BackwardWalk, _ segment: Segment, cut: String?,
    after: [TaskIndex]
  ) -> [TaskIndex] {
    let isCut = cut.flatMap(groups.index) != nil
    var ready = after
    if isCut && plan.plan.sequenceParallel { ready = enterTensor(cut!, segment, .backward, after: ready) }
    if let task = compute(input, segment, .backward, after: ready) { ready = [task] }
    if walk.withWeights {
      walk.weights += weights.compactMap { compute($0, segment, .backward, after: ready) }
    }
    guard isCut else { return ready }
    // Without overlap the collective also waits for the weight gradients, which the framework launched before it.
    let awaited = tensorOverlap != .none ? ready : merge(ready, Array(walk.weights.suffix(weights.count)))
    return leaveTensor(cut!, segment, .backward, after: awaited)
  }

  // MARK: Tensor and context parallelism

  /// A forward half between its collectives.
  private mutating func half(
    _ work: Int32, _ segment: Segment, _ pass: TaskPass, cut: String?, after: [TaskIndex]
  ) -> [TaskIndex] {
    guard let cut, groups.index(cut) != nil else {
      return compute(work, segment, pass, after: after).map { [$0] } ?? after
    }
    guard tensorOverlap == .all && plan.plan.sequenceParallel else {
      var ready = plan.plan.sequenceParallel ? enterTensor(cut, segment, pass, after: after) : after
      if let task = compute(work, segment, pass, after: ready) { ready = [task] }
      return leaveTensor(cut, segment, pass, after: ready)
    }
    // Ring-overlapped: only the first piece of the gather and the last of the scatter are not beside the products.
    let whole = tensorBytes(cut)
    let piece = whole / Int64(plan.grid.size(of: cut == "tensor" ? .tensor : .expertTensor))
    let first = tensor(.allGather, cut, bytes: piece, segment, pass, after: after)
    let rest = tensor(.allGather, cut, bytes: whole - piece, segment, pass, after: [first])
    guard let task = compute(work, segment, pass, after: [first]) else { return [rest] }
    let most = tensor(.reduceScatter, cut, bytes: whole - piece, segment, pass, after: [rest])
    return [tensor(.reduceScatter, cut, bytes: piece, segment, pass, after: [task, most])]
  }

  private func tensorBytes(_ cut: String) -> Int64 {
    let tokens = plan.plan.microBatch * plan.plan.sequence / plan.plan.context
    let share =
      cut == "tensor" || !plan.plan.sequenceParallel ? tokens : plan.residualTokens * plan.plan.expertTensor
    return Int64(share * plan.residualBytesPerToken)
  }

  private mutating func tensor(
    _ kind: TaskKind, _ cut: String, bytes: Int64, _ segment: Segment, _ pass: TaskPass, after: [TaskIndex]
  ) -> TaskIndex {
    collective(
      kind, cut, bytes: bytes, element: plan.plan.precision.residual, layer: segment.layer, pass,
      after: after)
  }

  private mutating func enterTensor(
    _ cut: String, _ segment: Segment, _ pass: TaskPass, after: [TaskIndex]
  ) -> [TaskIndex] {
    [tensor(.allGather, cut, bytes: tensorBytes(cut), segment, pass, after: after)]
  }

  private mutating func leaveTensor(
    _ cut: String, _ segment: Segment, _ pass: TaskPass, after: [TaskIndex]
  ) -> [TaskIndex] {
    let kind: TaskKind = plan.plan.sequenceParallel ? .reduceScatter : .allReduce
    return [tensor(kind, cut, bytes: tensorBytes(cut), segment, pass, after: after)]
  }

  /// Keys and values of the whole sequence come together on every context rank.
  private mutating func gatherContext(_ pass: TaskPass, after: [TaskIndex]) -> [TaskIndex] {
    guard groups.index("context") != nil else { return after }
    return [
      collective(
        .allGather, "context", bytes: contextBytes, element: plan.plan.precision.operators.attention, pass,
        after: after)
    ]
  }

  private mutating func scatterContext(after: [TaskIndex]) -> [TaskIndex] {
    guard groups.index("context") != nil else { return after }
    return [
      collective(
        .reduceScatter, "context", bytes: contextBytes, element: plan.plan.precision.operators.attention,
        .backward, after: after)
    ]
  }

  /// Keys and values of a micro-batch as they travel: latent attention sends what its projection compresses
  /// them to, which tensor ranks all hold; otherwise each tensor rank sends its heads.
  private var contextBytes: Int64 {
    let width: Int
    switch plan.model.attention {
    case .latent(let latent): width = latent.keyValueRank + latent.rotaryDimension
    case .grouped(let grouped):
      width = 2 * max(1, grouped.keyValueHeads / plan.plan.tensor) * grouped.headDimension
    }
    let tokens = plan.plan.microBatch * plan.plan.sequence
    return Int64((Double(tokens * width) * plan.plan.precision.operators.attention.bytesPerElement).rounded())
  }

  func merge(_ a: [TaskIndex], _ b: [TaskIndex]) -> [TaskIndex] { a + b.filter { !a.contains($0) } }
}
