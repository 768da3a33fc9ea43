extension PipelinePicture {
  /// The picture as tracks of a trace: a process for each row, with a lane for compute and one for
  /// communication.
  ///
  /// Times are cut to whole nanoseconds, both ends the same way, so that what did not overlap still does not.
  public var tracks: [Track] {
    rows.enumerated().flatMap { index, row in
      [false, true].compactMap { isCommunication -> Track? in
        let slices = row.intervals.filter { $0.work.isCommunication == isCommunication }.map { interval in
          let start = interval.start.picoseconds / 1000
          return Track.Slice(
            start: start, duration: interval.end.picoseconds / 1000 - start, name: interval.label,
            category: interval.work.rawValue)
        }
        guard !slices.isEmpty else { return nil }
        return Track(
          processName: row.label, processID: index, threadName: isCommunication ? "communication" : "compute",
          slices: slices)
      }
    }
  }
}
