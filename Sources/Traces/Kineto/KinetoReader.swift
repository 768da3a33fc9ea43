import Documents

/// Reads one rank's trace of PyTorch's profiler (Kineto), plain or gzip, old or new.
///
/// Kernels are computation or communication; copies and fills are memory. Operations of the host are counted, and used
/// to find out what kernels communicate where they do not say so themselves.
/// - Throws: A ``Diagnostic`` with the file and the byte where it is not what it should be.
public func readKineto(at path: String) throws -> Recording {
  try readKineto(ByteSource(path: path))
}

/// Reads the traces of several ranks of one job.
///
/// Times share one origin where the ranks' recordings overlap in time.
public func readKineto(at paths: [String]) throws -> Recording {
  merge(try paths.map { try readKineto(at: $0) })
}

/// Reads one rank's trace together with its execution trace, which knows sizes, splits and groups.
public func readKineto(at path: String, executionTrace: String) throws -> Recording {
  let trace = try ExecutionTraceParser(ByteSource(path: executionTrace)).read()
  return try readKineto(ByteSource(path: path), linkedWith: trace)
}

func readKineto(_ source: consuming ByteSource, linkedWith trace: ExecutionTrace? = nil) throws -> Recording {
  let file = source.file
  return recording(of: try KinetoParser(source).read(), file: file, linkedWith: trace)
}

/// What a file's events and its host's operations come to.
func recording(of events: KinetoEvents, file: String, linkedWith trace: ExecutionTrace?) -> Recording {
  var events = events
  var recording = Recording(.kineto)
  recording.worldSize = events.worldSize
  let rank = events.rank ?? trace?.rank ?? rankInFileName(file)
  if rank == nil { recording.notes.append("\(file) does not say its rank: taken as rank 0") }
  if events.devices.count > 1 {
    recording.notes.append("\(file) holds kernels of \(events.devices.count) devices, taken as one rank")
  }

  var communications = KinetoCommunications(events.groups, worldSize: events.worldSize)
  let found = communications.communications(of: &events, linkedWith: trace)
  communications.completeGroups()
  recording.groups = communications.groups
  recording.notes += communications.notes.sentences

  var result = RankRecording(rank: rank ?? 0, file: file)
  result.properties = events.properties
  result.enter(names: events.names.names)
  let marks = KinetoMarks(events)
  recording.notes += marks.notes
  result.fill(from: events, found, marks.marks)
  recording.omissions = events.omitted.sorted { $0.key < $1.key }.map {
    Omission(rank: result.rank, reason: $0.key, count: $0.value)
  }
  recording.ranks = [result]
  return recording
}

extension RankRecording {
  /// Takes over a file's events in the order of their start, counted from the first of them.
  fileprivate mutating func fill(
    from events: KinetoEvents, _ found: [RecordedCommunication?], _ marks: [RecordedMark]
  ) {
    let first = min(events.start.min() ?? .max, marks.first?.start ?? .max)
    let offset = first == .max ? 0 : first
    let base = (events.base ?? 0) + Int128(events.baseNanoseconds) * 1000 + Int128(offset)
    origin = Int64(truncatingIfNeeded: base)
    var order = Array(events.start.indices)
    let isSorted = zip(events.start, events.start.dropFirst()).allSatisfy { $0 <= $1 }
    if !isSorted { order.sort { (events.start[$0], $0) < (events.start[$1], $1) } }
    kind = order.map { events.kind[$0] }
    name = order.map { events.name[$0] }
    start = order.map { events.start[$0] - offset }
    duration = order.map { events.duration[$0] }
    stream = order.map { events.stream[$0] }
    operations = [Double](repeating: 0, count: order.count)
    dependencyOffsets = [Int32](repeating: 0, count: order.count + 1)
    communication.reserveCapacity(order.count)
    for event in order {
      if let found = found[event] {
        communication.append(Int32(communications.count))
        communications.append(found)
      } else {
        communication.append(-1)
      }
    }
    self.marks = marks.map { mark in
      var mark = mark
      mark.start -= offset
      return mark
    }
  }
}
