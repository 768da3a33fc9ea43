import Timing

/// Work in progress: a compute task or a meeting that has begun, each with what is left of it and how fast it
/// goes.
///
/// Columns indexed by activity; finished activities are reused. `remaining` counts picoseconds at full speed.
struct Activities: Sendable {
  private(set) var remaining: [Double] = []
  private(set) var rate: [Double] = []
  private(set) var updated: [Int64] = []
  private(set) var cost: [Cost] = []
  /// A meeting, or -1 for compute.
  private(set) var meeting: [Int32] = []
  private(set) var role: [Int32] = []
  private(set) var task: [Int32] = []
  /// When it will have ended at its present speed; `Int64.max` where it stands still or is over.
  private(set) var end: [Int64] = []
  private var free: [Int32] = []

  mutating func start(meeting: Int32, role: Int32, task: Int32, cost: Cost, at now: Int64) -> Int {
    let index: Int
    if let reused = free.popLast() {
      index = Int(reused)
      remaining[index] = Double(cost.alone.picoseconds)
      rate[index] = 0
      updated[index] = now
      self.cost[index] = cost
      self.meeting[index] = meeting
      self.role[index] = role
      self.task[index] = task
      end[index] = .max
    } else {
      index = remaining.count
      remaining.append(Double(cost.alone.picoseconds))
      rate.append(0)
      updated.append(now)
      self.cost.append(cost)
      self.meeting.append(meeting)
      self.role.append(role)
      self.task.append(task)
      end.append(.max)
    }
    return index
  }

  mutating func finish(_ index: Int) {
    end[index] = .max
    free.append(Int32(index))
  }

  /// Changes the speed of an activity and returns when it now ends, or nil where the speed stays.
  mutating func setRate(_ index: Int, to newRate: Double, at now: Int64) -> Int64? {
    if rate[index] == newRate { return nil }
    remaining[index] = max(0, remaining[index] - rate[index] * Double(now - updated[index]))
    updated[index] = now
    rate[index] = newRate
    end[index] = now + Int64((remaining[index] / newRate).rounded(.toNearestOrEven))
    return end[index]
  }
}
