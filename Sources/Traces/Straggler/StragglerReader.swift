import Documents
import Foundation

extension Recording {
  /// Reads a timeline of ByteDance's straggler study: Chrome JSON, plain or gzip, whose events have a step, an operation
  /// type and a sequence number, `pid` the data-parallel rank, and `tid` five lanes for each rank.
  ///
  /// Steps become marks, and ``RankRecording/chunks`` hold step, model chunk, micro-batch and sequence number. What the
  /// study's `to_timeline.py` writes of a communication is its transfer alone where that was known: its start is then the
  /// arrival of the last member. The study's `.parquet` files hold the same operations before that and are not read.
  ///
  /// Source: ByteDance-Seed/StragglerAnalysis, `analyzer/to_timeline.py`; Lin et al., "Understanding Stragglers in Large
  /// Model Training Using What-if Analysis", OSDI 2025.
  /// - Throws: ``Diagnostic`` naming the byte.
  public static func straggler(_ input: TraceInput) throws -> Recording {
    var reader = StragglerReader(JSONReader(try input.open()))
    try reader.readEvents()
    return try reader.finish()
  }
}

private struct StragglerReader: ~Copyable {
  /// Lanes of a rank: compute, pipeline, tensor, data, other.
  static let lanes = 5
  static let eventLimit = 1 << 26

  private struct Event {
    var name: Int32
    var process: Int32
    var thread: Int32
    var start: Int64
    var duration: Int64
    var step: Int32
    var model: Int32
    var microBatch: Int32
    var ordinal: Int32
  }

  private struct Lane: Hashable {
    var process: Int32
    var thread: Int32
  }

  private struct Coordinates: Hashable {
    var data: Int32
    var stage: Int32
    var tensor: Int32
  }

  private var json: JSONReader
  private var events: [Event] = []
  private var names: [String] = []
  private var nameIndex: [String: Int32] = [:]
  /// Stage and tensor rank by the names of lanes.
  private var coordinates: [Lane: Coordinates] = [:]
  private var otherEvents = 0
  /// The first time of the file, from which all others are counted, in picoseconds.
  private var origin: Int128?

  init(_ json: consuming JSONReader) { self.json = json }

  // MARK: Reading

  mutating func readEvents() throws {
    if try json.peek() == .object {
      try json.beginObject()
      while try json.nextKey() {
        if json.tokenIs("traceEvents") { try readArray() } else { try json.skipValue() }
      }
    } else {
      try readArray()
    }
    try json.finish()
  }

  private mutating func readArray() throws {
    try json.beginArray()
    while try json.nextElement() { try readEvent() }
  }

  private mutating func readEvent() throws {
    let place = json.offset
    var event = Event(
      name: -1, process: -1, thread: -1, start: .min, duration: .min, step: -1, model: -1, microBatch: -1,
      ordinal: -1)
    var phase = ""
    var name = ""
    var laneName = ""
    try json.beginObject()
    while try json.nextKey() {
      if json.tokenIs("name") {
        try json.string()
        name = json.text
      } else if json.tokenIs("ph") {
        try json.string()
        phase = json.text
      } else if json.tokenIs("pid") {
        event.process = try index()
      } else if json.tokenIs("tid") {
        event.thread = try index()
      } else if json.tokenIs("ts") {
        event.start = try start()
      } else if json.tokenIs("dur") {
        event.duration = try duration()
      } else if json.tokenIs("args"), try json.peek() == .object {
        try readArguments(&event, &laneName)
      } else {
        try json.skipValue()
      }
    }
    switch phase {
    case "M": if name == "thread_name" { try setLane(event, laneName, place) }
    case "X":
      guard event.process >= 0, event.thread >= 0, event.start != .min, event.duration != .min,
        event.step >= 0
      else {
        throw json.error(
          "an event lacks what a straggler timeline has", at: place, found: "\"\(name.prefix(40))\"",
          allowed: "pid, tid, ts, dur and args.step")
      }
      guard events.count < Self.eventLimit else { throw json.error("there are too many events", at: place) }
      if let known = nameIndex[name] {
        event.name = known
      } else {
        event.name = Int32(names.count)
        nameIndex[name] = event.name
        names.append(name)
      }
      events.append(event)
    default: otherEvents += 1
    }
  }

