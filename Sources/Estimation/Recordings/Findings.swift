import Reports
import Traces
import Units

extension StragglerAnalysis {
  /// What was found, in words.
  var sentences: [String] {
    func milliseconds(_ span: Span) -> String { fixed(span.milliseconds, decimals: 1) + " ms" }
    var lines = [
      "\(steps.count) steps of \(milliseconds(recordedStep)) on average; replayed \(milliseconds(replayedStep)), "
        + "with every slow operation as long as elsewhere \(milliseconds(idealStep)): stragglers cost a factor of "
        + fixed(slowdown, decimals: 4)
    ]
    if let stage = byStage.first {
      lines.append("the worst stage is \(stage.key), a factor of \(fixed(stage.ratio, decimals: 4))")
    }
    if let worker = byWorker.first {
      lines.append(
        "the worst worker is data rank \(worker.key.dataRank) of stage \(worker.key.stage), a factor of "
          + fixed(worker.ratio, decimals: 4))
    }
    if let operation = byOperation.first {
      lines.append(
        "the worst operation is \(operation.key), a factor of \(fixed(operation.ratio, decimals: 4))")
    }
    return lines
  }
}

extension FlightRecorderAnalysis {
  /// What was found, in words.
  func sentences(_ recording: Recording) -> [String] {
    func group(_ index: Int32) -> String {
      let group = recording.groups[Int(index)]
      return group.description.isEmpty ? group.name : group.description
    }
    var lines = ["collectives not complete on some member: \(unfinishedCollectives)"]
    for fault in faults {
      let reason: String
      switch fault.reason {
      case .stopped: reason = "took part and then stopped: others saw the end of"
      case .neverJoined: reason = "never joined: others wait in"
      case .heldUp: reason = "is itself held up, and others wait in"
      }
      lines.append(
        "rank \(fault.rank) \(reason) \(fault.operation) number \(fault.sequence) of \(group(fault.group))"
          + (fault.count > 1 ? " and \(fault.count - 1) more" : ""))
    }
    for mismatch in mismatches {
      lines.append(
        "members of \(group(mismatch.group)) enqueued different operations as number \(mismatch.sequence): "
          + Set(mismatch.operations).sorted().joined(separator: ", "))
    }
    if !unevenExchanges.isEmpty {
      let rows = unevenExchanges.flatMap { $0.receivedRows.compactMap { $0 } }
      lines.append(
        "uneven exchanges: \(unevenExchanges.count); members get \(rows.min() ?? 0) to \(rows.max() ?? 0) rows"
      )
    }
    if !ranksWithoutDump.isEmpty {
      lines.append("no dump of ranks " + ranksWithoutDump.map(String.init).joined(separator: ", "))
    }
    return lines
  }
}

/// Notes once each; what several ranks' notes say alike is said of all of them together.
func gathered(_ notes: [String]) -> [String] {
  var order: [String] = []
  var ranks: [String: [Int]] = [:]
  for note in notes {
    var text = note
    var rank: Int?
    if note.hasPrefix("rank "), let colon = note.firstIndex(of: ":"),
      let number = Int(note[note.index(note.startIndex, offsetBy: 5)..<colon])
    {
      rank = number
      text = String(note[note.index(after: colon)...].drop { $0 == " " })
    }
    let key = rank == nil ? text : "\u{1}" + text
    if ranks[key] == nil {
      order.append(key)
      ranks[key] = []
    }
    if let rank { ranks[key]?.append(rank) }
  }
  return order.map { key in
    guard key.hasPrefix("\u{1}"), let list = ranks[key] else { return key }
    let text = key.dropFirst()
    return list.count == 1 ? "rank \(list[0]): \(text)" : "\(list.count) ranks: \(text)"
  }
}
