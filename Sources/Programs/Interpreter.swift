/// Runs a program without a clock: the specification that simulator and executor are checked against.
///
/// A task starts when it heads its lane and its dependencies are done. Compute ends at once; a meeting ends
/// when its last participant has started. The order of completions is one of the orders that any back end may
/// produce.
public struct Interpreter: Sendable {
  private let program: Program
  private let roles: Roles
  private let meetings: Meetings
  private let dependents: [Adjacency]

  private var lanes: [[LaneQueue]]
  private var waiting: [[Int32]]
  private var arrivals: [Int32]
  private var memory: [Int64]
  /// Activation bytes at their highest, `[role]`.
  public private(set) var peakMemory: [Int64]
  /// Completed tasks in order, as (role, task).
  public private(set) var completions: [(role: Int32, task: Int32)] = []

  struct LaneQueue: Sendable {
    var tasks: [Int32] = []
    var head = 0
    var hasStarted = false
  }

  init(_ program: Program, roles: Roles, meetings: Meetings, dependents: [Adjacency]) {
    self.program = program
    self.roles = roles
    self.meetings = meetings
    self.dependents = dependents
    let queues = program.codes.map { code -> [LaneQueue] in
      var queues = Array(repeating: LaneQueue(), count: Lane.count)
      for task in 0..<code.count { queues[code.lane[task].index].tasks.append(Int32(task)) }
      return queues
    }
    let degrees = program.codes.map { code in
      (0..<code.count).map { code.dependencyOffsets[$0 + 1] - code.dependencyOffsets[$0] }
    }
    lanes = roles.codeOfRole.map { queues[Int($0)] }
    waiting = roles.codeOfRole.map { degrees[Int($0)] }
    arrivals = Array(repeating: 0, count: meetings.count)
    memory = Array(repeating: 0, count: roles.count)
    peakMemory = memory
  }

  /// A verified program's interpreter, at the start.
  public init(_ verified: VerifiedProgram) {
    self.init(
      verified.program, roles: verified.roles, meetings: verified.meetings, dependents: verified.dependents)
  }

  /// Runs to the end.
  ///
  /// - Throws: ``VerificationError/stuck(_:)`` with every lane that cannot go on.
  /// - Complexity: O(tasks + edges).
  public mutating func run() throws(VerificationError) {
    var open: [(role: Int, lane: Int)] = []
    for role in 0..<roles.count {
      for lane in 0..<Lane.count { open.append((role, lane)) }
    }
    open.reverse()
    while let (role, lane) = open.popLast() {
      try advance(role: role, lane: lane, open: &open)
    }
    let stuck = stuckTasks()
    if !stuck.isEmpty { throw .stuck(stuck) }
  }

  private mutating func advance(
    role: Int, lane: Int, open: inout [(role: Int, lane: Int)]
  ) throws(VerificationError) {
    let code = Int(roles.codeOfRole[role])
    while lanes[role][lane].head < lanes[role][lane].tasks.count {
      let task = Int(lanes[role][lane].tasks[lanes[role][lane].head])
      guard waiting[role][task] == 0, !lanes[role][lane].hasStarted else { return }
      lanes[role][lane].hasStarted = true
      memory[role] += max(0, program.codes[code].memory[task])
      peakMemory[role] = max(peakMemory[role], memory[role])
      let meeting = Int(meetings.meetingOfTask[role][task])
      if meeting < 0 {
        try complete(role: role, task: task, open: &open)
        continue
      }
      arrivals[meeting] += 1
      let participants = meetings.participants(of: meeting)
      guard Int(arrivals[meeting]) == participants.count else { return }
      for index in participants {
        let (other, otherTask) = (Int(meetings.role[index]), Int(meetings.task[index]))
        try complete(role: other, task: otherTask, open: &open)
        open.append((other, program.codes[Int(roles.codeOfRole[other])].lane[otherTask].index))
      }
    }
  }

  private mutating func complete(
    role: Int, task: Int, open: inout [(role: Int, lane: Int)]
  ) throws(VerificationError) {
    let codeIndex = Int(roles.codeOfRole[role])
    let lane = program.codes[codeIndex].lane[task].index
    lanes[role][lane].head += 1
    lanes[role][lane].hasStarted = false
    memory[role] += min(0, program.codes[codeIndex].memory[task])
    if memory[role] < 0 {
      throw .negativeMemory(
        "rank \(roles.representative[role]): \(program.describe(code: codeIndex, task: task)) "
          + "leaves \(memory[role]) bytes")
    }
    completions.append((Int32(role), Int32(task)))
    for dependent in dependents[codeIndex][task] {
      waiting[role][Int(dependent)] -= 1
      if waiting[role][Int(dependent)] == 0 {
        open.append((role, program.codes[codeIndex].lane[Int(dependent)].index))
      }
    }
  }

  /// The head of every lane that is not empty, with what it waits for; at most eight, then a count.
  private func stuckTasks() -> [String] {
    var texts: [String] = []
    for role in 0..<roles.count {
      let codeIndex = Int(roles.codeOfRole[role])
      for queue in lanes[role] where queue.head < queue.tasks.count {
        let task = Int(queue.tasks[queue.head])
        let reason: String
        if queue.hasStarted {
          reason = "waits for its group"
        } else {
          let code = program.codes[codeIndex]
          let missing = code.dependencies(of: task).filter { !isDone(role: role, task: Int($0)) }
          reason = "waits for " + missing.map { "#\($0)" }.joined(separator: ", ")
        }
        texts.append(
          "rank \(roles.representative[role]): \(program.describe(code: codeIndex, task: task)) \(reason)")
      }
    }
    return texts.count <= 8 ? texts : texts.prefix(8) + ["and \(texts.count - 8) more"]
  }

  private func isDone(role: Int, task: Int) -> Bool {
    let code = program.codes[Int(roles.codeOfRole[role])]
    let queue = lanes[role][code.lane[task].index]
    return !queue.tasks[queue.head...].contains(Int32(task))
  }
}
