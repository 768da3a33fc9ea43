import Documents
import Programs
import Traces
import Units

extension ImportedProgram {
  /// Gives a rank a code of its own, so that it can be changed alone.
  mutating func separate(rank: Int) throws(Diagnostic) {
    guard program.codeOfRank.indices.contains(rank) else {
      throw Diagnostic(
        .usage, "there is no such rank", path: "--what-if", found: "\(rank)",
        allowed: "0 to \(program.ranks - 1)")
    }
    let code = Int(program.codeOfRank[rank])
    guard program.codeOfRank.filter({ $0 == Int32(code) }).count > 1 else { return }
    program.codeOfRank[rank] = Int32(program.codes.count)
    program.codes.append(program.codes[code])
    durations.started.append(durations.started[code])
    durations.duration.append(durations.duration[code])
    delays.append(delays[code])
    origins.append(origins[code])
    transfers.append(transfers[code])
    hasBytes.append(hasBytes[code])
    kinds.append(kinds[code])
  }

  /// Scales a rank's computation, and its host's time, to the median of all other ranks' totals.
  mutating func heal(rank: Int) throws(Diagnostic) {
    func totals(_ code: Int) -> (compute: Double, host: Double) {
      var sums = (compute: 0.0, host: 0.0)
      for task in 0..<program.codes[code].count where program.codes[code].kind[task] == .compute {
        sums.host += delays[code][task].seconds
        if transfers[code][task] == nil { sums.compute += durations.duration[code][task]?.seconds ?? 0 }
      }
      return sums
    }
    let others = program.codeOfRank.indices.filter { $0 != rank }.map { totals(Int(program.codeOfRank[$0])) }
    guard !others.isEmpty else {
      throw Diagnostic(
        .usage, "a rank is healed by what others took", path: "--what-if heal", found: "one rank")
    }
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    let code = Int(program.codeOfRank[rank])
    let own = totals(code)
    let compute = own.compute > 0 ? median(others.map(\.compute)) / own.compute : 1
    let host = own.host > 0 ? median(others.map(\.host)) / own.host : 1
    for task in 0..<program.codes[code].count where program.codes[code].kind[task] == .compute {
      delays[code][task] = delays[code][task].scaled(by: host)
      if transfers[code][task] == nil {
        durations.duration[code][task] = durations.duration[code][task]?.scaled(by: compute)
      }
    }
    notes.append(
      "rank \(rank) healed: its computation times \(short(compute)), its host's time times \(short(host)), the "
        + "median of "
        + "the others' totals")
  }

  private func short(_ number: Double) -> String { "\((number * 1000).rounded() / 1000)" }

  /// Every part of an uneven all-to-all becomes the mean over all pairs of its group.
  mutating func balance() throws(Diagnostic) {
    let changed = try changeParts { parts in
      let members = parts.count
      let total = parts.reduce(0) { $0 + $1.reduce(0, +) }
      return (0..<members).map { a in
        (0..<members).map { b in
          // Whole bytes, what is left over handed to the first pairs.
          let index = Int64(a * members + b)
          let pairs = Int64(members * members)
          return total / pairs + (index < total % pairs ? 1 : 0)
        }
      }
    }
    notes.append("\(changed) uneven all-to-alls balanced: every pair of ranks exchanges the mean")
  }

  /// What goes to one member goes to the other, and the other way round; a placement of whole ranks' experts.
  mutating func exchangeExperts(_ a: Int, _ b: Int) throws(Diagnostic) {
    var tooSmall: Int?
    let changed = try changeParts { parts in
      guard max(a, b) < parts.count else {
        tooSmall = parts.count
        return parts
      }
      return parts.map { row in
        var row = row
        row.swapAt(a, b)
        return row
      }
    }
    if let tooSmall {
      throw Diagnostic(
        .usage, "a group has no such member", path: "--what-if experts", found: "\(max(a, b))",
        allowed: "0 to \(tooSmall - 1)")
    }
    notes.append(
      "experts of members \(a) and \(b) changed places in \(changed) uneven all-to-alls; what they send back is not "
        + "told apart"
    )
  }

  /// Rewrites the parts of every uneven all-to-all, `[source][destination]`.
  ///
  /// - Returns: How many there are.
  private mutating func changeParts(_ change: ([[Int64]]) -> [[Int64]]) throws(Diagnostic) -> Int {
    let verified: VerifiedProgram
    do {
      verified = try VerifiedProgram(program)
    } catch {
      throw Diagnostic(.data, "the recording does not run to its end", found: error.description)
    }
    var changed = 0
    for meeting in 0..<verified.meetings.count {
      let participants = verified.meetings.participants(of: meeting)
      let entries = participants.compactMap { index -> (code: Int, task: Int, rank: Int)? in
        let role = Int(verified.meetings.role[index])
        let code = Int(verified.roles.codeOfRole[role])
        let task = Int(verified.meetings.task[index])
        guard program.splits(code: code, task: task) != nil else { return nil }
        return (code, task, Int(verified.roles.representative[role]))
      }
      guard let first = entries.first else { continue }
      let communicator = program.communicators[Int(program.codes[first.code].communicator[first.task])]
      guard entries.count == communicator.group(ofRank: first.rank).count else { continue }
      let ordered = entries.sorted { communicator.indexOfRank[$0.rank] < communicator.indexOfRank[$1.rank] }
      let parts = change(ordered.map { program.splits(code: $0.code, task: $0.task)?.sent ?? [] })
      for (member, entry) in ordered.enumerated() {
        let index = Int(program.codes[entry.code].work[entry.task])
        program.splits[index] = Splits(sent: parts[member], received: parts.map { $0[member] })
        program.codes[entry.code].setBytes(parts[member].reduce(0, +), of: entry.task)
      }
      changed += 1
    }
    guard changed > 0 else {
      throw Diagnostic(
        .usage, "the recording has no all-to-all whose parts are known and differ", path: "--what-if",
        hint: "give all ranks' files, with their split sizes")
    }
    return changed
  }

  /// Every computation takes the median of all ranks' events of its name; communication is left alone.
  mutating func takeMedians(_ recording: Recording) {
    var byName: [String: [Int64]] = [:]
    for rank in recording.ranks {
      for event in 0..<rank.count where rank.communication[event] < 0 {
        let duration = rank.duration[event]
        guard duration != RankRecording.unknownTime else { continue }
        byName[rank.names[Int(rank.name[event])], default: []].append(duration)
      }
    }
    let medians = byName.mapValues { list -> Int64 in list.sorted()[list.count / 2] }
    for code in program.codes.indices {
      for task in 0..<program.codes[code].count where program.codes[code].kind[task] == .compute {
        let origin = origins[code][task]
        guard origin.event >= 0, transfers[code][task] == nil else { continue }
        let rank = recording.ranks[Int(origin.rank)]
        if let median = medians[rank.names[Int(rank.name[Int(origin.event)])]] {
          durations.duration[code][task] = Span(picoseconds: max(0, median))
        }
      }
    }
    notes.append("every computation takes the median of all events of its name")
  }
}
