/// What one rank's tasks of one step did, as columns `[task]`.
struct TaskRecord {
  /// Nanoseconds of the machine's clock.
  var started: [Int64]
  var ended: [Int64]
  /// Nanoseconds of processor time: of a communication task, what its calls took, waiting not included.
  var processor: [Int64]
  /// Bytes to and from other ranks, as the transport counted them.
  var sent: [Int64]
  var received: [Int64]

  init(tasks: Int) {
    started = Array(repeating: 0, count: tasks)
    ended = started
    processor = started
    sent = started
    received = started
  }

  /// A task starts now, and has moved nothing yet.
  mutating func begin(_ task: Int) {
    started[task] = monotonicNanoseconds()
    processor[task] = 0
    sent[task] = 0
    received[task] = 0
  }
}
