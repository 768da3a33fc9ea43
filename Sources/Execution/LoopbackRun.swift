import Foundation

extension LoopbackWorld {
  /// Runs a body for each rank of a new world, each on a thread of its own, and waits for all.
  ///
  /// Where a rank throws, the others get a ``TransportError`` from their next call, and the first error is thrown here;
  /// so is a message that nobody received. Nothing of the calling task reaches the threads: in a test, hand values back
  /// and compare them outside.
  /// - Parameter stackBytes: Address space for each rank's stack.
  /// - Returns: `[rank]`: what the bodies returned.
  @discardableResult
  public static func run<Value: Sendable>(
    ranks: Int, stackBytes: Int = 64 << 20, _ body: @escaping @Sendable (LoopbackTransport) throws -> Value
  ) throws -> [Value] {
    let world = LoopbackWorld(ranks: ranks)
    let outcomes = Outcomes<Value>(ranks: ranks)
    for rank in 0..<ranks {
      let thread = Thread {
        let transport = world.transport(rank: rank)
        do {
          outcomes.finish(rank, .success(try body(transport)))
        } catch {
          let reason = (error as? TransportError)?.description ?? "\(error)"
          outcomes.finish(rank, .failure(error))
          world.fail(TransportError("rank \(rank) failed: \(reason)"))
        }
        world.finish(rank: rank)
        outcomes.leave()
      }
      thread.name = "rank \(rank)"
      thread.stackSize = stackBytes
      thread.start()
    }
    let values = try outcomes.wait()
    if let leftovers = world.leftovers() { throw leftovers }
    return values
  }
}

/// What came of each rank's body.
private final class Outcomes<Value: Sendable>: @unchecked Sendable {
  private let condition = NSCondition()
  private var values: [Value?]
  private var firstError: (any Error)?
  private var running: Int

  init(ranks: Int) {
    values = Array(repeating: nil, count: ranks)
    running = ranks
  }

  func finish(_ rank: Int, _ result: Result<Value, any Error>) {
    condition.lock()
    defer { condition.unlock() }
    switch result {
    case .success(let value): values[rank] = value
    case .failure(let error): if firstError == nil { firstError = error }
    }
  }

  func leave() {
    condition.lock()
    running -= 1
    condition.signal()
    condition.unlock()
  }

  func wait() throws -> [Value] {
    condition.lock()
    defer { condition.unlock() }
    while running > 0 { condition.wait() }
    if let firstError { throw firstError }
    return values.compactMap { $0 }
  }
}
