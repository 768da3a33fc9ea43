import Clusters
import Programs
import Timelines
import Timing
import Traces
import Units

/// Communications of one kind and communicator, recorded against replayed; times are means over the ranks that take
/// part.
public struct ReplayedKind: Hashable, Sendable {
  public var kind: RecordedKind
  public var group: String
  public var groupSize: Int
  /// Operations of one rank, mean over ranks.
  public var operations: Double
  /// Bytes that a rank hands to others in all of them.
  public var bytesSent: Double
  public var hasBytes: Bool
  /// Waiting and transfer together.
  public var recorded: Span
  /// The shortest duration over ranks; nil where one rank alone was recorded, which may have waited all the time.
  public var recordedTransfer: Span?
  public var replayedWaiting: Span
  public var replayedTransfer: Span
}

/// Bytes over one link of a GPU, and how busy they keep it.
public struct ReplayedLink: Hashable, Sendable {
  public var rank: Int
  public var link: Link
  public var bytes: Double
  /// Share of the link's peak over the whole step.
  public var utilization: Double
}

/// Where a replayed step's time goes.
public struct ReplayReport: Sendable {
  public var step: Span
  /// From the first event of any rank to the last one's end, clocks laid beside each other; nil without times.
  public var recordedStep: Span?
  public var kinds: [ReplayedKind] = []
  /// Of one GPU, mean over ranks, `[Link]` in the order of its cases.
  public var bytesOfLink: [Double] = []
  public var busiest: [ReplayedLink] = []
  /// Mean over ranks of the time in computation, in data moving with nothing beside it, and in neither.
  public var computing = Span.zero
  public var exposed = Span.zero
  public var idle = Span.zero

  /// - Complexity: O(tasks × log tasks).
  public init(_ replay: Replay, recordedStep: Span?, busiest count: Int = 8) {
    step = replay.step
    self.recordedStep = recordedStep
    addKinds(replay)
    addLinks(replay, count)
    addShares(replay)
  }

  private mutating func addKinds(_ replay: Replay) {
    struct Key: Hashable, Comparable {
      var kind: String
      var group: String
      static func < (a: Key, b: Key) -> Bool { (a.kind, a.group) < (b.kind, b.group) }
    }
    struct Sums {
      var kind: RecordedKind
      var size = 0
      var ranks = 0.0
      var operations = 0.0
      var bytes = 0.0
      var hasBytes = true
      var recorded = 0.0
      var transfer = 0.0
      var waited = 0.0
      var moved = 0.0
    }
    let program = replay.verified.program
    var sums: [Key: Sums] = [:]
    for role in 0..<replay.verified.roles.count {
      let codeIndex = Int(replay.verified.roles.codeOfRole[role])
      let code = program.codes[codeIndex]
      let rank = Int(replay.verified.roles.representative[role])
      let weight = Double(replay.verified.roles.ranksOfRole[role])
      var seen: Set<Key> = []
      for task in 0..<code.count where code.kind[task] != .compute {
        let communicator = program.communicators[Int(code.communicator[task])]
        let kind = replay.kind(code: codeIndex, task: task)
        let key = Key(kind: kind.rawValue, group: communicator.name)
        var sum = sums[key] ?? Sums(kind: kind)
        if seen.insert(key).inserted { sum.ranks += weight }
        sum.size = max(sum.size, code.kind[task].isCollective ? communicator.group(ofRank: rank).count : 2)
        sum.operations += weight
        sum.bytes += weight * Double(replay.costs.bytes(role: role, task: task).sent)
        if !replay.imported.hasBytes[codeIndex][task] { sum.hasBytes = false }
        sum.recorded += weight * (replay.imported.durations.duration[codeIndex][task]?.seconds ?? 0)
        sum.transfer += weight * (replay.imported.transfers[codeIndex][task]?.seconds ?? 0)
        let timeline = replay.timeline
        sum.waited += weight * Double(timeline.began[role][task] - timeline.started[role][task]) * 1e-12
        sum.moved += weight * Double(timeline.ended[role][task] - timeline.began[role][task]) * 1e-12
        sums[key] = sum
      }
    }
    kinds = sums.keys.sorted().compactMap { key in
      guard let sum = sums[key], sum.ranks > 0 else { return nil }
      func mean(_ seconds: Double) -> Span { Span(modelled: seconds / sum.ranks) }
      return ReplayedKind(
        kind: sum.kind, group: key.group, groupSize: sum.size, operations: sum.operations / sum.ranks,
        bytesSent: sum.bytes / sum.ranks, hasBytes: sum.hasBytes, recorded: mean(sum.recorded),
        recordedTransfer: replay.imported.recordedRanks.count > 1 ? mean(sum.transfer) : nil,
        replayedWaiting: mean(sum.waited),
        replayedTransfer: mean(sum.moved))
    }
  }

