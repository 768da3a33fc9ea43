import Programs

/// The chunks that a rank has in flight, and the buffers of chunks that are done, for the next ones.
///
/// After the first step no chunk is made any more: a plan's chunks in flight are the same in every step.
struct ChunkPool {
  private let state: ModelState
  private let microBatches: Int
  private var active: [ChunkBuffers?]
  private var free: [[ChunkBuffers]]
  /// Tasks of a chunk, `[part * microBatches + microBatch]`.
  private let users: [Int]

  init(_ state: ModelState, code: Code, microBatches: Int, links: StageLinks) {
    self.state = state
    self.microBatches = microBatches
    active = Array(repeating: nil, count: state.stages.count * microBatches)
    free = Array(repeating: [], count: state.stages.count)
    var users = Array(repeating: 0, count: active.count)
    for task in 0..<code.count {
      guard let chunk = code.chunk(ofTask: task) else { continue }
      users[Int(chunk.part) * microBatches + Int(chunk.microBatch)] += 1
    }
    // Where the stage before lies on the same rank, it reads this chunk's gradient after the last of its tasks.
    for part in state.stages.indices where links.previous[part] != nil {
      for microBatch in 0..<microBatches where users[part * microBatches + microBatch] > 0 {
        users[part * microBatches + microBatch] += 1
      }
    }
    self.users = users
  }

  /// The buffers of a chunk; a chunk that none of its tasks has touched gets some.
  ///
  /// - Parameter prepare: Called with new buffers.
  mutating func buffers(part: Int, microBatch: Int, prepare: (ChunkBuffers) -> Void) -> ChunkBuffers {
    let index = part * microBatches + microBatch
    if let chunk = active[index] { return chunk }
    let chunk = free[part].popLast() ?? ChunkBuffers(state.stages[part], plan: state.plan)
    chunk.users = users[index]
    chunk.hasInput = false
    chunk.hasGradient = false
    active[index] = chunk
    prepare(chunk)
    return chunk
  }

  /// A chunk in flight.
  subscript(part: Int, microBatch: Int) -> ChunkBuffers? { active[part * microBatches + microBatch] }

  /// One use less; after the last one the buffers are free.
  mutating func release(part: Int, microBatch: Int) {
    let index = part * microBatches + microBatch
    guard let chunk = active[index] else { return }
    chunk.users -= 1
    guard chunk.users == 0 else { return }
    active[index] = nil
    free[part].append(chunk)
  }
}

/// Which of a rank's parts follow one another in the model: the turn of a V, or stages of a single rank.
struct StageLinks {
  /// `[part]`: the part with the stage before, where a chunk passes to it without a message.
  let previous: [Int?]
  let next: [Int?]

  init(_ state: ModelState) {
    let isBidirectional = state.plan.plan.schedule.copiesOfStage > 1
    let stages = state.stages.map(\.stage)
    // DualPipe's two directions never meet, even where their stages follow one another.
    previous = stages.map { stage in isBidirectional ? nil : stages.firstIndex(of: stage - 1) }
    next = stages.map { stage in isBidirectional ? nil : stages.firstIndex(of: stage + 1) }
  }
}
