import Programs
import Timing

@testable import Simulation

/// Ends of all tasks by relaxation until nothing moves: right where nothing is shared.
func relaxedEnds(_ verified: VerifiedProgram, _ costs: ProgramCosts) -> [[Int64]] {
  let roles = 0..<verified.roles.count
  var started = roles.map { Array(repeating: Int64(0), count: verified.code(ofRole: $0).count) }
  var ended = started
  var hasMoved = true
  while hasMoved {
    hasMoved = false
    for role in roles {
      let code = verified.code(ofRole: role)
      for task in 0..<code.count {
        var start = code.dependencies(of: task).map { ended[role][Int($0)] }.max() ?? 0
        if let before = (0..<task).last(where: { code.lane[$0] == code.lane[task] }) {
          start = max(start, ended[role][before])
        }
        started[role][task] = start
        var participants = [(role, task)]
        let meeting = Int(verified.meetings.meetingOfTask[role][task])
        if meeting >= 0 {
          participants = verified.meetings.participants(of: meeting).map {
            (Int(verified.meetings.role[$0]), Int(verified.meetings.task[$0]))
          }
        }
        let begin = participants.map { started[$0][$1] }.max()!
        let length = participants.map { costs.cost(role: $0, task: $1).alone }
          .max()!
        if ended[role][task] != begin + length.picoseconds {
          ended[role][task] = begin + length.picoseconds
          hasMoved = true
        }
      }
    }
  }
  return ended
}

/// Ends of all tasks by going from one completion to the next and weighing up everything that runs each time.
///
/// Participants of a meeting must cost alike.
func steppedEnds(_ verified: VerifiedProgram, _ costs: ProgramCosts) -> [[Double]] {
  let roles = 0..<verified.roles.count
  var ended = roles.map { Array(repeating: Double.nan, count: verified.code(ofRole: $0).count) }
  struct Running {
    var members: [(role: Int, task: Int)]
    var cost: Cost
    var left: Double
  }
  var running: [Running] = []
  var now = 0.0
  func isOpen(_ role: Int, _ task: Int) -> Bool {
    let code = verified.code(ofRole: role)
    return code.dependencies(of: task).allSatisfy { !ended[role][Int($0)].isNaN }
      && (0..<task).allSatisfy { code.lane[$0] != code.lane[task] || !ended[role][$0].isNaN }
  }
  while true {
    for role in roles {
      for task in ended[role].indices where ended[role][task].isNaN && isOpen(role, task) {
        if running.contains(where: { $0.members.contains { $0 == (role, task) } }) { continue }
        let meeting = Int(verified.meetings.meetingOfTask[role][task])
        let members =
          meeting < 0
          ? [(role: role, task: task)]
          : verified.meetings.participants(of: meeting).map {
            (role: Int(verified.meetings.role[$0]), task: Int(verified.meetings.task[$0]))
          }
        guard members.allSatisfy({ isOpen($0.role, $0.task) }) else { continue }
        let cost = costs.cost(role: role, task: task)
        running.append(Running(members: members, cost: cost, left: Double(cost.alone.picoseconds)))
      }
    }
    if running.isEmpty { return ended }
    let computing = roles.map { role in
      running.contains {
        $0.members[0].role == role && verified.code(ofRole: role).kind[$0.members[0].task] == .compute
      }
    }
    var loads: [Sharing.Load] = []
    let caps = running.enumerated().map { index, activity -> Double in
      if verified.code(ofRole: activity.members[0].role).kind[activity.members[0].task] == .compute {
        return 1
      }
      for member in activity.members {
        let kind = verified.code(ofRole: member.role).kind[member.task]
        activity.cost.forEachLoad(sends: kind != .receive, receives: kind != .send) { link, share in
          loads.append(.init(activity: index, link: member.role * Link.count + link.rawValue, share: share))
        }
      }
      return activity.members.contains { computing[$0.role] } ? 1 / activity.cost.slowdownBesideCompute : 1
    }
    let speeds =
      costs.processors.map { processors in
        let ranks = running.map { activity in
          activity.members.map { verified.roles.roleOfRank.indices(of: Int32($0.role)) }
        }
        return threadSpeeds(
          caps: caps, shares: running.map(\.cost.processorShare), ranks: ranks, loads: loads,
          links: roles.count * Link.count, processors)
      } ?? filledSpeeds(caps: caps, loads: loads, links: roles.count * Link.count)
    let step = running.indices.map { running[$0].left / speeds[$0] }.min()!
    now += step
    for index in running.indices { running[index].left -= step * speeds[index] }
    for activity in running where activity.left < 1e-3 {
      for member in activity.members { ended[member.role][member.task] = now }
    }
    running.removeAll { $0.left < 1e-3 }
  }
}

/// Max-min fair speeds by raising all that can still rise, found by halving intervals.
func filledSpeeds(caps: [Double], loads: [Sharing.Load], links: Int) -> [Double] {
  var speeds = Array(repeating: 0.0, count: caps.count)
  var isFixed = Array(repeating: false, count: caps.count)
  func fits(_ level: Double) -> Bool {
    var used = Array(repeating: 0.0, count: links)
    for load in loads {
      used[load.link] +=
        load.share * (isFixed[load.activity] ? speeds[load.activity] : min(level, caps[load.activity]))
    }
    return used.allSatisfy { $0 <= 1 + 1e-12 }
  }
  while isFixed.contains(false) {
    var (low, high) = (0.0, 1.0)
    if fits(1) {
      low = 1
    } else {
      for _ in 0..<60 {
        let middle = (low + high) / 2
        if fits(middle) { low = middle } else { high = middle }
      }
    }
    var used = Array(repeating: 0.0, count: links)
    for load in loads {
      used[load.link] +=
        load.share * (isFixed[load.activity] ? speeds[load.activity] : min(low, caps[load.activity]))
    }
    var stops = (0..<caps.count).map { !isFixed[$0] && (caps[$0] <= low + 1e-10 || low == 1) }
    for load in loads where !isFixed[load.activity] && used[load.link] > 1 - 1e-9 {
      stops[load.activity] = true
    }
    for index in caps.indices where stops[index] {
      speeds[index] = min(low, caps[index])
      isFixed[index] = true
    }
  }
  return speeds
}

extension [Int32] {
  func indices(of value: Int32) -> [Int] { indices.filter { self[$0] == value } }
}

/// Speeds where every rank is a thread on its node's processors: each rank and each node is a link of its own, whatever
/// role stands for how many.
func threadSpeeds(
  caps: [Double], shares: [Double], ranks: [[[Int]]], loads: [Sharing.Load], links: Int,
  _ processors: SharedProcessors
) -> [Double] {
  // Processor time is what is divided equally: speeds are measured in it.
  let unit = shares.map { $0 > 0 ? $0 : 1 }
  let count = 1 + (ranks.flatMap { $0 }.flatMap { $0 }.max() ?? 0)
  var all = loads.map {
    Sharing.Load(activity: $0.activity, link: $0.link, share: $0.share / unit[$0.activity])
  }
  for (activity, members) in ranks.enumerated() where shares[activity] > 0 {
    for rank in members.flatMap({ $0 }) {
      all.append(.init(activity: activity, link: links + rank, share: 1))
      all.append(
        .init(
          activity: activity, link: links + count + rank / processors.ranksPerNode,
          share: 1 / Double(processors.processorsPerNode)))
    }
  }
  let speeds = filledSpeeds(caps: zip(caps, unit).map(*), loads: all, links: links + 2 * count)
  return zip(speeds, unit).map(/)
}
