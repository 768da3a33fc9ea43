import Programs
import Units

/// A stretch of the critical path: one task that, had it been shorter, would have let the step end sooner.
public struct CriticalTask: Hashable, Sendable {
  public var role: Int
  public var task: Int
  public var time: Span
}

extension Timeline {
  /// The chain of tasks from the start of the step to its end in which each began when the one before it
  /// ended.
  ///
  /// Where several could be blamed the first in dependency order is, so equal timelines give equal paths.
  /// - Complexity: O(length of the path × dependencies and participants of its tasks + tasks).
  public func criticalPath() -> [CriticalTask] {
    guard var (role, task) = lastTask() else { return [] }
    let previous = previousOnLane()
    var path: [CriticalTask] = []
    while true {
      path.append(
        CriticalTask(
          role: role, task: task, time: Span(picoseconds: ended[role][task] - began[role][task])))
      (role, task) = lastArrival(role, task)
      let moment = started[role][task]
      let code = program.code(ofRole: role)
      var causes = code.dependencies(of: task).map(Int.init)
      let before = previous[Int(program.roles.codeOfRole[role])][task]
      if before >= 0 { causes.append(Int(before)) }
      guard moment > 0, let cause = causes.first(where: { ended[role][$0] == moment }) else { break }
      task = cause
    }
    return path.reversed()
  }

  private func lastTask() -> (Int, Int)? {
    let end = makespan.picoseconds
    for role in ended.indices {
      if let task = ended[role].firstIndex(of: end) { return (role, task) }
    }
    return nil
  }

  /// The participant of a task's meeting that came last.
  private func lastArrival(_ role: Int, _ task: Int) -> (Int, Int) {
    let meeting = program.meetings.meetingOfTask[role][task]
    guard meeting >= 0 else { return (role, task) }
    for index in program.meetings.participants(of: Int(meeting)) {
      let (other, otherTask) = (Int(program.meetings.role[index]), Int(program.meetings.task[index]))
      if started[other][otherTask] == began[role][task] { return (other, otherTask) }
    }
    return (role, task)
  }

  /// `[code][task]`: the task before it on its lane, or -1.
  private func previousOnLane() -> [[Int32]] {
    program.program.codes.map { code in
      var last = Array(repeating: Int32(-1), count: Lane.count)
      return (0..<code.count).map { task in
        defer { last[code.lane[task].index] = Int32(task) }
        return last[code.lane[task].index]
      }
    }
  }
}
