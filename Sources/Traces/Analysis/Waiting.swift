import Units

/// Communications of one kind, size and group: how long data moved, how long ranks waited, and how fast it went.
public struct TransferSummary: Hashable, Sendable {
  public var kind: CommunicationKind
  public var dataType: String?
  public var groupSize: Int?
  /// Size of one operation as nccl-tests counts it; nil unknown.
  public var size: Int64?
  /// Operations; each counts once, however many ranks recorded it.
  public var operations = 0
  /// Operations that at least two ranks recorded, so that waiting can be told from transfer.
  public var compared = 0
  /// Sums over ranks of the compared operations.
  public var recorded = Span.zero
  public var transfer = Span.zero
  /// Shortest duration of all operations, added up once each.
  public var shortest = Span.zero

  public var waiting: Span { recorded - transfer }

  /// Bytes per second of the operation's size in its shortest duration; nil without bytes or times.
  public var algorithmBandwidth: BytesPerSecond? {
    guard let size, operations > 0, shortest > .zero else { return nil }
    return BytesPerSecond(Double(size) * Double(operations) / shortest.seconds)
  }

  /// The same in bytes of the slowest link, as nccl-tests prints it.
  public var busBandwidth: BytesPerSecond? {
    guard let algorithmBandwidth, let groupSize, let factor = kind.busFactor(ranks: groupSize) else {
      return nil
    }
    return BytesPerSecond(algorithmBandwidth.value * factor)
  }
}

/// One rank among the others.
public struct RankStanding: Hashable, Sendable {
  public var rank: Int
  /// Time in communications that other ranks recorded too, beyond what their transfer took.
  public var waiting = Span.zero
  /// Collectives at which this rank came last.
  public var timesLast = 0
  public var collectives = 0
  /// What others waited in the collectives at which this rank came last, added up over them.
  public var keptOthersWaiting = Span.zero
  /// Kernels beside communication.
  public var compute = Span.zero
}

/// How many bytes members of a group got in an exchange whose parts differ.
public struct ExpertLoadSummary: Hashable, Sendable {
  public var group: Int32
  /// Exchanges that show each member's bytes.
  public var exchanges = 0
  /// Fullest member over the mean: of all exchanges together, and in the worst of them.
  public var meanImbalance = 1.0
  public var worstImbalance = 1.0
  /// Global rank of the member that is fullest over all exchanges.
  public var fullestRank: Int
}

/// What can be seen only where several ranks lie beside each other.
public struct RankComparison: Sendable {
  public var matched: [MatchedCommunication]
  public var clocks: ClockOffsets
  public var transfers: [TransferSummary]
  public var standings: [RankStanding]
  public var expertLoads: [ExpertLoadSummary]

  public init(_ recording: Recording) {
    matched = recording.matchedCommunications()
    clocks = ClockOffsets(recording, matched)
    transfers = recording.transferSummaries(matched)
    standings = recording.standings(matched)
    expertLoads = recording.expertLoads(matched)
  }

  /// Transfer's and waiting's share of all compared communication.
  public var comparedTotals: (recorded: Span, transfer: Span) {
    transfers.reduce((.zero, .zero)) { ($0.0 + $1.recorded, $0.1 + $1.transfer) }
  }
}

extension Recording {
  fileprivate func transferSummaries(_ matched: [MatchedCommunication]) -> [TransferSummary] {
    struct Key: Hashable {
      var kind: CommunicationKind
      var dataType: String?
      var groupSize: Int?
      var size: Int64?
    }
    var order: [Key] = []
    var summaries: [Key: TransferSummary] = [:]
    for operation in matched {
      let communications = operation.parts.map { communication($0) }
      let sizes = communications.compactMap(\.size)
      let key = Key(
        kind: communications.contains { $0.kind == .allToAllV } ? .allToAllV : operation.kind,
        dataType: communications.lazy.compactMap(\.dataType).first,
        groupSize: groupSize(of: operation),
        size: sizes.count == communications.count ? sizes.max() : nil)
      if summaries[key] == nil {
        order.append(key)
        summaries[key] = TransferSummary(
          kind: key.kind, dataType: key.dataType, groupSize: key.groupSize, size: key.size)
      }
      guard var summary = summaries[key] else { continue }
      summary.operations += 1
      if let shortest = operation.transfer {
        summary.shortest = Span(picoseconds: clampedSum(summary.shortest.picoseconds, shortest.picoseconds))
        let durations = operation.parts.map { ranks[$0.rank].duration[$0.event] }
        if durations.count > 1, durations.allSatisfy({ $0 != RankRecording.unknownTime }) {
          summary.compared += 1
          for duration in durations {
            summary.recorded = Span(picoseconds: clampedSum(summary.recorded.picoseconds, duration))
            summary.transfer = Span(
              picoseconds: clampedSum(summary.transfer.picoseconds, shortest.picoseconds))
          }
        }
      }
      summaries[key] = summary
    }
    return order.compactMap { summaries[$0] }.sorted { a, b in
      (a.kind.rawValue, a.dataType ?? "", a.groupSize ?? 0, a.size ?? -1)
        < (b.kind.rawValue, b.dataType ?? "", b.groupSize ?? 0, b.size ?? -1)
    }
  }

