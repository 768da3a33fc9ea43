import Programs

/// The lanes of one rank: which task heads each of them, and what it still waits for.
///
/// A task may start when it heads its lane and its dependencies are done, as in ``Programs/Interpreter``.
struct LaneQueues {
  private let tasks: [[TaskIndex]]
  private let degrees: [Int32]
  private let dependents: Adjacency
  private var heads: [Int]
  private var waiting: [Int32]
  private(set) var remaining: Int

  init(_ code: Code, dependents: Adjacency) {
    var tasks = [[TaskIndex]](repeating: [], count: Lane.count)
    for task in 0..<code.count { tasks[code.lane[task].index].append(TaskIndex(task)) }
    self.tasks = tasks
    degrees = (0..<code.count).map { code.dependencyOffsets[$0 + 1] - code.dependencyOffsets[$0] }
    self.dependents = dependents
    heads = Array(repeating: 0, count: Lane.count)
    waiting = degrees
    remaining = code.count
  }

  mutating func reset() {
    for lane in heads.indices { heads[lane] = 0 }
    for task in waiting.indices { waiting[task] = degrees[task] }
    remaining = degrees.count
  }

  /// The task that may run on a lane now.
  func ready(_ lane: Int) -> Int? {
    guard heads[lane] < tasks[lane].count else { return nil }
    let task = Int(tasks[lane][heads[lane]])
    return waiting[task] == 0 ? task : nil
  }

  /// - Precondition: The task heads its lane.
  mutating func complete(_ task: Int, on lane: Int) {
    heads[lane] += 1
    remaining -= 1
    for dependent in dependents[task] { waiting[Int(dependent)] -= 1 }
  }
}
