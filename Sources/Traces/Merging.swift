/// Joins the recordings of single ranks into that of the job.
///
/// Groups with the same ranks are one; a group whose ranks are unknown is one with those of the same name and size. A
/// rank that two files claim is kept twice and noted.
func merge(_ recordings: [Recording]) -> Recording {
  guard let first = recordings.first else { return Recording(.kineto) }
  guard recordings.count > 1 else { return first }
  var merged = Recording(first.format)
  merged.worldSize = recordings.compactMap(\.worldSize).max()
  // Files of the ranks 0 to n - 1 are taken for all ranks, where none says how many there are.
  let given = Set(recordings.flatMap { $0.ranks.map(\.rank) })
  let isWhole = merged.worldSize == nil && given.min() == 0 && given.max() == given.count - 1
  let all = isWhole ? (0..<Int32(given.count)).map { $0 } : []
  var isAssumed = false
  var groupIndex: [GroupIdentity: Int32] = [:]
  for var recording in recordings {
    if isWhole {
      for group in recording.groups.indices
      where recording.groups[group].ranks == nil && recording.groups[group].size == given.count {
        recording.groups[group].ranks = all
        isAssumed = true
      }
    }
    let indices = recording.groups.map { group in
      let identity = GroupIdentity(group)
      if let known = groupIndex[identity] { return known }
      groupIndex[identity] = Int32(merged.groups.count)
      merged.groups.append(group)
      return Int32(merged.groups.count - 1)
    }
    for rank in recording.ranks.indices {
      for index in recording.ranks[rank].communications.indices {
        let group = recording.ranks[rank].communications[index].group
        if group >= 0 { recording.ranks[rank].communications[index].group = indices[Int(group)] }
      }
    }
    merged.ranks += recording.ranks
    merged.omissions += recording.omissions
    for note in recording.notes {
      let named =
        recordings.count > 1 && !recording.ranks.isEmpty ? "rank \(recording.ranks[0].rank): \(note)" : note
      merged.notes.append(named)
    }
  }
  if isAssumed {
    merged.notes.append("groups of \(given.count) ranks are taken for all ranks that files were given of")
  }
  merged.ranks.sort { ($0.rank, $0.file) < ($1.rank, $1.file) }
  for (rank, next) in zip(merged.ranks, merged.ranks.dropFirst()) where rank.rank == next.rank {
    merged.notes.append("\(rank.file) and \(next.file) both say that they are rank \(rank.rank)")
  }
  merged.shareOrigin()
  return merged
}

private struct GroupIdentity: Hashable {
  var name: String
  var ranks: [Int32]?
  var size: Int?

  init(_ group: ProcessGroup) {
    ranks = group.ranks
    // Old files name groups by addresses, which differ from rank to rank.
    name = group.ranks == nil ? group.name : ""
    size = group.size
  }
}

extension Recording {
  /// Counts all ranks' times from one origin, if their recordings overlap; notes it where they do not.
  mutating func shareOrigin() {
    guard let reference = ranks.first?.origin, ranks.count > 1 else { return }
    // Origins are known modulo 64 bits; their differences are exact up to a hundred days.
    let offsets = ranks.map { $0.origin &- reference }
    let ends = zip(ranks, offsets).map { rank, offset in offset.addingReportingOverflow(rank.end).partialValue
    }
    guard let latestStart = offsets.max(), let earliestEnd = ends.min(), latestStart <= earliestEnd,
      let earliest = offsets.min()
    else {
      notes.append(
        "the ranks' recordings do not overlap in time: each rank's time begins with its own first event")
      return
    }
    for (index, offset) in offsets.enumerated() { ranks[index].shift(by: offset - earliest) }
  }
}

extension RankRecording {
  /// The last end of an event, picoseconds.
  var end: Int64 {
    var end: Int64 = 0
    for event in start.indices where start[event] != Self.unknownTime && duration[event] != Self.unknownTime {
      end = max(end, start[event] + duration[event])
    }
    return end
  }

  /// Moves the origin back in time.
  mutating func shift(by offset: Int64) {
    origin = origin &- offset
    for event in start.indices where start[event] != Self.unknownTime { start[event] += offset }
    for mark in marks.indices { marks[mark].start += offset }
  }
}