  /// Ranks of an operation's group, as far as known.
  public func groupSize(of operation: MatchedCommunication) -> Int? {
    if !operation.kind.isCollective { return 2 }
    if operation.group >= 0, let size = groups[Int(operation.group)].size { return size }
    return operation.parts.lazy.compactMap { communication($0).groupSize }.first
  }

  /// Whoever came last waited least: the one with the shortest duration, of equal ones the lowest rank.
  fileprivate func standings(_ matched: [MatchedCommunication]) -> [RankStanding] {
    var standings = ranks.map { RankStanding(rank: $0.rank) }
    for (index, rank) in ranks.enumerated() {
      for event in 0..<rank.count where rank.kind[event] == .compute {
        let duration = rank.duration[event]
        guard duration != RankRecording.unknownTime else { continue }
        standings[index].compute = Span(
          picoseconds: clampedSum(standings[index].compute.picoseconds, duration))
      }
    }
    for operation in matched where operation.parts.count > 1 && operation.kind.isCollective {
      let durations = operation.parts.map { ranks[$0.rank].duration[$0.event] }
      guard durations.allSatisfy({ $0 != RankRecording.unknownTime }), let shortest = durations.min(),
        let last = durations.firstIndex(of: shortest)
      else { continue }
      var others: Int64 = 0
      for (part, duration) in zip(operation.parts, durations) {
        standings[part.rank].collectives += 1
        let waiting = clampedDifference(duration, shortest)
        others = clampedSum(others, waiting)
        standings[part.rank].waiting = Span(
          picoseconds: clampedSum(standings[part.rank].waiting.picoseconds, waiting))
      }
      let blamed = operation.parts[last].rank
      standings[blamed].timesLast += 1
      standings[blamed].keptOthersWaiting = Span(
        picoseconds: clampedSum(standings[blamed].keptOthersWaiting.picoseconds, others))
    }
    return standings
  }

  /// From what each member got, or where only inputs are split, from what all others sent it.
  fileprivate func expertLoads(_ matched: [MatchedCommunication]) -> [ExpertLoadSummary] {
    var totals: [Int32: [Int: Double]] = [:]
    var imbalances: [Int32: [Double]] = [:]
    for operation in matched where [.allToAll, .allToAllV, .dispatch].contains(operation.kind) {
      guard operation.parts.count > 1 else { continue }
      var received: [(rank: Int, bytes: Double)] = []
      for part in operation.parts {
        let communication = communication(part)
        guard let bytes = communication.outputBytes else { continue }
        received.append((ranks[part.rank].rank, Double(bytes)))
      }
      guard received.count == operation.parts.count else { continue }
      let mean = received.reduce(0) { $0 + $1.bytes } / Double(received.count)
      guard mean > 0, Set(received.map(\.bytes)).count > 1 else { continue }
      imbalances[operation.group, default: []].append((received.map(\.bytes).max() ?? 0) / mean)
      for (rank, bytes) in received { totals[operation.group, default: [:]][rank, default: 0] += bytes }
    }
    return imbalances.keys.sorted().compactMap { group in
      guard let list = imbalances[group], let loads = totals[group] else { return nil }
      let ranks = loads.keys.sorted()
      let mean = ranks.reduce(0) { $0 + (loads[$1] ?? 0) } / Double(ranks.count)
      guard let fullest = ranks.max(by: { (loads[$0] ?? 0, -$0) < (loads[$1] ?? 0, -$1) }) else { return nil }
      return ExpertLoadSummary(
        group: group, exchanges: list.count, meanImbalance: (loads[fullest] ?? 0) / mean,
        worstImbalance: list.max() ?? 1, fullestRank: fullest)
    }
  }
}
