import Units

/// One communication as all ranks recorded it.
public struct MatchedCommunication: Hashable, Sendable {
  /// One rank's part: its place in ``Recording/ranks`` and its event there.
  public struct Part: Hashable, Sendable {
    public var rank: Int
    public var event: Int
  }

  public var kind: CommunicationKind
  /// Index into ``Recording/groups``, or -1.
  public var group: Int32
  /// Ascending by rank; for a message the sender first. A single part where no other rank was recorded.
  public var parts: [Part]
  /// What moving the data took: the shortest of the parts' durations. Whatever longer parts took more is waiting.
  ///
  /// Nil where the recording has no times.
  public var transfer: Span?
}

/// What one rank's communications have in common with another's.
private struct GroupKey: Hashable, Comparable {
  var group: Int32
  var size: Int

  static func < (a: GroupKey, b: GroupKey) -> Bool { (a.group, a.size) < (b.group, b.size) }
}

extension Recording {
  /// Communications of all ranks, those of one operation together, in the order of the first rank that has them.
  ///
  /// Collectives are matched within their group: by sequence number where every one has its own, else n-th with n-th.
  /// Where kinds then disagree, or numbers of operations of an unnamed group do, the group's stay single. A message is
  /// matched with the receive of the same ends and tag, n-th with n-th.
  /// - Complexity: O(communications × log communications).
  public func matchedCommunications() -> [MatchedCommunication] {
    var byGroup: [GroupKey: [(rank: Int, events: [Int])]] = [:]
    var messages: [(rank: Int, event: Int)] = []
    for (index, rank) in ranks.enumerated() {
      var own: [GroupKey: [Int]] = [:]
      for event in 0..<rank.count where rank.communication[event] >= 0 {
        let communication = rank.communications[Int(rank.communication[event])]
        guard communication.kind.isCollective else {
          messages.append((index, event))
          continue
        }
        let size = communication.group >= 0 ? 0 : communication.groupSize ?? 0
        own[GroupKey(group: communication.group, size: size), default: []].append(event)
      }
      for key in own.keys.sorted() { byGroup[key, default: []].append((index, own[key] ?? [])) }
    }
    var matched: [MatchedCommunication] = []
    for key in byGroup.keys.sorted() { matched += match(byGroup[key] ?? [], key) }
    matched += match(messages)
    return matched.sorted { a, b in
      (a.parts[0].rank, a.parts[0].event) < (b.parts[0].rank, b.parts[0].event)
    }
  }

  func communication(_ part: MatchedCommunication.Part) -> RecordedCommunication {
    ranks[part.rank].communications[Int(ranks[part.rank].communication[part.event])]
  }

  private func match(_ lists: [(rank: Int, events: [Int])], _ key: GroupKey) -> [MatchedCommunication] {
    func single() -> [MatchedCommunication] {
      lists.flatMap { list in list.events.map { matched([.init(rank: list.rank, event: $0)], key.group) } }
    }
    guard lists.count > 1 else { return single() }
    if let bySequence = matchBySequence(lists, key) { return bySequence }
    if key.group < 0, lists.contains(where: { $0.events.count != lists[0].events.count }) { return single() }
    var result: [MatchedCommunication] = []
    for ordinal in 0..<(lists.map(\.events.count).max() ?? 0) {
      let parts = lists.compactMap { list -> MatchedCommunication.Part? in
        ordinal < list.events.count ? .init(rank: list.rank, event: list.events[ordinal]) : nil
      }
      guard parts.allSatisfy({ communication($0).kind.matches(communication(parts[0]).kind) }) else {
        return single()
      }
      result.append(matched(parts, key.group))
    }
    return result
  }

  private func matchBySequence(
    _ lists: [(rank: Int, events: [Int])], _ key: GroupKey
  ) -> [MatchedCommunication]? {
    var bySequence: [Int64: [MatchedCommunication.Part]] = [:]
    for list in lists {
      var seen: Set<Int64> = []
      for event in list.events {
        let part = MatchedCommunication.Part(rank: list.rank, event: event)
        guard let sequence = communication(part).sequence, seen.insert(sequence).inserted else { return nil }
        bySequence[sequence, default: []].append(part)
      }
    }
    var result: [MatchedCommunication] = []
    for sequence in bySequence.keys.sorted() {
      guard let parts = bySequence[sequence] else { continue }
      guard parts.allSatisfy({ communication($0).kind.matches(communication(parts[0]).kind) }) else {
        return nil
      }
      result.append(matched(parts, key.group))
    }
    return result
  }

