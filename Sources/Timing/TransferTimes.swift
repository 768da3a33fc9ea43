import Clusters
import Operators
import Programs
import Units

/// What messages and collectives cost ranks on shared processors, each alone.
///
/// Collectives are made of all-to-alls, as the executor makes them: a reduce-scatter hands every member its shard and
/// adds up what came, an all-gather hands every member the own shard, an all-reduce is both. A dispatch to places
/// unknown is preceded by the counts. Each rank works with its processor all the time that it takes part; what it
/// waits for others is no part of the cost.
public struct TransferTimes: Sendable {
  private let processor: GPU
  private let transport: ProcessorTransport?

  /// - Parameter ranks: Of the machine; where they outnumber its processors, waiting is another matter.
  public init(_ processor: GPU, _ host: Host, ranks: Int) {
    self.processor = processor
    transport =
      ranks > host.processors.value ? host.crowdedTransport ?? host.transport : host.transport
  }

  /// - Parameters:
  ///   - moved: Bytes that the rank hands over and gets, together.
  ///   - ranks: Members of the group.
  ///   - layoutIsKnown: Of a dispatch or combine.
  /// - Throws: ``UntimedKernel`` where no transport was measured.
  public func cost(
    _ kind: TaskKind, moved: Int64, ranks: Int, layoutIsKnown: Bool
  ) throws(UntimedKernel) -> Cost {
    guard let transport else {
      throw UntimedKernel(gpu: processor.name, kernel: "transfer between ranks")
    }
    switch kind {
    case .compute: return .free
    case .send, .receive:
      let (time, share) = transport.message(moved)
      return Cost(alone: time, processorShare: share)
    default: break
    }
    guard ranks > 1 else { return .free }
    // Half of what is moved goes out, to each of the others alike.
    let pair = Double(moved) / 2 / Double(ranks - 1)
    var alone: Span
    switch kind {
    case .allReduce:
      // The scattering moves as much as the gathering.
      alone = transport.allToAll(ranks: ranks, bytes: pair / 2) * 2 + (try addition(pair / 2, ranks: ranks))
    case .reduceScatter:
      alone = transport.allToAll(ranks: ranks, bytes: pair) + (try addition(pair, ranks: ranks))
    case .dispatch where !layoutIsKnown:
      let counts = transport.allToAll(ranks: ranks, bytes: Double(Exchange.countBytes))
      alone = counts + transport.allToAll(ranks: ranks, bytes: pair) + (try packing(pair, ranks: ranks))
    case .dispatch, .combine:
      alone = transport.allToAll(ranks: ranks, bytes: pair) + (try packing(pair, ranks: ranks))
    default: alone = transport.allToAll(ranks: ranks, bytes: pair)
    }
    return Cost(alone: min(alone, .longestTask), processorShare: 1)
  }

  /// The shards of all members are added up.
  private func addition(_ shard: Double, ranks: Int) throws(UntimedKernel) -> Span {
    try KernelTimes(processor).duration(
      of: .memoryPass(MemoryPass(bytesRead: shard * Double(ranks), bytesWritten: shard)))
  }

  /// Rows are put in the order in which they are sent, and those that came where they belong; own rows too.
  private func packing(_ pair: Double, ranks: Int) throws(UntimedKernel) -> Span {
    let bytes = 2 * pair * Double(ranks)
    return try KernelTimes(processor).duration(
      of: .memoryPass(MemoryPass(bytesRead: bytes, bytesWritten: bytes)))
  }
}
