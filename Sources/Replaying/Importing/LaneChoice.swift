import Programs
import Traces

/// The lanes of one rank's queues: queues that run beside each other do not share one, as far as lanes reach.
struct LaneChoice {
  /// Of each event, `[event]`.
  private(set) var lane: [Lane]
  /// Queues that share a lane with another for want of lanes.
  private(set) var crowded = 0

  private struct Queue: Hashable, Comparable {
    var role: Int
    var stream: Int32

    static func < (a: Queue, b: Queue) -> Bool { (a.role, a.stream) < (b.role, b.stream) }
  }

  /// - Parameter isBuffered: Sends do not hold up what follows, so they have lanes of their own.
  init(_ rank: RankRecording, isBuffered: Bool) {
    func queue(_ event: Int) -> Queue {
      guard rank.communication[event] >= 0 else { return Queue(role: 0, stream: rank.stream[event]) }
      switch rank.communications[Int(rank.communication[event])].kind {
      case .send: return Queue(role: 2, stream: rank.stream[event])
      case .receive: return Queue(role: 3, stream: rank.stream[event])
      default: return Queue(role: 1, stream: rank.stream[event])
      }
    }
    var counts: [Queue: Int] = [:]
    for event in 0..<rank.count { counts[queue(event), default: 0] += 1 }
    // The busiest queue of computation gets the compute lane, those of communication the two after it.
    let order = counts.keys.sorted { a, b in
      (a.role, -(counts[a] ?? 0), a) < (b.role, -(counts[b] ?? 0), b)
    }
    var choices: [Queue: Lane] = [:]
    var free = Array(Lane.all)
    func take(_ wished: [Lane]) -> Lane? {
      for lane in wished {
        if let index = free.firstIndex(of: lane) { return free.remove(at: index) }
      }
      return nil
    }
    let all = Array(Lane.all)
    let preferred: [[Lane]] = [
      [all[0]] + all.reversed(), [all[1], all[2]] + all.dropFirst(3),
      all.filter { $0.rawValue >= 7 } + all.reversed(),
      all.filter { (3..<7).contains($0.rawValue) } + all.reversed(),
    ]
    for queue in order {
      if let lane = take(preferred[queue.role].filter { $0 != .compute || queue.role == 0 }) {
        choices[queue] = lane
      } else {
        crowded += 1
        choices[queue] = preferred[queue.role][preferred[queue.role].count / 2]
      }
    }
    lane = (0..<rank.count).map { choices[queue($0)] ?? .compute }
  }
}
