/// One rank's operations as its tasks are taken apart: which of them begin a task, and which one ends it.
struct GoalTaskOperations {
  var rank = GoalSchedule.Rank()
  var cpu: UInt8 = 0
  var tag: UInt32 = 0
  /// Ranks of the collective's group, and the own place among them.
  var members: [UInt32] = []
  var member = 0
  /// Operations that wait for nothing within their task, `[task]`.
  private var firsts: [[UInt32]] = []
  /// The operation that ends each task.
  private var lasts: [UInt32] = []
  private var open: [UInt32] = []
  /// Operations that nothing within the task waits for yet.
  private var loose: Set<UInt32> = []
  private var lastSend: UInt32?
  private var lastReceive: UInt32?

  /// Adds an operation to the open task; without targets it is one that the task begins with.
  @discardableResult
  mutating func begin(
    _ kind: GoalSchedule.Kind, size: UInt64, peer: UInt32 = 0, tag: UInt32 = 0, after targets: [UInt32] = []
  ) -> UInt32 {
    let operation = rank.append(
      kind, size: min(size, kind == .calculation ? GoalSchedule.longestCalculation : UInt64(Int64.max)),
      peer: peer,
      tag: tag, cpu: cpu)
    for target in targets {
      rank.requires.append(GoalSchedule.Edge(operation, after: target))
      loose.remove(target)
    }
    if targets.isEmpty { open.append(operation) }
    loose.insert(operation)
    return operation
  }

  /// Closes the task; where it has several ends, or no operation, a calculation of no time joins them.
  mutating func endTask() {
    if loose.count != 1 { begin(.calculation, size: 0, after: loose.sorted()) }
    lasts.append(loose.first ?? 0)
    firsts.append(open)
    (open, loose, lastSend, lastReceive) = ([], [], nil, nil)
  }

  mutating func connect(_ task: Int, after other: Int) {
    for operation in firsts[task] {
      rank.requires.append(GoalSchedule.Edge(operation, after: lasts[other]))
    }
  }

  // MARK: Collectives

  /// Sends to one member and receives from another what there is; what is sent waits for what was received before.
  private mutating func step(send: UInt64, to: Int, receive: UInt64, from: Int) {
    // Messages to one neighbour keep their order, so that one tag suffices.
    let before = lastReceive
    if send > 0 {
      let targets = Set([lastSend, before].compactMap { $0 }).sorted()
      lastSend = begin(.send, size: send, peer: members[to], tag: tag, after: targets)
    }
    if receive > 0 {
      lastReceive = begin(
        .receive, size: receive, peer: members[from], tag: tag, after: before.map { [$0] } ?? [])
    }
  }

  private func place(_ distance: Int) -> Int {
    let count = members.count
    return ((member + distance) % count + count) % count
  }

  /// Round the ring, each member's shard last to itself.
  mutating func reduceScatter(_ shards: [UInt64]) {
    for round in 0..<max(0, members.count - 1) {
      step(send: shards[place(-round - 1)], to: place(1), receive: shards[place(-round - 2)], from: place(-1))
    }
  }

  /// Round the ring, the own shard first.
  mutating func allGather(_ shards: [UInt64]) {
    for round in 0..<max(0, members.count - 1) {
      step(send: shards[place(-round)], to: place(1), receive: shards[place(-round - 1)], from: place(-1))
    }
  }

  /// From member to member, beginning with the first.
  mutating func chain(_ bytes: UInt64) {
    guard members.count > 1, bytes > 0 else { return }
    var received: [UInt32] = []
    if member > 0 { received = [begin(.receive, size: bytes, peer: members[member - 1], tag: tag)] }
    if member + 1 < members.count {
      begin(.send, size: bytes, peer: members[member + 1], tag: tag, after: received)
    }
  }

  /// Each pair at once, nearest first.
  mutating func exchange(out: [UInt64], back: [UInt64]) {
    for distance in 1..<max(1, members.count) {
      let (to, from) = (place(distance), place(-distance))
      if out[to] > 0 { begin(.send, size: out[to], peer: members[to], tag: tag) }
      if back[from] > 0 { begin(.receive, size: back[from], peer: members[from], tag: tag) }
    }
  }

  /// A byte to the member at distance 1, 2, 4, …: then all know of all.
  mutating func barrier() {
    var distance = 1
    while distance < members.count {
      step(send: 1, to: place(distance), receive: 1, from: place(-distance))
      distance *= 2
    }
  }
}
