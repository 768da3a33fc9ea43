/// Ranges of the host, and of the device's queues, that a Kineto file names.
struct KinetoMarks {
  private(set) var marks: [RecordedMark] = []
  private(set) var notes: [String] = []

  /// Ranges inside each other that a launch is looked up in; programs nest a few.
  private static let openLimit = 256

  init(_ events: KinetoEvents) {
    let names = events.names.names
    func mark(_ range: KinetoHostRange, stream: Int32 = -1) -> RecordedMark {
      let name = names[Int(range.name)]
      return RecordedMark(
        name.hasPrefix("ProfilerStep#") ? .step : .range, name: name, start: range.start,
        duration: range.end - range.start, stream: stream)
    }
    marks = events.hostRanges.map { mark($0) } + events.deviceRanges.map { mark($0.mark, stream: $0.stream) }
    if events.deviceRanges.isEmpty, !events.hostRanges.isEmpty { deriveDeviceRanges(events, mark) }
    marks.sort { ($0.start, -$0.duration, $0.stream) < ($1.start, -$1.duration, $1.stream) }
  }

  /// What newer files say themselves: a range of the device reaches from the first to the last kernel of a queue that
  /// was launched within the host's range.
  ///
  /// Launches of a thread without ranges of its own, as autograd's, belong to those of any thread at that time.
  private mutating func deriveDeviceRanges(
    _ events: KinetoEvents, _ mark: (KinetoHostRange, Int32) -> RecordedMark
  ) {
    let ranges = events.hostRanges.sorted { ($0.start, $1.end) < ($1.start, $0.end) }
    let launches = events.launches.sorted { ($0.correlation, $0.time) < ($1.correlation, $1.time) }
    var launched: [(time: Int64, process: Int64, thread: Int64, event: Int)] = []
    for event in events.kind.indices {
      let correlation = events.correlation[event]
      var (low, high) = (0, launches.count)
      while low < high {
        let middle = (low + high) / 2
        if launches[middle].correlation < correlation { low = middle + 1 } else { high = middle }
      }
      guard low < launches.count, launches[low].correlation == correlation else { continue }
      launched.append((launches[low].time, launches[low].process, launches[low].thread, event))
    }
    launched.sort { ($0.time, $0.event) < ($1.time, $1.event) }

    struct Place: Hashable {
      var range: Int
      var stream: Int32
    }
    var extents: [Place: (start: Int64, end: Int64)] = [:]
    var open: [Int] = []
    var next = 0
    for launch in launched {
      while next < ranges.count, ranges[next].start <= launch.time {
        open.append(next)
        next += 1
      }
      open.removeAll { ranges[$0].end < launch.time }
      guard open.count <= Self.openLimit else {
        notes = ["more than \(Self.openLimit) ranges lie over each other: none is carried over to the device"]
        return
      }
      let own = open.filter { ranges[$0].thread == launch.thread && ranges[$0].process == launch.process }
      let start = events.start[launch.event]
      let end = start + events.duration[launch.event]
      for range in own.isEmpty ? open.filter({ ranges[$0].process == launch.process }) : own {
        let place = Place(range: range, stream: events.stream[launch.event])
        let known = extents[place] ?? (start, end)
        extents[place] = (min(known.start, start), max(known.end, end))
      }
    }
    guard !extents.isEmpty else { return }
    for (place, extent) in extents {
      var range = ranges[place.range]
      (range.start, range.end) = extent
      marks.append(mark(range, place.stream))
    }
    // The marks are sorted afterwards; names make the order of equal ones the same each time.
    marks.sort { ($0.name, $0.stream, $0.start, $0.duration) < ($1.name, $1.stream, $1.start, $1.duration) }
    notes = ["ranges of the device are derived from the launches within the host's ranges"]
  }
}
