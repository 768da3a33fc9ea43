import Traces

/// Edges between one rank's events, and the time before each that nothing explains.
struct RankOrder {
  /// `[event]`: events that it waits for, its queue's predecessor first where it has one.
  private(set) var waits: [[Int32]]
  /// Picoseconds of host time before each event; 0 where times are unknown.
  private(set) var delay: [Int64]
  /// Whether the recording itself has edges.
  let hasEdges: Bool
  /// Whether every event has a start and a duration.
  let isTimed: Bool

  /// How much after another event's end a queue's next one may begin and still be taken as having waited for it.
  ///
  /// Launching a kernel that an event held back takes a few microseconds.
  private static let proof: Int64 = 10_000_000

  init(_ rank: RankRecording, _ order: CrossQueueOrder) {
    let count = rank.count
    hasEdges = !rank.dependencies.isEmpty
    isTimed = (0..<count).allSatisfy { rank.end($0) != nil }
    waits = Array(repeating: [], count: count)
    delay = Array(repeating: 0, count: count)
    // An unnamed queue orders its events only where nothing else does.
    var queues: [Int32: [Int32]] = [:]
    for event in 0..<count where rank.stream[event] >= 0 || !hasEdges {
      queues[rank.stream[event], default: []].append(Int32(event))
    }
    for stream in queues.keys {
      if isTimed {
        queues[stream]?.sort { (rank.start[Int($0)], $0) < (rank.start[Int($1)], $1) }
      }
      for (before, after) in zip(queues[stream] ?? [], (queues[stream] ?? []).dropFirst()) {
        waits[Int(after)].append(before)
      }
    }
    if hasEdges {
      for event in 0..<count {
        for edge in rank.dependencies(of: event) where edge != Int32(event) && !waits[event].contains(edge) {
          waits[event].append(edge)
        }
      }
    } else if isTimed, queues.count > 1 {
      addCrossEdges(rank, queues, order)
    }
    if isTimed { findDelays(rank) }
  }

  private mutating func addCrossEdges(
    _ rank: RankRecording, _ queues: [Int32: [Int32]], _ order: CrossQueueOrder
  ) {
    let streams = queues.keys.sorted()
    for stream in streams {
      let own = queues[stream] ?? []
      for other in streams where other != stream {
        let list = queues[other] ?? []
        var cursor = 0
        var known = -1
        var previousEnd = Int64.min
        for event in own {
          let start = rank.start[Int(event)]
          while cursor < list.count, (rank.end(Int(list[cursor])) ?? .max) <= start { cursor += 1 }
          if cursor - 1 > known {
            let candidate = list[cursor - 1]
            let ended = rank.end(Int(candidate)) ?? 0
            let isProven = ended > previousEnd && start - ended <= Self.proof
            if order == .recorded || isProven {
              waits[Int(event)].append(candidate)
              known = cursor - 1
            }
          }
          previousEnd = rank.end(Int(event)) ?? 0
        }
      }
    }
  }

  mutating func replaceWaits(_ waits: [[Int32]]) { self.waits = waits }

  private mutating func findDelays(_ rank: RankRecording) {
    let first = (0..<rank.count).map { rank.start[$0] }.min() ?? 0
    for event in 0..<rank.count {
      // An edge to something that had not ended is no wait for its end, and leaves nothing to be explained.
      var ready = waits[event].isEmpty ? first : rank.start[event]
      let ended = waits[event].compactMap { rank.end(Int($0)) }.filter { $0 <= rank.start[event] }.max()
      if let ended { ready = ended }
      delay[event] = max(0, rank.start[event] - ready)
    }
  }
}
