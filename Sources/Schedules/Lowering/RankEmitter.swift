import Plans
import Programs

/// Writes the tasks of one pipeline rank, slot after slot.
///
/// Functions take the tasks to wait for and return the tasks that what follows must wait for.
struct RankEmitter {
  let plan: ValidPlan
  let order: PipelineOrder
  let rank: Int
  let groups: Groups
  /// Segments of the rank's stages, `[part]`.
  let segments: [[Segment]]
  let exchanges: ExchangeTable
  let optimizerWork: Int32

  var code: Code
  /// What the next slot's first tasks wait for.
  var slotExits: [TaskIndex] = []
  /// Sends of the last slot, which the next one also waits for where messages are not overlapped. Its
  /// receives do not: a send and the receive after it go as one batch, as in Megatron-LM, or neighbours would
  /// wait for each other.
  var blockingSends: [TaskIndex] = []
  /// Tasks whose results later slots of this rank read.
  private var results: [ChunkKey: [TaskIndex]] = [:]
  /// Parameters on their way at the start of the step, `[part][segment]`; emptied by their first use.
  var gathers: [[[TaskIndex]]]
  /// The latest compute tasks of segments, for the depth to which sharded parameters are fetched ahead.
  var recentSegments: [TaskIndex] = []

  struct ChunkKey: Hashable {
    var isForward: Bool
    var part: Int
    var microBatch: Int
  }

  init(
    plan: ValidPlan, order: PipelineOrder, rank: Int, groups: Groups, segments: [[Segment]],
    exchanges: ExchangeTable, optimizerWork: Int32
  ) {
    self.plan = plan
    self.order = order
    self.rank = rank
    self.groups = groups
    self.segments = segments
    self.exchanges = exchanges
    self.optimizerWork = optimizerWork
    code = Code(name: "pipeline rank \(rank)")
    gathers = segments.map { $0.map { _ in [] } }
  }

  // MARK: The step

  mutating func emitStep() {
    gatherParametersAhead()
    let slots = order.slots[rank]
    let lastUse = lastWeightSlots(slots)
    for (index, slot) in slots.enumerated() {
      switch slot {
      case .chunk(let chunk):
        begin(chunk)
        if chunk.pass == .backwardWeight {
          weightGradients(chunk, isLast: lastUse[chunk.part] == index)
        } else if chunk.pass == .forward {
          weave(forward: chunk, backward: nil, isLast: false)
        } else {
          weave(
            forward: nil, backward: chunk, isLast: chunk.pass == .backward && lastUse[chunk.part] == index)
        }
      case .overlapped(let forward, let backward):
        code.beginSlot(
          TaskSlot(phase: .overlapped, forward: stageChunk(forward), backward: stageChunk(backward)))
        weave(forward: forward, backward: backward, isLast: lastUse[backward.part] == index)
      }
    }
    emitOptimizer()
  }

  /// For each part the slot after which its gradients are complete.
  private func lastWeightSlots(_ slots: [Slot]) -> [Int?] {
    var last = [Int?](repeating: nil, count: segments.count)
    for (index, slot) in slots.enumerated() {
      slot.forEachChunk { chunk in
        if chunk.pass == .backward || chunk.pass == .backwardWeight { last[chunk.part] = index }
      }
    }
    return last
  }

  private func stageChunk(_ chunk: Chunk) -> StageChunk {
    // Two directions share the step's micro-batches; everywhere else a micro-batch passes through all parts.
    let first = order.placement == .bidirectional ? chunk.part * order.microBatchesPerPart : 0
    return StageChunk(
      stage: order.stage(rank: rank, part: chunk.part), part: chunk.part, microBatch: chunk.microBatch,
      batch: first + chunk.microBatch)
  }

  private mutating func begin(_ chunk: Chunk) {
    let contents = stageChunk(chunk)
    switch chunk.pass {
    case .forward: code.beginSlot(TaskSlot(phase: .forward, forward: contents))
    case .backward: code.beginSlot(TaskSlot(phase: .backward, backward: contents))
    case .backwardInput: code.beginSlot(TaskSlot(phase: .backwardInput, backward: contents))
    case .backwardWeight: code.beginSlot(TaskSlot(phase: .backwardWeight, backward: contents))
    }
  }

  // MARK: Chunks

