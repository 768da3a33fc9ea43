import Clusters
import Networks
import Units

/// One dispatch or combine of DeepEP's low-latency kernels alone.
///
/// Every choice of an expert is a message to its GPU, without sharing of copies and without NVLink: rows for other GPUs
/// of the own node go over the cards too. Rows for the own GPU are copied in its memory. All messages between two GPUs
/// are one flow. A dispatch leaves evenly and lands unevenly, as experts were chosen; a combine the other way round.
///
/// Source: DeepEP, `csrc/kernels/internode_ll.cu` and `tests/test_low_latency.py` at the first release.
public struct LowLatencyStudy: Sendable {
  /// From the beginning until a member has sent and received all, on average over members; what the benchmark prints is
  /// one member's.
  public let latency: Span
  /// Of the last member.
  public let last: Span
  /// Bytes of all choices of a member, its own GPU's included.
  public let logicalBytes: Double
  /// Those that cards carry.
  public let physicalBytes: Double
  /// How much of the last member's time cards are busy.
  public let meanUse: Ratio
  public let fullestUse: Ratio
  public let flows: Int

  /// What the benchmark prints.
  public var logicalBandwidth: BytesPerSecond { BytesPerSecond(logicalBytes / latency.seconds) }
  public var physicalBandwidth: BytesPerSecond { BytesPerSecond(physicalBytes / latency.seconds) }

  /// - Parameters:
  ///   - choices: Experts that each member's tokens chose, `[member, token, topK]`.
  ///   - card: Bytes per second that the kernel gets of a card in each direction.
  ///   - wire: The network's latency, until the first byte arrives.
  ///   - isCombine: Rows go back instead of out.
  /// - Throws: `NetworkError` for a rate that is not positive.
  /// - Precondition: `members` divides the experts and the choices.
  public init(
    choices: [Int32], experts: Int, members: Int, rowBytes: Int64, card: BytesPerSecond, wire: Span,
    isCombine: Bool, accuracy: Accuracy = .standard
  ) throws(NetworkError) {
    var links = LinkTable()
    for member in 0..<members { try links.add("card out of \(member)", capacity: card, latency: wire) }
    for member in 0..<members { try links.add("card into \(member)", capacity: card) }
    let perMember = choices.count / members
    let perRank = experts / members
    var routes = RouteTable()
    var transfers = Transfers()
    var ends: [(Int, Int)] = []
    for source in 0..<members {
      var rows = Array(repeating: Int64(0), count: members)
      for choice in choices[source * perMember..<(source + 1) * perMember] {
        rows[Int(choice) / perRank] += 1
      }
      for target in 0..<members where target != source && rows[target] > 0 {
        let (from, to) = isCombine ? (target, source) : (source, target)
        try transfers.add(
          try routes.add([LinkID(from), LinkID(members + to)], of: links), Bytes(rows[target] * rowBytes))
        ends.append((from, to))
      }
    }
    let times = try transfers.run(on: links, routes, accuracy: accuracy)
    var done = Array(repeating: 0.0, count: members)
    for (flow, end) in ends.enumerated() {
      let seconds = times.ended[flow].sinceStart.seconds
      done[end.0] = max(done[end.0], seconds)
      done[end.1] = max(done[end.1], seconds)
    }
    latency = Span(modelled: done.reduce(0, +) / Double(members))
    last = times.makespan
    flows = transfers.count
    logicalBytes = Double(perMember) * Double(rowBytes)
    let carried = times.carried.map { Double($0.count) }
    physicalBytes = carried[..<members].reduce(0, +) / Double(members)
    let most = card.value * max(last.seconds, 1e-15)
    meanUse = Ratio(carried.reduce(0, +) / Double(2 * members) / most)
    fullestUse = Ratio((carried.max() ?? 0) / most)
  }
}
