import Programs
import Reports
import Timelines

extension SimulatedStep {
  /// Every task as a slice of a trace: a process for each pipeline rank, a thread for each of its lanes.
  ///
  /// Times are cut to whole nanoseconds, both ends the same way. A slice begins when its last participant had arrived.
  /// - Complexity: O(tasks).
  public func tracks() -> [Track] {
    (0..<order.ranks).flatMap { rank -> [Track] in
      guard let role = roles(ofPipelineRank: rank).first?.role else { return [] }
      return chunkTrack(rank: rank, role: role) + laneTracks(rank: rank, role: role)
    }
  }

  private func chunkTrack(rank: Int, role: Int) -> [Track] {
    let code = program.code(ofRole: role)
    let slices = timeline.slotIntervals(ofRole: role).map { interval -> Track.Slice in
      let slot = code.slots[interval.slot]
      let start = interval.start.picoseconds / 1000
      return Track.Slice(
        start: start, duration: interval.end.picoseconds / 1000 - start, name: slot.label,
        category: slot.phase.name)
    }
    return [Track(processName: name(ofRank: rank), processID: rank, threadName: "chunks", slices: slices)]
  }

  private func laneTracks(rank: Int, role: Int) -> [Track] {
    let code = program.code(ofRole: role)
    var slices = [[Track.Slice]](repeating: [], count: Lane.count)
    for task in 0..<code.count {
      let start = timeline.began[role][task] / 1000
      slices[code.lane[task].index].append(
        Track.Slice(
          start: start, duration: timeline.ended[role][task] / 1000 - start, name: name(of: task, in: code),
          category: code.kind[task].name, arguments: arguments(of: task, in: code)))
    }
    return Lane.all.filter { !slices[$0.index].isEmpty }.map { lane in
      Track(
        processName: name(ofRank: rank), processID: rank, threadName: words(lane.name), slices: slices[lane.index])
    }
  }

  private func name(ofRank rank: Int) -> String { "pipeline rank \(rank)" }

  private func name(of task: Int, in code: Code) -> String {
    code.kind[task] == .compute ? program.program.works[Int(code.work[task])].name : words(code.kind[task].name)
  }

  private func arguments(of task: Int, in code: Code) -> [Track.Argument] {
    let slot = code.slots[Int(code.slot[task])]
    var arguments = [Track.Argument("chunk", .text(slot.label))]
    if let chunk = slot.forward ?? slot.backward {
      arguments.append(Track.Argument("micro_batch", .integer(Int64(chunk.microBatch))))
      arguments.append(Track.Argument("stage", .integer(Int64(chunk.stage))))
    }
    if code.layer[task] >= 0 { arguments.append(Track.Argument("layer", .integer(Int64(code.layer[task])))) }
    if code.kind[task] != .compute {
      arguments.append(Track.Argument("bytes", .integer(code.bytes[task])))
      let communicator = program.program.communicators[Int(code.communicator[task])]
      arguments.append(Track.Argument("group", .text(words(communicator.name))))
    }
    return arguments
  }
}
