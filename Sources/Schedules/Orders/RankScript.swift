/// Writes one rank's order down, numbering micro-batches as they come.
///
/// In every schedule here the micro-batches of a part pass a rank in ascending order, so a generator says
/// only what kind of chunk follows; deferred weight gradients wait in a queue, oldest first.
struct RankScript {
  private(set) var slots: [Slot] = []
  private var forwards: [Int]
  private var backwards: [Int]
  private var deferred: [Chunk] = []
  private var firstDeferred = 0

  init(parts: Int = 1) {
    forwards = Array(repeating: 0, count: parts)
    backwards = Array(repeating: 0, count: parts)
  }

  private mutating func nextForward(_ part: Int) -> Chunk {
    defer { forwards[part] += 1 }
    return Chunk(.forward, part: part, microBatch: forwards[part])
  }

  private mutating func nextBackward(_ pass: ChunkPass, _ part: Int) -> Chunk {
    defer { backwards[part] += 1 }
    return Chunk(pass, part: part, microBatch: backwards[part])
  }

  /// F.
  mutating func forward(_ part: Int = 0) { slots.append(.chunk(nextForward(part))) }

  /// B: both gradients.
  mutating func backward(_ part: Int = 0) { slots.append(.chunk(nextBackward(.backward, part))) }

  /// b: the weight gradient joins the queue.
  mutating func backwardInput(_ part: Int = 0) {
    let chunk = nextBackward(.backwardInput, part)
    slots.append(.chunk(chunk))
    deferred.append(Chunk(.backwardWeight, part: part, microBatch: chunk.microBatch))
  }

  /// w: the oldest deferred weight gradient.
  mutating func backwardWeight() {
    slots.append(.chunk(deferred[firstDeferred]))
    firstDeferred += 1
  }

  /// F&B.
  mutating func overlapped(forward: Int, backward: Int) {
    slots.append(.overlapped(forward: nextForward(forward), backward: nextBackward(.backward, backward)))
  }

  /// Every weight gradient that still waits.
  mutating func remainingBackwardWeights() {
    while firstDeferred < deferred.count { backwardWeight() }
  }
}

/// Runs a step of a schedule a number of times; a negative count is none.
func times(_ count: Int, _ step: () -> Void) {
  for _ in 0..<max(0, count) { step() }
}