  private mutating func readArguments(_ event: inout Event, _ laneName: inout String) throws {
    try json.beginObject()
    while try json.nextKey() {
      if json.tokenIs("step") {
        event.step = try index()
      } else if json.tokenIs("model_chunk") {
        event.model = try index()
      } else if json.tokenIs("mb_id") {
        event.microBatch = try index()
      } else if json.tokenIs("seq_id") {
        event.ordinal = try index()
      } else if json.tokenIs("name"), try json.peek() == .string {
        try json.string()
        laneName = json.text
      } else {
        try json.skipValue()
      }
    }
  }

  /// A small number, or -1 for null and what is not one.
  private mutating func index() throws -> Int32 {
    guard try json.peek() == .number else {
      try json.skipValue()
      return -1
    }
    let place = json.offset
    guard let value = try json.number().integer, -1...1 << 30 ~= value else {
      throw json.error("a number of an event is out of range", at: place, allowed: "-1 to 2^30")
    }
    return Int32(value)
  }

  /// A time in microseconds, as picoseconds since the file's first.
  private mutating func start() throws -> Int64 {
    let place = json.offset
    guard let value = try json.number().scaled(by: 6) else {
      throw json.error("a start is no number", at: place)
    }
    let first = origin ?? value
    origin = first
    let (start, overflow) = value.subtractingReportingOverflow(first)
    // Half of what 64 bits hold: differences and ends of events must fit too.
    guard !overflow, abs(start) < 1 << 61 else {
      throw json.error("a start lies too far from the first event's", at: place, allowed: "within 26 days")
    }
    return Int64(start)
  }

  /// Microseconds, in picoseconds.
  private mutating func duration() throws -> Int64 {
    let place = json.offset
    guard let value = try json.number().scaled(by: 6), value < Self.longestEvent else {
      throw json.error("a duration is no number of microseconds", at: place, allowed: "below a day")
    }
    guard value >= 0 else { throw json.error("a duration is negative", at: place) }
    return Int64(value)
  }

  /// A day in picoseconds.
  private static let longestEvent: Int128 = 86_400_000_000_000_000

  /// `PP rank 3, TP rank 0, dp-comm`
  private mutating func setLane(_ event: Event, _ name: String, _ place: Int) throws {
    guard event.process >= 0, event.thread >= 0 else { throw json.error("a lane has no number", at: place) }
    let parts = name.components(separatedBy: ", ")
    guard parts.count == 3, let stage = Self.number(parts[0], behind: "PP rank "),
      let tensor = Self.number(parts[1], behind: "TP rank ")
    else {
      throw json.error(
        "a lane's name gives no place", at: place, found: "\"\(name.prefix(60))\"",
        allowed: "PP rank 0, TP rank 0, compute")
    }
    coordinates[Lane(process: event.process, thread: event.thread)] = Coordinates(
      data: event.process, stage: stage, tensor: tensor)
  }

  private static func number(_ text: String, behind prefix: String) -> Int32? {
    guard text.hasPrefix(prefix), let number = Int32(text.dropFirst(prefix.count)), 0..<1 << 20 ~= number
    else { return nil }
    return number
  }

  // MARK: The recording