  private func match(_ messages: [(rank: Int, event: Int)]) -> [MatchedCommunication] {
    struct Address: Hashable {
      var from: Int
      var to: Int32
      var tag: Int32
    }
    var receives: [Address: [MatchedCommunication.Part]] = [:]
    var cursors: [Address: Int] = [:]
    var isTaken: Set<MatchedCommunication.Part> = []
    for message in messages {
      let part = MatchedCommunication.Part(rank: message.rank, event: message.event)
      let communication = communication(part)
      guard communication.kind == .receive, let peer = communication.peer else { continue }
      let own = Int32(ranks[message.rank].rank)
      receives[Address(from: Int(peer), to: own, tag: communication.tag ?? 0), default: []].append(part)
    }
    var result: [MatchedCommunication] = []
    for message in messages {
      let part = MatchedCommunication.Part(rank: message.rank, event: message.event)
      let communication = communication(part)
      guard communication.kind == .send else { continue }
      guard let peer = communication.peer else {
        result.append(matched([part], communication.group))
        continue
      }
      let address = Address(from: ranks[message.rank].rank, to: peer, tag: communication.tag ?? 0)
      let cursor = cursors[address, default: 0]
      if let list = receives[address], cursor < list.count {
        cursors[address] = cursor + 1
        isTaken.insert(list[cursor])
        result.append(matched([part, list[cursor]], communication.group))
      } else {
        result.append(matched([part], communication.group))
      }
    }
    for message in messages {
      let part = MatchedCommunication.Part(rank: message.rank, event: message.event)
      guard communication(part).kind == .receive, !isTaken.contains(part) else { continue }
      result.append(matched([part], communication(part).group))
    }
    return result
  }

  private func matched(_ parts: [MatchedCommunication.Part], _ group: Int32) -> MatchedCommunication {
    let durations = parts.compactMap { part -> Int64? in
      let duration = ranks[part.rank].duration[part.event]
      return duration == RankRecording.unknownTime ? nil : duration
    }
    return MatchedCommunication(
      kind: communication(parts[0]).kind, group: group, parts: parts,
      transfer: durations.min().map { Span(picoseconds: $0) })
  }
}

extension CommunicationKind {
  /// Whether two ranks' words may be of one operation: even and uneven all-to-alls share a call.
  func matches(_ other: CommunicationKind) -> Bool {
    let allToAlls: [CommunicationKind] = [.allToAll, .allToAllV, .sendReceive]
    return self == other || (allToAlls.contains(self) && allToAlls.contains(other))
  }
}

/// How ranks' clocks lie to the first one's, so that their events can be laid beside each other.
public struct ClockOffsets: Hashable, Sendable {
  /// Picoseconds to add to a rank's times, `[index in Recording.ranks]`.
  public var offset: [Int64]
  /// Ranks that a common collective ties to the first; of others the file's own clock is believed.
  public var isTied: [Bool]

  /// A collective ends for all its ranks at nearly one moment; the median over all that two ranks share is taken.
  public init(_ recording: Recording, _ matched: [MatchedCommunication]) {
    let ranks = recording.ranks
    let origin = ranks.first?.origin ?? 0
    offset = ranks.map { $0.origin &- origin }
    isTied = ranks.indices.map { $0 == 0 }
    var differences: [[Int: [Int64]]] = Array(repeating: [:], count: ranks.count)
    for communication in matched where communication.kind.isCollective && communication.parts.count > 1 {
      let ends = communication.parts.compactMap { part -> (Int, Int64)? in
        ranks[part.rank].end(part.event).map { (part.rank, $0) }
      }
      guard let first = ends.first else { continue }
      for other in ends.dropFirst() {
        differences[other.0][first.0, default: []].append(clampedDifference(first.1, other.1))
        differences[first.0][other.0, default: []].append(clampedDifference(other.1, first.1))
      }
    }
    var queue = ranks.isEmpty ? [] : [0]
    var next = 0
    while next < queue.count {
      let known = queue[next]
      next += 1
      for rank in ranks.indices where !isTied[rank] {
        guard let list = differences[rank][known], !list.isEmpty else { continue }
        offset[rank] = clampedSum(offset[known], list.sorted()[list.count / 2])
        isTied[rank] = true
        queue.append(rank)
      }
    }
  }
}

extension RankRecording {
  /// When an event ended; nil without times, or where they lie further than 26 days from the origin: sums of such would
  /// not be counted in 64 bits, and no step is so long.
  public func end(_ event: Int) -> Int64? {
    let most: Int64 = 1 << 61
    guard start[event] != Self.unknownTime, duration[event] != Self.unknownTime,
      (-most...most).contains(start[event])
    else { return nil }
    let (end, overflows) = start[event].addingReportingOverflow(duration[event])
    return overflows || !(-most...most).contains(end) ? nil : end
  }
}
