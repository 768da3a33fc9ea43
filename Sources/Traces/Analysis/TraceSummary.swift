import Timelines
import Units

/// How many events there are, and their durations added up.
public struct CountedTime: Hashable, Sendable {
  public var count = 0
  public var time = Span.zero
  /// Events without a time.
  public var untimed = 0

  public init() {}

  mutating func add(_ duration: Int64) {
    count += 1
    guard duration != RankRecording.unknownTime else {
      untimed += 1
      return
    }
    time = Span(picoseconds: clampedSum(time.picoseconds, duration))
  }

  mutating func add(_ other: CountedTime) {
    count += other.count
    time = Span(picoseconds: clampedSum(time.picoseconds, other.time.picoseconds))
    untimed += other.untimed
  }
}

/// Communications that are alike.
public struct KindSummary: Hashable, Sendable {
  public var kind: CommunicationKind
  public var dataType: String?
  public var groupSize: Int?
  /// Index into ``Recording/groups``, or -1.
  public var group: Int32
  public var total = CountedTime()
  /// Bytes of the ranks' buffers; operations whose size the file does not say are counted in ``withoutBytes``.
  public var inputBytes: Int64 = 0
  public var outputBytes: Int64 = 0
  public var withoutBytes = 0

  /// Input bytes where every operation's are known.
  public var bytes: Int64? { withoutBytes > 0 ? nil : inputBytes }
}

/// Where one rank's time went, or that of all ranks together.
///
/// Communication is kernels that move data between ranks, whatever they wait meanwhile; exposed is what of it no other
/// kernel runs beside. Source of the definitions: Holistic Trace Analysis, with DeepEP's kernels as communication.
public struct TraceSummary: Hashable, Sendable {
  /// Nil for all ranks together.
  public var rank: Int?
  public var file: String?
  public var compute = CountedTime()
  public var memory = CountedTime()
  public var communication = CountedTime()
  /// From the first event to the last one's end; of several ranks the longest. Nil without times.
  public var span: Span?
  /// Some event was running; of several ranks the sum.
  public var busy = Span.zero
  public var communicating = Span.zero
  public var computing = Span.zero
  /// Communication beside which no other kernel ran.
  public var exposed = Span.zero
  /// Communication beside which neither a kernel nor a copy ran.
  public var exposedBesideCopies = Span.zero
  public var byKind: [KindSummary] = []

  public var kernels: CountedTime {
    var all = compute
    all.add(communication)
    return all
  }

  /// Share of the time in communication beside which other kernels ran, in percent; nil without communication.
  public var overlapPercent: Double? {
    guard communicating > .zero else { return nil }
    return 100 * (communicating - exposed).seconds / communicating.seconds
  }

  init() {}

  /// - Complexity: O(events × log events).
  public init(_ recording: RankRecording) {
    rank = recording.rank
    file = recording.file
    var intervals: [[(start: Int64, end: Int64)]] = [[], [], []]
    var first = Int64.max
    var last = Int64.min
    var kinds: [KindKey: KindSummary] = [:]
    for event in 0..<recording.count {
      let kind = recording.kind[event]
      let duration = recording.duration[event]
      switch kind {
      case .compute: compute.add(duration)
      case .memory: memory.add(duration)
      case .communication: communication.add(duration)
      }
      if recording.communication[event] >= 0 {
        let described = recording.communications[Int(recording.communication[event])]
        kinds[KindKey(described), default: KindSummary(described)].add(described, duration)
      }
      guard let end = recording.end(event) else { continue }
      let start = recording.start[event]
      first = min(first, start)
      last = max(last, end)
      intervals[Int(kind.rawValue)].append((start, end))
    }
    byKind = kinds.keys.sorted().compactMap { kinds[$0] }
    guard first <= last else { return }
    span = Span(picoseconds: clampedDifference(last, first))
    let kernels = IntervalSet(intervals[Int(EventKind.compute.rawValue)])
    let moved = IntervalSet(intervals[Int(EventKind.communication.rawValue)])
    let copies = intervals[Int(EventKind.memory.rawValue)]
    busy = IntervalSet(intervals.flatMap { $0 }).length
    computing = kernels.length
    communicating = moved.length
    let uncovered = moved.subtracting(kernels)
    exposed = uncovered.length
    exposedBesideCopies = uncovered.subtracting(IntervalSet(copies)).length
  }

  /// All ranks together: counts and times are sums, the span is the longest.
  public init(_ ranks: [TraceSummary]) {
    var kinds: [KindKey: KindSummary] = [:]
    for rank in ranks {
      compute.add(rank.compute)
      memory.add(rank.memory)
      communication.add(rank.communication)
      if let other = rank.span { span = max(span ?? .zero, other) }
      busy = Span(picoseconds: clampedSum(busy.picoseconds, rank.busy.picoseconds))
      communicating = Span(picoseconds: clampedSum(communicating.picoseconds, rank.communicating.picoseconds))
      computing = Span(picoseconds: clampedSum(computing.picoseconds, rank.computing.picoseconds))
      exposed = Span(picoseconds: clampedSum(exposed.picoseconds, rank.exposed.picoseconds))
      exposedBesideCopies = Span(
        picoseconds: clampedSum(exposedBesideCopies.picoseconds, rank.exposedBesideCopies.picoseconds))
      for kind in rank.byKind { kinds[KindKey(kind), default: KindSummary(like: kind)].add(kind) }
    }
    byKind = kinds.keys.sorted().compactMap { kinds[$0] }
    if ranks.count == 1 {
      rank = ranks[0].rank
      file = ranks[0].file
    }
  }
}

/// What communications are counted together.
private struct KindKey: Hashable, Comparable {
  var kind: String
  var dataType: String
  var groupSize: Int
  var group: Int32

  init(_ communication: RecordedCommunication) {
    kind = communication.kind.rawValue
    dataType = communication.dataType ?? ""
    groupSize = communication.groupSize ?? -1
    group = communication.group
  }

  init(_ summary: KindSummary) {
    kind = summary.kind.rawValue
    dataType = summary.dataType ?? ""
    groupSize = summary.groupSize ?? -1
    group = summary.group
  }

  static func < (a: KindKey, b: KindKey) -> Bool {
    (a.kind, a.dataType, a.groupSize, a.group) < (b.kind, b.dataType, b.groupSize, b.group)
  }
}

extension KindSummary {
  fileprivate init(_ communication: RecordedCommunication) {
    self.init(
      kind: communication.kind, dataType: communication.dataType, groupSize: communication.groupSize,
      group: communication.group)
  }

  fileprivate init(like other: KindSummary) {
    self.init(kind: other.kind, dataType: other.dataType, groupSize: other.groupSize, group: other.group)
  }

  fileprivate mutating func add(_ communication: RecordedCommunication, _ duration: Int64) {
    total.add(duration)
    if communication.inputBytes == nil && communication.outputBytes == nil { withoutBytes += 1 }
    inputBytes = clampedSum(inputBytes, communication.inputBytes ?? 0)
    outputBytes = clampedSum(outputBytes, communication.outputBytes ?? 0)
  }

  fileprivate mutating func add(_ other: KindSummary) {
    total.add(other.total)
    inputBytes = clampedSum(inputBytes, other.inputBytes)
    outputBytes = clampedSum(outputBytes, other.outputBytes)
    withoutBytes += other.withoutBytes
  }
}
