import Programs
import Timelines
import Timing
import Units

/// Runs a verified program on a clock: lanes in order, meetings when all have arrived, links shared.
///
/// One rank of each role is simulated (see ``Programs/Roles``); the ranks it stands for do the same at the
/// same time. Events are totally ordered by time and then by the order of their scheduling, so equal inputs
/// give equal timelines.
public struct Simulator: Sendable {
  private let verified: VerifiedProgram
  private let costs: ProgramCosts
  private let laneTasks: [[[Int32]]]

  private var now: Int64 = 0
  private var queue = EventQueue()
  private var activities = Activities()
  private var heads: [[Int]]
  private var hasStarted: [[Bool]]
  private var waiting: [[Int32]]
  private var arrivals: [Int32]
  /// Activities that load a link of a role.
  private var linkUsers: [[Int]]
  private var computeTasks: [Int]
  private var wasComputing: [Bool]
  /// Roles whose communication came or went since speeds were last computed.
  private var usersChanged: [Bool]
  private var touchedRoles: [Int] = []
  private var isTouched: [Bool]
  /// Present where ranks share processors; then all that runs is in `running`.
  private let nodes: ProcessorNodes?
  private var running: [Int] = []
  private var memory: [Int64]
  private var timeline: Timeline

  public init(_ verified: VerifiedProgram, costs: ProgramCosts) {
    self.verified = verified
    self.costs = costs
    let program = verified.program
    let lanes = program.codes.map { code -> [[Int32]] in
      var lists = [[Int32]](repeating: [], count: Lane.count)
      for task in 0..<code.count { lists[code.lane[task].index].append(Int32(task)) }
      return lists
    }
    let degrees = program.codes.map { code in
      (0..<code.count).map { code.dependencyOffsets[$0 + 1] - code.dependencyOffsets[$0] }
    }
    let roles = verified.roles
    laneTasks = lanes
    heads = Array(repeating: Array(repeating: 0, count: Lane.count), count: roles.count)
    hasStarted = Array(repeating: Array(repeating: false, count: Lane.count), count: roles.count)
    waiting = roles.codeOfRole.map { degrees[Int($0)] }
    arrivals = Array(repeating: 0, count: verified.meetings.count)
    linkUsers = Array(repeating: [], count: roles.count)
    computeTasks = Array(repeating: 0, count: roles.count)
    wasComputing = Array(repeating: false, count: roles.count)
    usersChanged = Array(repeating: false, count: roles.count)
    isTouched = usersChanged
    nodes = costs.processors.map { ProcessorNodes(roles, $0) }
    memory = Array(repeating: 0, count: roles.count)
    timeline = Timeline(verified)
  }

  /// Simulates the step from its first task to its last.
  ///
  /// - Complexity: O(tasks × (log tasks + activities that share a link)).
  public static func run(_ verified: VerifiedProgram, costs: ProgramCosts) -> Timeline {
    var simulator = Simulator(verified, costs: costs)
    simulator.run()
    return simulator.timeline
  }

  private mutating func run() {
    for role in 0..<verified.roles.count {
      for lane in 0..<Lane.count { startHead(role: role, lane: lane) }
    }
    shareLinks()
    while let time = queue.nextTime {
      now = time
      while queue.nextTime == time, let event = queue.popEarliest() {
        // An activity whose speed changed has another end by now; its earlier event is void.
        if activities.end[Int(event.payload)] == time { finish(Int(event.payload)) }
      }
      shareLinks()
    }
  }

  // MARK: Starting and finishing

  private mutating func startHead(role: Int, lane: Int) {
    let codeIndex = Int(verified.roles.codeOfRole[role])
    let tasks = laneTasks[codeIndex][lane]
    let head = heads[role][lane]
    guard head < tasks.count, !hasStarted[role][lane] else { return }
    let task = Int(tasks[head])
    guard waiting[role][task] == 0 else { return }
    hasStarted[role][lane] = true
    timeline.started[role][task] = now
    let taken = verified.program.codes[codeIndex].memory[task]
    if taken > 0 {
      memory[role] += taken
      timeline.peakActivations[role] = max(timeline.peakActivations[role], memory[role])
    }
    let meeting = verified.meetings.meetingOfTask[role][task]
    if meeting < 0 {
      begin(meeting: -1, role: role, task: task)
      return
    }
    arrivals[Int(meeting)] += 1
    if Int(arrivals[Int(meeting)]) == verified.meetings.participants(of: Int(meeting)).count {
      begin(meeting: meeting, role: role, task: task)
    }
  }

