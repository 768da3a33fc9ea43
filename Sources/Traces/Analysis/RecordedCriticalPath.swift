import Units

/// One stretch of the chain of events that kept a recorded job busy to its end.
public struct CriticalEvent: Hashable, Sendable {
  /// What the job did in the stretch.
  public enum Part: String, CaseIterable, Sendable {
    case compute
    case memory
    /// Communication after its last rank had come.
    case transfer
    /// No event of the rank ran: the host had not launched the next one.
    case host
  }

  /// Place in ``Recording/ranks``.
  public var rank: Int
  /// Of the rank; -1 for ``Part/host``.
  public var event: Int
  public var part: Part
  public var time: Span
}

extension Recording {
  /// Back from the last event of all: through a collective to the rank that came to it last, else to what ended last
  /// before on the same rank.
  ///
  /// Ranks' clocks are laid beside each other first. Explicit dependencies go before what only ended earlier. A stretch
  /// within which nothing ran is the host's.
  /// - Complexity: O(events × log events).
  public func criticalPath(_ comparison: RankComparison) -> [CriticalEvent] {
    var operationOfPart: [MatchedCommunication.Part: Int] = [:]
    for (index, operation) in comparison.matched.enumerated() where operation.parts.count > 1 {
      for part in operation.parts { operationOfPart[part] = index }
    }
    let offsets = comparison.clocks.offset
    // Events of a rank by their end, for "what ended last before".
    let byEnd = ranks.map { rank in
      (0..<rank.count).filter { rank.end($0) != nil }.sorted {
        (rank.end($0) ?? 0, $0) < (rank.end($1) ?? 0, $1)
      }
    }
    var current: (rank: Int, event: Int)?
    var latest = Int64.min
    for (index, list) in byEnd.enumerated() {
      guard let event = list.last, let end = ranks[index].end(event) else { continue }
      let moment = clampedSum(end, offsets[index])
      if moment > latest {
        latest = moment
        current = (index, event)
      }
    }
    var path: [CriticalEvent] = []
    var limit = ranks.reduce(0) { $0 + $1.count } * 2
    var time = latest
    while var (rank, event) = current, limit > 0 {
      limit -= 1
      var began = clampedSum(ranks[rank].start[event], offsets[rank])
      if let operation = operationOfPart[.init(rank: rank, event: event)] {
        // The one that came last is the one that everybody waited for.
        let parts = comparison.matched[operation].parts.filter {
          ranks[$0.rank].start[$0.event] != RankRecording.unknownTime && comparison.clocks.isTied[$0.rank]
        }
        let arrivals = parts.map { clampedSum(ranks[$0.rank].start[$0.event], offsets[$0.rank]) }
        if let last = arrivals.indices.max(by: { (arrivals[$0], -$0) < (arrivals[$1], -$1) }),
          arrivals[last] > began, arrivals[last] <= time
        {
          (rank, event) = (parts[last].rank, parts[last].event)
          began = arrivals[last]
        }
      }
      let part: CriticalEvent.Part
      switch ranks[rank].kind[event] {
      case .compute: part = .compute
      case .memory: part = .memory
      case .communication: part = .transfer
      }
      path.append(
        CriticalEvent(
          rank: rank, event: event, part: part,
          time: Span(picoseconds: max(0, clampedDifference(time, began)))))
      time = min(time, began)
      guard let before = predecessor(rank, event, byEnd[rank]), let end = ranks[rank].end(before) else {
        break
      }
      let ended = min(time, clampedSum(end, offsets[rank]))
      if ended < time {
        path.append(
          CriticalEvent(
            rank: rank, event: -1, part: .host, time: Span(picoseconds: clampedDifference(time, ended))))
      }
      time = ended
      current = (rank, before)
    }
    return path.reversed()
  }

  private func predecessor(_ rank: Int, _ event: Int, _ byEnd: [Int]) -> Int? {
    let recording = ranks[rank]
    let start = recording.start[event]
    let explicit = recording.dependencies(of: event).map(Int.init)
      .filter { (recording.end($0) ?? .max) <= start && $0 != event }
      .max { (recording.end($0) ?? 0) < (recording.end($1) ?? 0) }
    // The last of those that ended by the start.
    var (low, high) = (0, byEnd.count)
    while low < high {
      let middle = (low + high) / 2
      if (recording.end(byEnd[middle]) ?? .max) <= start { low = middle + 1 } else { high = middle }
    }
    var index = low - 1
    while index >= 0, byEnd[index] == event { index -= 1 }
    let ended = index >= 0 ? byEnd[index] : nil
    guard let explicit else { return ended }
    guard let ended, let end = recording.end(ended), let own = recording.end(explicit) else {
      return explicit
    }
    return own >= end ? explicit : ended
  }
}

/// A critical path's time by what it was spent on, and by rank.
public struct CriticalPathSummary: Hashable, Sendable {
  public var total = Span.zero
  /// `[CriticalEvent.Part]` in the order of its cases.
  public var byPart: [Span]
  /// `[index in Recording.ranks]`.
  public var byRank: [Span]
  /// Changes of rank on the way.
  public var handovers = 0

  public init(_ path: [CriticalEvent], ranks: Int) {
    byPart = CriticalEvent.Part.allCases.map { _ in .zero }
    byRank = Array(repeating: .zero, count: ranks)
    for (index, stretch) in path.enumerated() {
      total = Span(picoseconds: clampedSum(total.picoseconds, stretch.time.picoseconds))
      byRank[stretch.rank] = Span(
        picoseconds: clampedSum(byRank[stretch.rank].picoseconds, stretch.time.picoseconds))
      if let part = CriticalEvent.Part.allCases.firstIndex(of: stretch.part) {
        byPart[part] = Span(picoseconds: clampedSum(byPart[part].picoseconds, stretch.time.picoseconds))
      }
      if index > 0, path[index - 1].rank != stretch.rank { handovers += 1 }
    }
  }
}