  /// Global ranks are those of the lanes: `tid / 5`.
  private func ranks() throws -> [(rank: Int32, place: Coordinates)] {
    var places: [Int32: Coordinates] = [:]
    for (lane, place) in coordinates.sorted(by: { $0.key.thread < $1.key.thread }) {
      let rank = lane.thread / Int32(Self.lanes)
      if let known = places[rank], known != place {
        throw Diagnostic(
          .data, "a rank has two places", file: json.file, path: "thread_name of tid \(lane.thread)",
          found: "data \(place.data) stage \(place.stage) and data \(known.data) stage \(known.stage)")
      }
      places[rank] = place
    }
    var seen: [Coordinates: Int32] = [:]
    for (rank, place) in places.sorted(by: { $0.key < $1.key }) {
      if let other = seen.updateValue(rank, forKey: place) {
        throw Diagnostic(
          .data, "two ranks have one place", file: json.file, path: "thread_name",
          found: "ranks \(other) and \(rank)")
      }
    }
    return places.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  consuming func finish() throws -> Recording {
    var recording = Recording(.straggler)
    let ranks = try ranks()
    let groups = StragglerGroups(
      ranks.map { (rank: $0.rank, data: $0.place.data, stage: $0.place.stage, tensor: $0.place.tensor) })
    recording.groups = groups.groups
    var placeOfRank: [Int32: Int] = [:]
    for (index, entry) in ranks.enumerated() {
      placeOfRank[entry.rank] = index
      var rank = RankRecording(rank: Int(entry.rank), file: json.file)
      rank.origin = Int64(truncatingIfNeeded: origin ?? 0)
      rank.properties = [
        ("dp_rank", "\(entry.place.data)"), ("stage", "\(entry.place.stage)"),
        ("tp_rank", "\(entry.place.tensor)"),
      ]
      recording.ranks.append(rank)
    }
    let order = events.indices.sorted {
      (events[$0].start, events[$0].thread, events[$0].ordinal, $0)
        < (events[$1].start, events[$1].thread, events[$1].ordinal, $1)
    }
    for index in order {
      let event = events[index]
      let number = event.thread / Int32(Self.lanes)
      guard let place = placeOfRank[number], ranks[place].place.data == event.process else {
        throw Diagnostic(
          .data, "an event is on a lane without a name", file: json.file, path: "event \(index)",
          found: "pid \(event.process), tid \(event.thread)", allowed: "lanes with a thread_name")
      }
      let name = names[Int(event.name)]
      let operation = StragglerOperation(rawValue: name)
      recording.ranks[place].append(
        operation?.communicationKind == nil ? .compute : .communication, name: name, start: event.start,
        duration: event.duration, stream: event.thread % Int32(Self.lanes),
        communication: operation.flatMap { groups.communication($0, of: place, sequence: event.ordinal) })
      recording.ranks[place].chunks.append(
        RecordedChunk(
          step: event.step, model: event.model, microBatch: event.microBatch, ordinal: event.ordinal))
    }
    for place in recording.ranks.indices { mark(&recording.ranks[place]) }
    recording.worldSize = ranks.isEmpty ? nil : ranks.count
    let unknown = names.filter { StragglerOperation(rawValue: $0) == nil }.sorted()
    if !unknown.isEmpty {
      recording.notes.append(
        "operations of unknown type count as compute: " + unknown.joined(separator: ", "))
    }
    if otherEvents > 0 {
      recording.omissions.append(Omission(rank: nil, reason: "no event with a duration", count: otherEvents))
    }
    recording.notes.append("bytes are not in this format")
    return recording
  }

  /// A mark for each step, from the rank's first event to its last.
  private func mark(_ rank: inout RankRecording) {
    var spans: [Int32: (start: Int64, end: Int64)] = [:]
    for event in 0..<rank.count {
      let (start, end) = (rank.start[event], rank.start[event] + rank.duration[event])
      let known = spans[rank.chunks[event].step] ?? (start, end)
      spans[rank.chunks[event].step] = (min(known.start, start), max(known.end, end))
    }
    let ordered = spans.sorted { ($0.value.start, $0.key) < ($1.value.start, $1.key) }
    rank.marks = ordered.map {
      RecordedMark(.step, name: "\($0.key)", start: $0.value.start, duration: $0.value.end - $0.value.start)
    }
  }
}
