import Programs
import Reports
import Timelines
import Units

extension SimulatedStep {
  /// The step as the papers draw it: chunks and pairs of every pipeline rank, and its communication below.
  ///
  /// Communication on several lanes at once is drawn once, what began first in front.
  /// - Complexity: O(tasks log tasks).
  public func picture() -> PipelinePicture {
    PipelinePicture(
      rows: (0..<order.ranks).compactMap { rank in
        guard let role = roles(ofPipelineRank: rank).first?.role else { return nil }
        return PipelinePicture.Row(
          label: "rank \(rank)",
          intervals: apart(chunkIntervals(ofRole: role) + optimizerIntervals(ofRole: role))
            + apart(communicationIntervals(ofRole: role)))
      })
  }

  private func chunkIntervals(ofRole role: Int) -> [PipelinePicture.Interval] {
    let code = program.code(ofRole: role)
    return timeline.slotIntervals(ofRole: role).map { interval in
      let slot = code.slots[interval.slot]
      return PipelinePicture.Interval(
        start: interval.start, end: interval.end, work: PipelinePicture.Work(slot.phase), label: slot.label)
    }
  }

  private func optimizerIntervals(ofRole role: Int) -> [PipelinePicture.Interval] {
    let code = program.code(ofRole: role)
    return (0..<code.count).filter {
      code.kind[$0] == .compute && code.slots[Int(code.slot[$0])].phase == .optimizer
    }.map { interval(role, $0, .optimizer, "optimizer") }
  }

  private func communicationIntervals(ofRole role: Int) -> [PipelinePicture.Interval] {
    let code = program.code(ofRole: role)
    return (0..<code.count).compactMap { task in
      guard let work = PipelinePicture.Work(code.kind[task]) else { return nil }
      let layer = code.layer[task] >= 0 ? " layer \(code.layer[task])" : ""
      return interval(role, task, work, words(code.kind[task].name) + layer)
    }
  }

  private func interval(
    _ role: Int, _ task: Int, _ work: PipelinePicture.Work, _ label: String
  ) -> PipelinePicture.Interval {
    PipelinePicture.Interval(
      start: Instant(picoseconds: timeline.began[role][task]), end: Instant(picoseconds: timeline.ended[role][task]),
      work: work, label: label)
  }

  /// The intervals with what overlaps an earlier one cut off.
  private func apart(_ intervals: [PipelinePicture.Interval]) -> [PipelinePicture.Interval] {
    var result: [PipelinePicture.Interval] = []
    result.reserveCapacity(intervals.count)
    var end = Instant.start
    let order = intervals.indices.sorted {
      (intervals[$0].start, intervals[$0].end, $0) < (intervals[$1].start, intervals[$1].end, $1)
    }
    for index in order {
      var interval = intervals[index]
      interval.start = max(interval.start, end)
      guard interval.start < interval.end else { continue }
      end = interval.end
      result.append(interval)
    }
    return result
  }
}

extension PipelinePicture.Work {
  init(_ phase: Phase) {
    switch phase {
    case .forward: self = .forward
    case .backwardInput: self = .backwardInput
    case .backwardWeight: self = .backwardWeight
    case .backward: self = .backward
    case .overlapped: self = .overlapped
    case .optimizer: self = .optimizer
    }
  }

  init?(_ kind: TaskKind) {
    switch kind {
    case .compute: return nil
    case .send, .receive: self = .pipelineTransfer
    case .dispatch: self = .dispatch
    case .combine: self = .combine
    case .allReduce, .reduceScatter, .allGather, .broadcast, .allToAll, .barrier: self = .collective
    }
  }
}

extension TaskSlot {
  /// As papers number chunks: `F3`, `b3`, `w3`, `F12 B7`; a prime for a rank's further stages, as in `F3'`.
  var label: String {
    func number(_ chunk: StageChunk?) -> String {
      chunk.map { "\($0.microBatch)" + String(repeating: "'", count: min(3, Int($0.part))) } ?? ""
    }
    switch phase {
    case .forward: return "F" + number(forward)
    case .backwardInput: return "b" + number(backward)
    case .backwardWeight: return "w" + number(backward)
    case .backward: return "B" + number(backward)
    case .overlapped: return "F\(number(forward)) B\(number(backward))"
    case .optimizer: return "optimizer"
    }
  }
}

/// A name of the program's text form as words: `all_gather` is `all gather`.
func words(_ name: String) -> String { String(name.map { $0 == "_" ? " " : $0 }) }
