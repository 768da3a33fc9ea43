import Foundation

/// Ranks that are threads of this process.
///
/// What each rank receives depends on the order of each rank's own calls alone, not on how the threads take turns.
public final class LoopbackWorld: @unchecked Sendable {
  public let size: Int

  private enum State {
    case running
    case waiting([LoopbackOperation])
    case atBarrier(generation: Int)
    case finished
  }

  /// A receive that no message has met.
  private struct Receive {
    var operation: LoopbackOperation
    var bytes: UnsafeMutableRawBufferPointer
  }

  private struct Queue {
    var messages: [LoopbackMessage] = []
    var receives: [Receive] = []
  }

  // Everything below belongs to the lock.
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  /// `[rank]`: told when the rank may go on.
  private let conditions: UnsafeMutablePointer<pthread_cond_t>
  private var states: [State]
  private var queues: [LoopbackRoute: Queue] = [:]
  private var channels: [[[Int]]]?
  private var failure: TransportError?
  private var generation = 0
  private var arrivals = 0

  public init(ranks: Int) {
    precondition(ranks > 0, "a world has at least one rank")
    size = ranks
    states = Array(repeating: .running, count: ranks)
    conditions = .allocate(capacity: ranks)
    pthread_mutex_init(lock, nil)
    for rank in 0..<ranks { pthread_cond_init(conditions + rank, nil) }
  }

  deinit {
    // A message that nobody took and its operation hold each other.
    for queue in queues.values { for message in queue.messages { message.operation = nil } }
    for rank in 0..<size { pthread_cond_destroy(conditions + rank) }
    pthread_mutex_destroy(lock)
    conditions.deallocate()
    lock.deallocate()
  }

  /// One rank's side; ask for it once for each rank.
  public func transport(rank: Int) -> LoopbackTransport {
    precondition((0..<size).contains(rank), "the world has no rank \(rank)")
    return LoopbackTransport(rank: rank, world: self)
  }

  /// Tells the world that a rank makes no further calls, so that ranks which wait for it learn that it is in vain.
  public func finish(rank: Int) {
    locked {
      states[rank] = .finished
      findDeadlock()
    }
  }

  /// Ends all waiting, present and future, with this error, unless another came first; returns the first.
  @discardableResult
  public func fail(_ error: TransportError) -> TransportError {
    locked { stop(error) }
  }

  // MARK: Calls of the ranks' transports

  func open(channels: [[[Int]]], rank: Int) throws(TransportError) {
    try lockedThrowing { () throws(TransportError) in
      if let known = self.channels, known != channels {
        throw stop(TransportError("rank \(rank) opens other channels than the ranks before it"))
      }
      self.channels = channels
    }
  }

  func post(
    _ operation: LoopbackOperation, sending: [LoopbackRoute],
    receiving: [(LoopbackRoute, UnsafeMutableRawBufferPointer)]
  ) throws(TransportError) {
    try lockedThrowing { () throws(TransportError) in
      if let failure { throw failure }
      operation.untaken = sending.map(\.destination)
      operation.missing = receiving.map(\.0.source)
      for (route, sent) in zip(sending, operation.sent) {
        queues[route, default: Queue()].messages.append(sent.message)
        try match(route)
      }
      for (route, bytes) in receiving {
        queues[route, default: Queue()].receives.append(Receive(operation: operation, bytes: bytes))
        try match(route)
      }
    }
  }

  func isReady(_ operation: LoopbackOperation) throws(TransportError) -> Bool {
    try lockedThrowing { () throws(TransportError) in
      if let failure { throw failure }
      return operation.isReady
    }
  }

  func waitForAny(_ operations: [LoopbackOperation], rank: Int) throws(TransportError) {
    try lockedThrowing { () throws(TransportError) in
      try wait(rank: rank, state: .waiting(operations))
    }
  }

