import Units

/// A step that a recording marks.
public struct RecordedStep: Hashable, Sendable {
  /// The number at the end of the mark's name, else its place among the marks.
  public var number: Int
  public var name: String
  public var start: Int64
  /// Where the next step begins; of the last one its own end.
  public var end: Int64
  public var duration: Int64
}

extension RankRecording {
  /// Steps in the order of their start. Marks of one number (of host and device) count once, the first of them.
  ///
  /// A device works behind its host, so a step lasts until the next begins.
  public var steps: [RecordedStep] {
    var steps: [RecordedStep] = []
    var seen: Set<Int> = []
    for mark in marks where mark.kind == .step {
      let digits = mark.name.reversed().prefix { $0.isASCII && $0.isNumber }
      let number = Int(String(digits.reversed())) ?? steps.count
      guard seen.insert(number).inserted else { continue }
      steps.append(
        RecordedStep(
          number: number, name: mark.name, start: mark.start, end: clampedSum(mark.start, mark.duration),
          duration: mark.duration))
    }
    steps.sort { ($0.start, $0.number) < ($1.start, $1.number) }
    for index in steps.indices.dropLast() { steps[index].end = steps[index + 1].start }
    return steps
  }

  /// The same rank with the events that begin within some steps, and edges between them.
  ///
  /// - Returns: Nil where the rank marks none of these steps.
  public func limited(to numbers: ClosedRange<Int>) -> RankRecording? {
    let chosen = steps.filter { numbers.contains($0.number) }
    guard !chosen.isEmpty else { return nil }
    return keeping { event in
      let start = self.start[event]
      return start != Self.unknownTime && chosen.contains { start >= $0.start && start < $0.end }
    }
  }

  /// The same rank with some of its events, and the edges between those.
  public func keeping(_ isKept: (Int) -> Bool) -> RankRecording {
    var result = RankRecording(rank: rank, file: file)
    result.origin = origin
    result.properties = properties
    result.marks = marks
    var place = Array(repeating: Int32(-1), count: count)
    var next: Int32 = 0
    for event in 0..<count where isKept(event) {
      place[event] = next
      next += 1
    }
    for event in 0..<count where place[event] >= 0 {
      result.append(
        kind[event], name: names[Int(name[event])], start: start[event], duration: duration[event],
        stream: stream[event],
        communication: communication[event] >= 0 ? communications[Int(communication[event])] : nil,
        operations: operations[event],
        after: dependencies(of: event).map { place[Int($0)] }.filter { $0 >= 0 })
    }
    // Columns that only some formats have.
    let kept = (0..<count).filter { place[$0] >= 0 }
    if !tasks.isEmpty { result.tasks = kept.map { tasks[$0] } }
    if !chunks.isEmpty { result.chunks = kept.map { chunks[$0] } }
    result.hostEvents = hostEvents.map { place[Int($0)] }.filter { $0 >= 0 }
    result.chakra = chakra
    return result
  }
}

extension Recording {
  /// Only what begins within some steps; ranks that mark none of them are left out.
  public func limited(to steps: ClosedRange<Int>) -> Recording {
    var result = self
    result.ranks = ranks.compactMap { $0.limited(to: steps) }
    // What says how far a rank had come speaks of all its operations.
    result.flightRecorder = []
    result.program = nil
    for (before, after) in zip(ranks, ranks.map { $0.limited(to: steps) }) {
      let dropped = before.count - (after?.count ?? 0)
      if dropped > 0 {
        result.omissions.append(
          Omission(rank: before.rank, reason: "outside the chosen steps", count: dropped))
      }
    }
    return result
  }
}