  private mutating func begin(meeting: Int32, role: Int, task: Int) {
    var cost = costs.cost(role: role, task: task)
    if meeting >= 0 {
      // A meeting of unlike participants (the ends of a message on different nodes) goes at the slower one's pace.
      for index in verified.meetings.participants(of: Int(meeting)) {
        let (other, otherTask) = (Int(verified.meetings.role[index]), Int(verified.meetings.task[index]))
        timeline.began[other][otherTask] = now
        let bytes = verified.program.bytes(
          rank: Int(verified.roles.representative[other]), task: otherTask)
        timeline.sentBytes[other][otherTask] = bytes.sent
        timeline.receivedBytes[other][otherTask] = bytes.received
        let otherCost = costs.cost(role: other, task: otherTask)
        if otherCost.alone > cost.alone { cost = otherCost }
      }
      if nodes != nil { cost.processorShare = meanProcessorShare(of: meeting, alone: cost.alone) }
    } else {
      timeline.began[role][task] = now
    }
    let activity = activities.start(
      meeting: meeting, role: Int32(role), task: Int32(task), cost: cost, at: now)
    if nodes != nil { running.append(activity) }
    if meeting < 0 {
      computeTasks[role] += 1
      touch(role, usersChanged: false)
      if nodes == nil { setRate(activity, to: 1) }
      return
    }
    for index in verified.meetings.participants(of: Int(meeting)) {
      let other = Int(verified.meetings.role[index])
      linkUsers[other].append(activity)
      touch(other, usersChanged: true)
    }
  }

  /// Processor time of a rank that takes part, on average over them all: those with less to do are done sooner.
  private func meanProcessorShare(of meeting: Int32, alone: Span) -> Double {
    guard alone > .zero else { return 0 }
    var (work, ranks) = (0.0, 0.0)
    for index in verified.meetings.participants(of: Int(meeting)) {
      let role = Int(verified.meetings.role[index])
      let cost = costs.cost(role: role, task: Int(verified.meetings.task[index]))
      let count = Double(verified.roles.ranksOfRole[role])
      work += cost.alone.seconds * cost.processorShare * count
      ranks += count
    }
    return min(1, work / ranks / alone.seconds)
  }

  private mutating func finish(_ activity: Int) {
    let meeting = activities.meeting[activity]
    if nodes != nil { running.removeAll { $0 == activity } }
    if meeting < 0 {
      let role = Int(activities.role[activity])
      computeTasks[role] -= 1
      touch(role, usersChanged: false)
      activities.finish(activity)
      complete(role: role, task: Int(activities.task[activity]))
      return
    }
    activities.finish(activity)
    for index in verified.meetings.participants(of: Int(meeting)) {
      let role = Int(verified.meetings.role[index])
      linkUsers[role].removeAll { $0 == activity }
      touch(role, usersChanged: true)
    }
    for index in verified.meetings.participants(of: Int(meeting)) {
      complete(role: Int(verified.meetings.role[index]), task: Int(verified.meetings.task[index]))
    }
  }

  private mutating func complete(role: Int, task: Int) {
    let codeIndex = Int(verified.roles.codeOfRole[role])
    let lane = verified.program.codes[codeIndex].lane[task].index
    timeline.ended[role][task] = now
    memory[role] += min(0, verified.program.codes[codeIndex].memory[task])
    heads[role][lane] += 1
    hasStarted[role][lane] = false
    for dependent in verified.dependents[codeIndex][task] { waiting[role][Int(dependent)] -= 1 }
    startHead(role: role, lane: lane)
    for dependent in verified.dependents[codeIndex][task] where waiting[role][Int(dependent)] == 0 {
      startHead(role: role, lane: verified.program.codes[codeIndex].lane[Int(dependent)].index)
    }
  }

  // MARK: Speeds

  private mutating func touch(_ role: Int, usersChanged changed: Bool) {
    if changed { usersChanged[role] = true }
    if !isTouched[role] {
      isTouched[role] = true
      touchedRoles.append(role)
    }
  }