  func barrier(rank: Int) throws(TransportError) {
    try lockedThrowing { () throws(TransportError) in
      if let failure { throw failure }
      let own = generation
      arrivals += 1
      if arrivals == size {
        arrivals = 0
        generation += 1
        wakeAll()
      } else {
        try wait(rank: rank, state: .atBarrier(generation: own))
      }
    }
  }

  /// What was sent and never received, or the reverse; nil where nothing is left over.
  func leftovers() -> TransportError? {
    locked {
      let left = queues.sorted {
        ($0.key.channel, $0.key.source, $0.key.destination, $0.key.tag)
          < ($1.key.channel, $1.key.source, $1.key.destination, $1.key.tag)
      }
      guard let queue = left.first?.value else { return nil }
      let operation = queue.messages.first?.operation ?? queue.receives.first?.operation
      return TransportError(
        "all ranks have finished, but \(operation?.phrase ?? "a transfer is left"), unmatched")
    }
  }

  // MARK: Under the lock

  /// Brings the first message and the first receive of a queue together, where it has both.
  private func match(_ route: LoopbackRoute) throws(TransportError) {
    guard var queue = queues.removeValue(forKey: route) else { return }
    if let message = queue.messages.first, let receive = queue.receives.first {
      queue.messages.removeFirst()
      queue.receives.removeFirst()
      guard message.count == receive.bytes.count else {
        throw stop(
          TransportError(
            "rank \(route.source) sent \(message.count) bytes where \(receive.operation.phrase),"
              + " which expects \(receive.bytes.count)"))
      }
      receive.operation.arrived.append((message, receive.bytes))
      remove(route.source, from: &receive.operation.missing)
      wakeIfReady(receive.operation)
      if let sender = message.operation {
        message.operation = nil
        remove(route.destination, from: &sender.untaken)
        wakeIfReady(sender)
      }
    }
    if !(queue.messages.isEmpty && queue.receives.isEmpty) { queues[route] = queue }
  }

  private func remove(_ rank: Int, from ranks: inout [Int]) {
    if let index = ranks.firstIndex(of: rank) { ranks.remove(at: index) }
  }

  private func wakeIfReady(_ operation: LoopbackOperation) {
    if operation.isReady { pthread_cond_signal(conditions + operation.rank) }
  }

  private func wakeAll() {
    for rank in 0..<size { pthread_cond_signal(conditions + rank) }
  }

  private func wait(rank: Int, state: State) throws(TransportError) {
    states[rank] = state
    defer { states[rank] = .running }
    while failure == nil && !mayGoOn(rank) {
      findDeadlock()
      if failure == nil { pthread_cond_wait(conditions + rank, lock) }
    }
    if let failure { throw failure }
  }

  private func mayGoOn(_ rank: Int) -> Bool {
    switch states[rank] {
    case .running: true
    case .waiting(let operations): operations.contains { $0.isReady }
    case .atBarrier(let generation): generation != self.generation
    case .finished: false
    }
  }

  /// All ranks wait, or have finished, and none may go on: tells all of it.
  private func findDeadlock() {
    guard failure == nil, !(0..<size).contains(where: mayGoOn) else { return }
    var isWaiting = false
    let lines = (0..<size).map { rank -> String in
      switch states[rank] {
      case .running, .finished: return "rank \(rank) has finished"
      case .atBarrier:
        isWaiting = true
        return "rank \(rank) waits at a barrier"
      case .waiting(let operations):
        isWaiting = true
        let first = operations.first?.waitingFor ?? ""
        let others = operations.count > 1 ? " or for \(operations.count - 1) other transfers" : ""
        return "rank \(rank) waits \(first)\(others)"
      }
    }
    if isWaiting { stop(TransportError("deadlock: " + lines.joined(separator: "; "))) }
  }

  @discardableResult
  private func stop(_ error: TransportError) -> TransportError {
    if let failure { return failure }
    failure = error
    wakeAll()
    return error
  }

  private func locked<Value>(_ body: () -> Value) -> Value {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return body()
  }

  private func lockedThrowing<Value>(
    _ body: () throws(TransportError) -> Value
  ) throws(TransportError) -> Value {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return try body()
  }
}
