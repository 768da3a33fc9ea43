import Foundation
import SwiftProtobuf

/// One line of a trace: what one lane of one rank did, from begin to end.
public struct Track: Hashable, Sendable {
  /// Tracks of one process are drawn together: `rank 3`.
  public var processName: String
  /// Zero or more; the trace's own process number is one higher, because zero belongs to the operating
  /// system.
  public var processID: Int
  /// `compute`, `communication`.
  public var threadName: String
  /// In any order. Two of them either do not overlap or one lies within the other.
  public var slices: [Slice]

  public init(processName: String, processID: Int, threadName: String, slices: [Slice]) {
    self.processName = processName
    self.processID = processID
    self.threadName = threadName
    self.slices = slices
  }

  /// A stretch of a track with a name.
  public struct Slice: Hashable, Sendable {
    /// Nanoseconds since the step began.
    public var start: Int64
    /// Nanoseconds; zero or more.
    public var duration: Int64
    public var name: String
    public var category: String
    public var arguments: [Argument]

    public init(start: Int64, duration: Int64, name: String, category: String, arguments: [Argument] = []) {
      precondition(
        start >= 0 && duration >= 0, "a slice starts after the step and does not end before it starts")
      self.start = start
      self.duration = duration
      self.name = name
      self.category = category
      self.arguments = arguments
    }

    var end: Int64 { start + duration }
  }

  /// A named value shown with a slice.
  public struct Argument: Hashable, Sendable {
    public var name: String
    public var value: Content

    public init(_ name: String, _ value: Content) {
      self.name = name
      self.value = value
    }

    /// The value of an argument.
    public enum Content: Hashable, Sendable {
      case integer(Int64)
      /// Finite.
      case number(Double)
      case text(String)
    }
  }
}

/// A trace that ui.perfetto.dev opens.
///
/// - Complexity: O(slices × log slices of one track).
public func perfettoTrace(_ tracks: [Track]) -> Data {
  var writer = PerfettoTraceWriter()
  for track in tracks { writer.append(track) }
  return writer.data
}

/// Writes a trace track by track, holding only the encoded bytes.
public struct PerfettoTraceWriter: Sendable {
  /// The trace so far: complete, and valid, after every ``append(_:)``.
  public private(set) var data = Data()

  private var tracks: UInt64 = 0
  private var processes: Set<Int> = []
  private var names: [String: UInt64] = [:]
  private var categories: [String: UInt64] = [:]
  private var argumentNames: [String: UInt64] = [:]

  public init() {}

  /// Adds a track; a process is introduced by the first of its tracks.
  ///
  /// - Precondition: The slices nest or are disjoint.
  public mutating func append(_ track: Track) {
    precondition(track.processID >= 0, "a process has a number from zero")
    let process = UInt64(track.processID) + 1
    let processTrack = 1 << 32 | process
    if processes.insert(track.processID).inserted {
      var descriptor = PerfettoTrackDescriptor()
      descriptor.uuid = processTrack
      descriptor.process.pid = Int32(process)
      descriptor.process.processName = track.processName
      write(descriptor)
    }
    tracks += 1
    let identifier = 2 << 32 | tracks
    var descriptor = PerfettoTrackDescriptor()
    descriptor.uuid = identifier
    descriptor.parentUuid = processTrack
    descriptor.thread.pid = Int32(process)
    // A thread number equal to a process number would mark that process's main thread.
    descriptor.thread.tid = Int32(tracks) + 1_000_000
    descriptor.thread.threadName = track.threadName
    write(descriptor)
    write(track.slices, on: identifier)
  }

  /// Begins outer slices before inner ones and ends a slice before the next one begins at the same instant.
  private mutating func write(_ slices: [Track.Slice], on track: UInt64) {
    let order = slices.indices.sorted { a, b in
      (slices[a].start, -slices[a].duration, a) < (slices[b].start, -slices[b].duration, b)
    }
    var open: [Int64] = []
    for index in order {
      let slice = slices[index]
      while let end = open.last, end <= slice.start {
        writeEnd(at: open.removeLast(), on: track)
      }
      precondition(
        open.last.map { slice.end <= $0 } ?? true, "\(slice.name) overlaps another slice of its track")
      writeBegin(slice, on: track)
      open.append(slice.end)
    }
    while let end = open.popLast() { writeEnd(at: end, on: track) }
  }

  private mutating func writeBegin(_ slice: Track.Slice, on track: UInt64) {
    var interned = PerfettoInternedData()
    var event = PerfettoTrackEvent()
    event.type = .sliceBegin
    event.trackUuid = track
    event.nameIid = Self.intern(slice.name, in: &names) { number in
      var entry = PerfettoEventName()
      entry.iid = number
      entry.name = slice.name
      interned.eventNames.append(entry)
    }
    event.categoryIids = [
      Self.intern(slice.category, in: &categories) { number in
        var entry = PerfettoEventCategory()
        entry.iid = number
        entry.name = slice.category
        interned.eventCategories.append(entry)
      }
    ]
    for argument in slice.arguments {
      var annotation = PerfettoDebugAnnotation()
      annotation.nameIid = Self.intern(argument.name, in: &argumentNames) { number in
        var entry = PerfettoDebugAnnotationName()
        entry.iid = number
        entry.name = argument.name
        interned.debugAnnotationNames.append(entry)
      }
      switch argument.value {
      case .integer(let value): annotation.intValue = value
      case .number(let value):
        precondition(value.isFinite, "\(argument.name) is not finite")
        annotation.doubleValue = value
      case .text(let value): annotation.stringValue = value
      }
      event.debugAnnotations.append(annotation)
    }
    var packet = PerfettoTracePacket()
    packet.timestamp = UInt64(slice.start)
    packet.trackEvent = event
    if !(interned.eventNames.isEmpty && interned.eventCategories.isEmpty
      && interned.debugAnnotationNames.isEmpty)
    {
      packet.internedData = interned
    }
    write(packet)
  }

  private mutating func writeEnd(at end: Int64, on track: UInt64) {
    var packet = PerfettoTracePacket()
    packet.timestamp = UInt64(end)
    packet.trackEvent.type = .sliceEnd
    packet.trackEvent.trackUuid = track
    write(packet)
  }

  private mutating func write(_ descriptor: PerfettoTrackDescriptor) {
    var packet = PerfettoTracePacket()
    packet.trackDescriptor = descriptor
    write(packet)
  }

  /// Appends a packet as `Trace.packet`: the messages of a protobuf file may stand one behind the other.
  private mutating func write(_ packet: PerfettoTracePacket) {
    var packet = packet
    packet.trustedPacketSequenceID = 1
    let flag: PerfettoTracePacket.SequenceFlags =
      data.isEmpty ? .seqIncrementalStateCleared : .seqNeedsIncrementalState
    packet.sequenceFlags = UInt32(flag.rawValue)
    var trace = PerfettoTrace()
    trace.packet = [packet]
    do {
      data.append(try trace.serializedData())
    } catch {
      preconditionFailure("a packet without required fields always encodes: \(error)")
    }
  }

  private static func intern(_ text: String, in table: inout [String: UInt64], isNew: (UInt64) -> Void)
    -> UInt64
  {
    if let number = table[text] { return number }
    let number = UInt64(table.count) + 1
    table[text] = number
    isNew(number)
    return number
  }
}