  private mutating func addLinks(_ replay: Replay, _ count: Int) {
    bytesOfLink = Array(repeating: 0, count: Link.count)
    guard let cluster = replay.cluster, step > .zero else { return }
    let nvlink = cluster.nvlink.peak.value.value
    let card = cluster.nic.peak.value.value
    let capacity = [nvlink, nvlink, card, card]
    var links: [ReplayedLink] = []
    for role in 0..<replay.verified.roles.count {
      let code = replay.verified.code(ofRole: role)
      var bytes = Array(repeating: 0.0, count: Link.count)
      for task in 0..<code.count where code.kind[task] != .compute {
        let cost = replay.costs.cost(role: role, task: task)
        let kind = code.kind[task]
        cost.forEachLoad(sends: kind != .receive, receives: kind != .send) { link, share in
          bytes[link.rawValue] += share * cost.alone.seconds * capacity[link.rawValue]
        }
      }
      let weight = Double(replay.verified.roles.ranksOfRole[role]) / Double(replay.verified.program.ranks)
      for link in Link.allCases {
        bytesOfLink[link.rawValue] += weight * bytes[link.rawValue]
        guard bytes[link.rawValue] > 0 else { continue }
        links.append(
          ReplayedLink(
            rank: Int(replay.verified.roles.representative[role]), link: link, bytes: bytes[link.rawValue],
            utilization: bytes[link.rawValue] / (capacity[link.rawValue] * step.seconds)))
      }
    }
    busiest = Array(
      links.sorted {
        ($1.utilization, $0.rank, $0.link.rawValue) < ($0.utilization, $1.rank, $1.link.rawValue)
      }
      .prefix(count))
  }

  private mutating func addShares(_ replay: Replay) {
    let ranks = Double(replay.verified.program.ranks)
    for role in 0..<replay.verified.roles.count {
      let codeIndex = Int(replay.verified.roles.codeOfRole[role])
      let code = replay.verified.program.codes[codeIndex]
      let weight = Double(replay.verified.roles.ranksOfRole[role]) / ranks
      var compute: [(start: Int64, end: Int64)] = []
      var moved: [(start: Int64, end: Int64)] = []
      for task in 0..<code.count {
        let (began, ended) = (replay.timeline.began[role][task], replay.timeline.ended[role][task])
        // A delay stands at the front of its task; it is the host's time, not the GPU's.
        let start = min(ended, began + replay.imported.delays[codeIndex][task].picoseconds)
        let isTransfer = code.kind[task] != .compute || replay.imported.transfers[codeIndex][task] != nil
        if isTransfer { moved.append((began, ended)) } else { compute.append((start, ended)) }
      }
      let computed = IntervalSet(compute)
      let alone = IntervalSet(moved).subtracting(computed).length
      computing += computed.length.scaled(by: weight)
      exposed += alone.scaled(by: weight)
      idle += (step - computed.length - alone).scaled(by: weight)
    }
  }
}

extension Replay {
  /// The recording's own word for a communication.
  public func kind(code: Int, task: Int) -> RecordedKind {
    imported.kinds[code][task] ?? .unknown
  }
}