  /// A forward and a backward chunk, or one of them, segment by segment.
  ///
  /// A layer of each goes, on the compute lane, attention F, experts b, experts w, experts F, attention b,
  /// attention w, and on the communication lane dispatch b, dispatch F, combine b, combine F; so each
  /// exchange has the other direction's compute beside it. Source: DeepSeek-V3, arXiv 2412.19437, figure 4,
  /// and the order of kernels in DeepSeek's published profile.
  private mutating func weave(forward: Chunk?, backward: Chunk?, isLast: Bool) {
    let entry = slotExits + blockingSends
    var ahead = forward.map { ForwardWalk(chunk: $0, segments: segments[$0.part]) }
    var back = backward.map {
      BackwardWalk(
        chunk: $0, segments: segments[$0.part].reversed(), withWeights: $0.pass == .backward,
        isAlone: forward == nil, isLast: isLast)
    }
    if forward != nil { ahead!.ready = entry + arrival(of: forward!) }
    if backward != nil { back!.ready = entry + arrival(of: backward!) }
    let length = max(ahead?.segments.count ?? 0, back?.segments.count ?? 0)
    for index in 0..<length {
      let forwardSegment = ahead.flatMap { index < $0.segments.count ? $0.segments[index] : nil }
      let backwardSegment = back.flatMap { index < $0.segments.count ? $0.segments[index] : nil }
      if let segment = backwardSegment { enterBackward(&back!, segment) }
      if let segment = forwardSegment { firstHalf(&ahead!, segment, index: index) }
      if let segment = backwardSegment { expertsBackward(&back!, segment) }
      if let segment = forwardSegment { secondHalf(&ahead!, segment) }
      if let segment = backwardSegment { attentionBackward(&back!, segment) }
    }
    blockingSends = []
    if let walk = ahead { finish(walk.chunk, exits: walk.ready) }
    if let walk = back { finish(walk.chunk, exits: walk.ready) }
    slotExits = (ahead?.ready ?? []) + (back?.ready ?? [])
    holdMemory(forward: forward, backward: backward)
  }

  /// What a chunk waits for: a message, or an earlier slot of this rank.
  private mutating func arrival(of chunk: Chunk) -> [TaskIndex] {
    let isForward = chunk.pass == .forward
    // A backward also needs its own forward, which on this rank ran long before; on the last stage it is all it needs.
    var needs: [TaskIndex] = isForward ? [] : result(true, chunk.part, chunk.microBatch)
    guard let place = order.producer(for: chunk, rank: rank) else { return needs }
    if place.rank == rank {
      needs += result(isForward, place.part, chunk.microBatch)
    } else {
      // With several stages on a rank the batches of neighbours do not pair off slot by slot; receives are then posted
      // ahead, as DualPipe posts them, and only the sender is held up.
      let isPosted = plan.plan.overlap.pipelineTransfers || order.parts > 1
      needs.append(message(.receive, with: place.rank, chunk: chunk, after: isPosted ? [] : slotExits))
      needs = gatherAcrossTensor(isForward ? .forward : .backward, after: needs)
    }
    return needs
  }

  private func result(_ isForward: Bool, _ part: Int, _ microBatch: Int) -> [TaskIndex] {
    results[ChunkKey(isForward: isForward, part: part, microBatch: microBatch)] ?? []
  }

  private mutating func finish(_ chunk: Chunk, exits: [TaskIndex]) {
    let isForward = chunk.pass == .forward
    results[ChunkKey(isForward: isForward, part: chunk.part, microBatch: chunk.microBatch)] = exits
    guard let place = order.consumer(of: chunk, rank: rank), place.rank != rank else { return }
    let send = message(.send, with: place.rank, chunk: chunk, after: exits)
    if !plan.plan.overlap.pipelineTransfers { blockingSends.append(send) }
  }

  private mutating func holdMemory(forward: Chunk?, backward: Chunk?) {
    let own = computeTasksOfSlot
    guard let first = own.last, let last = own.first else { return }
    // Memory is counted at the edges of the slot: taken by its first compute task, given back by its last.
    let taken = forward.map { savedBytes(part: $0.part) } ?? 0
    let returned = backward.map { $0.pass == .backward ? savedBytes(part: $0.part) : 0 } ?? 0
    if first == last {
      code.setMemory(taken - returned, of: first)
    } else {
      code.setMemory(taken, of: first)
      code.setMemory(-returned, of: last)
    }
  }

  /// Compute tasks of the slot at hand, last first.
  private var computeTasksOfSlot: [Int] {
    let slot = Int32(code.slots.count - 1)
    return code.slot.indices.reversed().prefix { code.slot[$0] == slot }.filter { code.kind[$0] == .compute }
  }

  func savedBytes(part: Int) -> Int64 { segments[part].reduce(0) { $0 + $1.savedBytes } }

  /// The deferred weight gradients of a chunk (`w`).
  private mutating func weightGradients(_ chunk: Chunk, isLast: Bool) {
    var ready = slotExits + blockingSends + result(false, chunk.part, chunk.microBatch)
    blockingSends = []
    for segment in segments[chunk.part].reversed() {
      for work in [segment.shared.weight, segment.second.weight, segment.first.weight] {
        if let task = compute(work, segment, .backward, after: ready) { ready = [task] }
      }
      if isLast || reducesEveryMicroBatch {
        reduceGradientsEarly(of: segment, isLast: isLast, after: ready)
      }
    }
    slotExits = ready
    if let last = computeTasksOfSlot.first {
      code.setMemory(-savedBytes(part: chunk.part), of: last)
    }
  }
}
