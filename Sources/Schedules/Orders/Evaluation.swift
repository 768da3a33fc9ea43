import Documents
import Units

/// When each slot of an order runs, with fixed chunk times.
public struct OrderTiming: Hashable, Sendable {
  /// When a slot runs.
  public struct Interval: Hashable, Sendable {
    public var start: Instant
    public var end: Instant

    public init(start: Instant, end: Instant) {
      self.start = start
      self.end = end
    }
  }

  /// Shape `[rank][slot]`, as the order's slots.
  public var intervals: [[Interval]]
  public var makespan: Span
  /// Time each rank computes.
  public var busy: [Span]

  /// Time each rank waits between the start of the step and its end: the bubble.
  public var idle: [Span] { busy.map { makespan - $0 } }
}

extension PipelineOrder {
  /// Starts every slot as soon as its rank is free and its inputs have arrived.
  ///
  /// Tensors travel while both ranks compute; a pair hands over its two results when it ends.
  ///
  /// - Parameters:
  ///   - times: Of chunks, by stage.
  ///   - latency: From the end of a chunk to the arrival of its result on another rank; none within a rank.
  /// - Throws: A ``Diagnostic`` with status `data` that names the stuck ranks and what they wait for, when
  ///   the order cannot run to its end.
  /// - Complexity: O(slots)
  public func evaluate(times: ChunkTimes, latency: Span = .zero) throws -> OrderTiming {
    try checkShape()
    var run = OrderRun(self, times: times, latency: latency)
    var ready = Array((0..<ranks).reversed())
    while let rank = ready.popLast() {
      while let released = try run.advance(rank) { ready.append(contentsOf: released) }
    }
    return try run.result()
  }
}

/// The state of an evaluation: how far each rank has come, and when each result is there.
private struct OrderRun {
  private let order: PipelineOrder
  private let times: ChunkTimes
  private let latency: Span
  private var intervals: [[OrderTiming.Interval]]
  private var free: [Instant]
  private var busy: [Span]
  /// End of a forward and of a backward (full or input gradient); ``Instant/never`` until computed.
  private var forwardEnd: ChunkTable<Instant>
  private var backwardEnd: ChunkTable<Instant>
  /// What a stuck rank waits for; only one rank ever waits for a result, its consumer.
  private var waiting: [(chunk: Chunk, place: StagePlace)?]

  init(_ order: PipelineOrder, times: ChunkTimes, latency: Span) {
    self.order = order
    self.times = times
    self.latency = latency
    intervals = order.slots.map { slots in
      var empty: [OrderTiming.Interval] = []
      empty.reserveCapacity(slots.count)
      return empty
    }
    free = Array(repeating: .start, count: order.ranks)
    busy = Array(repeating: .zero, count: order.ranks)
    forwardEnd = ChunkTable(order, repeating: .never)
    backwardEnd = ChunkTable(order, repeating: .never)
    waiting = Array(repeating: nil, count: order.ranks)
  }

  /// Runs the next slot of a rank, if its inputs are there.
  ///
  /// - Returns: The ranks that waited for this slot, or nil where the rank has ended or waits itself.
  mutating func advance(_ rank: Int) throws -> [Int]? {
    let index = intervals[rank].count
    guard index < order.slots[rank].count else { return nil }
    let slot = order.slots[rank][index]

    var start = free[rank]
    waiting[rank] = nil
    try slot.forEachChunk { chunk in
      try order.checkRange(of: chunk, rank: rank, index: index)
      guard let place = order.producer(for: chunk, rank: rank) else { return }
      let arrival = self.end(of: chunk, at: place)
      if arrival == .never {
        waiting[rank] = (chunk, place)
      } else {
        start = max(start, place.rank == rank ? arrival : arrival + latency)
      }
    }
    if waiting[rank] != nil { return nil }

    let duration = self.duration(of: slot, rank: rank)
    let end = start + duration
    intervals[rank].append(OrderTiming.Interval(start: start, end: end))
    free[rank] = end
    busy[rank] += duration

    var released: [Int] = []
    slot.forEachChunk { chunk in
      record(end, of: chunk, rank: rank)
      guard let place = order.consumer(of: chunk, rank: rank), let wait = waiting[place.rank] else { return }
      // A pair may wait for two results; it looks again at both.
      if wait.place == StagePlace(rank: rank, part: chunk.part) && place.rank != rank {
        waiting[place.rank] = nil
        released.append(place.rank)
      }
    }
    return released
  }

  private func end(of chunk: Chunk, at place: StagePlace) -> Instant {
    let index = forwardEnd.index(rank: place.rank, part: place.part, microBatch: chunk.microBatch)
    return chunk.pass == .forward ? forwardEnd.values[index] : backwardEnd.values[index]
  }

  private mutating func record(_ end: Instant, of chunk: Chunk, rank: Int) {
    let index = forwardEnd.index(rank: rank, part: chunk.part, microBatch: chunk.microBatch)
    if chunk.pass == .forward {
      forwardEnd.values[index] = end
    } else if chunk.pass.sendsGradient {
      backwardEnd.values[index] = end
    }
  }

  private func duration(of slot: Slot, rank: Int) -> Span {
    switch slot {
    case .chunk(let chunk): times.time(of: chunk.pass, stage: order.stage(rank: rank, part: chunk.part))
    case .overlapped(let forward, let backward):
      times.overlapped(
        order.stage(rank: rank, part: forward.part), order.stage(rank: rank, part: backward.part))
    }
  }

  func result() throws -> OrderTiming {
    let stuck = (0..<order.ranks).filter { intervals[$0].count < order.slots[$0].count }
    guard stuck.isEmpty else { throw deadlock(stuck) }
    let makespan = free.max().map(\.sinceStart) ?? .zero
    return OrderTiming(intervals: intervals, makespan: makespan, busy: busy)
  }

  private func deadlock(_ stuck: [Int]) -> Diagnostic {
    let shown = stuck.prefix(8).map { rank in
      let index = intervals[rank].count
      let cause = waiting[rank].map { wait in
        let producer = Chunk(wait.chunk.pass, part: wait.place.part, microBatch: wait.chunk.microBatch)
        return " waits for \(producer) of rank \(wait.place.rank)"
      }
      return "rank \(rank) at slot \(index), \(order.slots[rank][index])" + (cause ?? "")
    }
    let more = stuck.count > 8 ? "; and \(stuck.count - 8) more" : ""
    return Diagnostic(
      .data, "the order cannot run to its end",
      path: "ranks \(stuck.map(String.init).joined(separator: ", "))",
      found: shown.joined(separator: "; ") + more, hint: "no rank may wait for a chunk that waits for it")
  }
}