  /// Recomputes the speeds of everything that shares a link, directly or through others, with what changed.
  ///
  /// A role matters when a communication came or went, or its compute lane fell silent or woke beside one;
  /// compute that follows compute without a gap changes nothing.
  private mutating func shareLinks() {
    if let nodes { return shareProcessors(nodes) }
    var frontier: [Int] = []
    for role in touchedRoles {
      let isComputing = computeTasks[role] > 0
      if !linkUsers[role].isEmpty && (usersChanged[role] || isComputing != wasComputing[role]) {
        frontier.append(role)
      }
      wasComputing[role] = isComputing
      usersChanged[role] = false
      isTouched[role] = false
    }
    touchedRoles.removeAll(keepingCapacity: true)
    if !frontier.isEmpty { solve(component(from: frontier)) }
  }

  /// The roles that are connected to some through meetings in progress.
  private func component(from start: [Int]) -> [Int] {
    var component = start
    var next = 0
    while next < component.count {
      for user in linkUsers[component[next]] {
        for index in verified.meetings.participants(of: Int(activities.meeting[user])) {
          let other = Int(verified.meetings.role[index])
          if !component.contains(other) { component.append(other) }
        }
      }
      next += 1
    }
    return component.sorted()
  }

  private mutating func solve(_ roles: [Int]) {
    var users: [Int] = []
    for role in roles {
      for user in linkUsers[role] where !users.contains(user) { users.append(user) }
    }
    var caps = Array(repeating: 1.0, count: users.count)
    var loads: [Sharing.Load] = []
    for (index, user) in users.enumerated() {
      let cost = activities.cost[user]
      for participant in verified.meetings.participants(of: Int(activities.meeting[user])) {
        let role = Int(verified.meetings.role[participant])
        if computeTasks[role] > 0 { caps[index] = 1 / cost.slowdownBesideCompute }
        guard let place = roles.firstIndex(of: role) else { continue }
        let kind = verified.program.codes[Int(verified.roles.codeOfRole[role])].kind[
          Int(verified.meetings.task[participant])]
        cost.forEachLoad(sends: kind != .receive, receives: kind != .send) { link, share in
          loads.append(
            Sharing.Load(activity: index, link: place * Link.count + link.rawValue, share: share))
        }
      }
    }
    let speeds = Sharing.speeds(caps: caps, loads: loads, links: roles.count * Link.count)
    for (index, user) in users.enumerated() { setRate(user, to: speeds[index]) }
  }

  /// Recomputes the speeds of everything that runs: through its processors everything shares with everything.
  private mutating func shareProcessors(_ nodes: ProcessorNodes) {
    guard !touchedRoles.isEmpty else { return }
    for role in touchedRoles { isTouched[role] = false }
    touchedRoles.removeAll(keepingCapacity: true)
    let links = verified.roles.count * Link.count
    var sharing = ProcessorSharing(nodes, linkCount: links)
    for activity in running {
      let cost = activities.cost[activity]
      let meeting = activities.meeting[activity]
      guard meeting >= 0 else {
        sharing.begin(cap: 1, share: cost.processorShare)
        sharing.addRank(ofRole: Int(activities.role[activity]))
        continue
      }
      let participants = verified.meetings.participants(of: Int(meeting))
      let isBesideCompute = participants.contains { computeTasks[Int(verified.meetings.role[$0])] > 0 }
      sharing.begin(cap: isBesideCompute ? 1 / cost.slowdownBesideCompute : 1, share: cost.processorShare)
      for index in participants {
        let role = Int(verified.meetings.role[index])
        sharing.addRank(ofRole: role)
        let code = verified.program.codes[Int(verified.roles.codeOfRole[role])]
        let kind = code.kind[Int(verified.meetings.task[index])]
        cost.forEachLoad(sends: kind != .receive, receives: kind != .send) { link, share in
          sharing.addLink(role * Link.count + link.rawValue, share: share)
        }
      }
    }
    for (activity, speed) in zip(running, sharing.speeds()) { setRate(activity, to: speed) }
  }

  private mutating func setRate(_ activity: Int, to rate: Double) {
    guard let end = activities.setRate(activity, to: rate, at: now) else { return }
    queue.schedule(UInt32(activity), at: end)
  }
}
