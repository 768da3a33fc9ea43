import Documents

/// Reads Kineto's JSON, in its object form or as a bare array of events, event by event.
///
/// Source: `output_json.cpp` of libkineto, and the traces of Chrome's format description.
struct KinetoParser: ~Copyable {
  private var json: JSONReader
  private var events = KinetoEvents()
  private var event = KinetoEvent()
  private var categories = NameTable()
  /// Whether a kernel communicates, by the number of its name.
  private var kernelKinds: [CommunicationKind?] = []
  private var omitted: [Int32: Int] = [:]
  private var phaseCounts = [Int](repeating: 0, count: 256)

  init(_ source: consuming ByteSource) { json = JSONReader(source) }

  /// - Throws: A ``Diagnostic`` with the byte where the file is not what it should be.
  consuming func read() throws -> KinetoEvents {
    if try json.peek() == .array {
      try readEvents()
    } else {
      try readObject()
    }
    try json.finish()
    countOmissions()
    return events
  }

  private mutating func readObject() throws {
    var hasEvents = false
    try json.beginObject()
    while try json.nextKey() {
      if json.tokenIs("traceEvents") {
        if hasEvents { throw json.error("the file has two lists of events", found: "traceEvents") }
        hasEvents = true
        try readEvents()
      } else if json.tokenIs("distributedInfo") {
        try readDistributedInfo()
      } else if json.tokenIs("deviceProperties") {
        try readDevices()
      } else if json.tokenIs("baseTimeNanoseconds") {
        events.baseNanoseconds = try integer() ?? 0
      } else {
        try readProperty()
      }
    }
    if !hasEvents { throw json.error("the file has no traceEvents", found: "another kind of JSON") }
  }

  // MARK: Values that may be of another type

  /// A whole number, also one in quotes; nil for anything else, which is passed.
  private mutating func integer() throws -> Int64? {
    switch try json.peek() {
    case .number: return try json.number().integer
    case .string:
      try json.string()
      return json.token.count < 20 ? Int64(json.text) : nil
    default:
      try json.skipValue()
      return nil
    }
  }

  private mutating func text() throws -> String? {
    guard try json.peek() == .string else {
      try json.skipValue()
      return nil
    }
    try json.string()
    return json.text
  }

  // MARK: About the file

  private mutating func readProperty() throws {
    guard json.token.count <= 40, events.properties.count < 40 else { return try json.skipValue() }
    let key = json.text
    switch try json.peek() {
    case .string:
      try json.string()
      if json.token.count <= 200 { events.properties.append((key, json.text)) }
    case .number:
      if let value = try json.number().integer { events.properties.append((key, String(value))) }
    default: try json.skipValue()
    }
  }

  private mutating func readDevices() throws {
    guard try json.peek() == .array else { return try json.skipValue() }
    try json.beginArray()
    while try json.nextElement() {
      guard try json.peek() == .object else {
        try json.skipValue()
        continue
      }
      try json.beginObject()
      while try json.nextKey() {
        let isName = json.tokenIs("name")
        if isName, events.properties.count < 40, let name = try text() {
          if !events.properties.contains(where: { $0 == ("device", name) }) {
            events.properties.append(("device", name))
          }
        } else if !isName {
          try json.skipValue()
        }
      }
    }
  }

  private mutating func readDistributedInfo() throws {
    guard try json.peek() == .object else { return try json.skipValue() }
    try json.beginObject()
    while try json.nextKey() {
      if json.tokenIs("rank") {
        events.rank = try integer().flatMap { 0..<Int64(Int32.max) ~= $0 ? Int($0) : nil }
      } else if json.tokenIs("world_size") {
        events.worldSize = try integer().flatMap { 1..<Int64(Int32.max) ~= $0 ? Int($0) : nil }
      } else if json.tokenIs("pg_config"), try json.peek() == .array {
        events.groups += try json.processGroups()
      } else {
        try readProperty()
      }
    }
  }

  // MARK: Events

  private mutating func readEvents() throws {
    try json.beginArray()
    while try json.nextElement() {
      event.reset(at: json.offset)
      try readEvent()
      events.eventCount += 1
      try keepEvent()
    }
  }

  private mutating func readEvent() throws {
    try json.beginObject()
    while try json.nextKey() {
      switch json.token.count {
      case 2:
        if json.tokenIs("ts") {
          event.time = try timeValue()
          continue
        }
        if json.tokenIs("ph") {
          try json.string()
          event.phase = json.token.count == 1 ? json.token[0] : 0
          continue
        }
      case 3:
        if json.tokenIs("dur") {
          event.duration = try timeValue()
          continue
        }
        if json.tokenIs("cat") {
          try json.string()
          event.category = KinetoCategory(json.token)
          if event.category == .other {
            // Categories are a dozen; a file that makes up many is not to fill memory.
            event.categoryName = categories.names.count < 200 ? categories.index(json.token) : -2
          }
          continue
        }
        if json.tokenIs("pid") {
          event.process = try identity()
          continue
        }
        if json.tokenIs("tid") {
          event.thread = try identity()
          continue
        }
      case 4:
        if json.tokenIs("name") {
          try readName()
          continue
        }
        if json.tokenIs("args") {
          try readArguments()
          continue
        }
      default: break
      }
      try json.skipValue()
    }
  }

  private mutating func timeValue() throws -> JSONNumber? {
    guard try json.peek() == .number else {
      try json.skipValue()
      return nil
    }
    return try json.number()
  }

  /// A process or thread: its number, or one made from its name.
  private mutating func identity() throws -> Int64 {
    switch try json.peek() {
    case .number: return try json.number().integer ?? -1
    case .string:
      try json.string()
      if json.token.count < 20, let number = Int64(json.text) { return number }
      return json.token.reduce(Int64.min) { $0 &* 31 &+ Int64($1) }
    default:
      try json.skipValue()
      return -1
    }
  }

  private mutating func readName() throws {
    guard try json.peek() == .string else { return try json.skipValue() }
    try json.string()
    event.hasName = true
    if let category = event.category {
      switch category {
      case .operation where json.token.count > 30 || json.token.count < 8: return
      case .other: return
      default: break
      }
    }
    event.name.append(contentsOf: json.token)
  }

  private mutating func readArguments() throws {
    // Most events of a file are host operations, of which only NCCL's own are of use.
    if event.category == .other || event.phase != 0 && event.phase != UInt8(ascii: "X")
      || event.category == .operation && event.hasName && !event.isNamed("record_param_comms")
    {
      return try json.skipValue()
    }
    guard try json.peek() == .object else { return try json.skipValue() }
    event.hasArguments = true
    try json.beginObject()
    while try json.nextKey() { try event.arguments.readValue(from: &json) }
  }

  // MARK: Keeping

  private mutating func keepEvent() throws {
    guard event.phase == UInt8(ascii: "X") else {
      phaseCounts[Int(event.phase)] += 1
      return
    }
    let duration = try span()
    switch event.category {
    case .kernel, .memory:
      try keepDeviceEvent(duration)
    case .deviceRange:
      let stream = Int32(exactly: event.arguments.stream ?? event.thread) ?? -1
      events.deviceRanges.append((try range(duration), stream))
      omit("range of the device, kept as a mark")
    case .hostRange: try keepHostRange(duration)
    case .operation:
      if event.isNamed("record_param_comms") {
        try keepHostCommunication(duration)
        omit("NCCL's operation on the host")
      } else if event.isNamed("ProfilerStep#", isPrefix: true) {
        events.hostRanges.append(try range(duration))
        omit("range of the host, kept as a mark")
      } else {
        omit("operation of the host")
      }
    case .runtime:
      if let correlation = event.arguments.correlation, event.nameContains("Launch") {
        events.launches.append(
          KinetoLaunch(
            correlation: correlation, time: try time(), process: event.process, thread: event.thread))
      }
      omit("call of the runtime")
    case .other, nil: omitted[event.categoryName, default: 0] += 1
    }
  }

  private mutating func omit(_ reason: String) { events.omitted[reason, default: 0] += 1 }

  private mutating func keepDeviceEvent(_ duration: Int64) throws {
    let start = try time()
    guard event.duration != nil else {
      throw json.error(
        "an event of the device has no duration", at: event.offset, allowed: "dur in microseconds")
    }
    let name = events.names.index(event.name)
    var kind = EventKind.memory
    if event.category == .kernel {
      while kernelKinds.count <= Int(name) {
        kernelKinds.append(CommunicationKind(kernel: events.names.names[kernelKinds.count]))
      }
      kind = kernelKinds[Int(name)] != nil || event.arguments.isCommunication ? .communication : .compute
    }
    events.kind.append(kind)
    events.name.append(name)
    events.start.append(start)
    events.duration.append(duration)
    events.stream.append(Int32(exactly: event.arguments.stream ?? event.thread) ?? -1)
    events.correlation.append(event.arguments.correlation ?? -1)
    if kind == .communication, event.arguments.isCommunication {
      try checkCounts()
      events.argumentsIndex.append(Int32(events.arguments.count))
      events.arguments.append(event.arguments)
    } else {
      events.argumentsIndex.append(-1)
    }
    let device = event.arguments.device ?? event.process
    if !events.devices.contains(device), events.devices.count < 64 { events.devices.append(device) }
  }

  private mutating func keepHostRange(_ duration: Int64) throws {
    if event.isNamed("nccl:", isPrefix: true) || event.isNamed("record_param_comms") {
      try keepHostCommunication(duration)
      omit("NCCL's operation on the host")
    } else {
      events.hostRanges.append(try range(duration))
      omit("range of the host, kept as a mark")
    }
  }

  private mutating func keepHostCommunication(_ duration: Int64) throws {
    if event.arguments.isCommunication { try checkCounts() }
    var range = try range(duration)
    range.arguments = Int32(events.arguments.count)
    events.arguments.append(event.arguments)
    events.hostCommunications.append(range)
  }

  private mutating func range(_ duration: Int64) throws -> KinetoHostRange {
    let start = try time()
    return KinetoHostRange(
      start: start, end: start + duration, process: event.process, thread: event.thread,
      name: events.names.index(event.name), arguments: -1)
  }

  /// The event's time in picoseconds after the file's first.
  private mutating func time() throws -> Int64 {
    guard let number = event.time else {
      throw json.error("an event has no time", at: event.offset, allowed: "ts in microseconds")
    }
    guard let picoseconds = number.scaled(by: 6) else {
      throw json.error("an event's time is not a number", at: event.offset, allowed: "microseconds")
    }
    let base = events.base ?? picoseconds
    events.base = base
    guard abs(picoseconds - base) < Int128(Int64.max / 4) else {
      throw json.error(
        "an event's time lies too far from the first event's", at: event.offset, allowed: "within 26 days")
    }
    return Int64(picoseconds - base)
  }

  private func span() throws -> Int64 {
    guard let number = event.duration else { return 0 }
    guard let picoseconds = number.scaled(by: 6), picoseconds >= 0, picoseconds < Int128(Int64.max / 4) else {
      throw json.error(
        "an event's duration is no length of time", at: event.offset,
        found: !number.isFinite ? "not a number" : number.isNegative ? "a negative one" : "more than 26 days",
        allowed: "microseconds from 0")
    }
    return Int64(picoseconds)
  }

  private func checkCounts() throws {
    let arguments = event.arguments
    let counts = [arguments.inputElements, arguments.outputElements, arguments.groupSize]
    guard counts.allSatisfy({ 0..<(1 << 50) ~= $0 ?? 0 }) else {
      throw json.error(
        "a communication's size is impossible", at: event.offset,
        found: counts.compactMap { $0.map(String.init) }.joined(separator: ", "), allowed: "0 to 2^50")
    }
    for splits in [arguments.inputSplits, arguments.outputSplits] {
      guard splits.values?.allSatisfy({ 0..<(1 << 50) ~= $0 }) ?? true else {
        throw json.error("a split is impossible", at: event.offset, allowed: "0 to 2^50")
      }
    }
  }

  private mutating func countOmissions() {
    for (name, count) in omitted {
      let category =
        name == -1
        ? "no category" : name < 0 ? "a rare category" : "category \(categories.names[Int(name)].prefix(60))"
      events.omitted[category, default: 0] += count
    }
    for (phase, count) in phaseCounts.enumerated() where count > 0 {
      switch UInt8(phase) {
      case UInt8(ascii: "M"): events.omitted["metadata", default: 0] += count
      case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "f"):
        events.omitted["arrow", default: 0] += count
      case UInt8(ascii: "i"), UInt8(ascii: "I"): events.omitted["instant", default: 0] += count
      case UInt8(ascii: "C"): events.omitted["counter", default: 0] += count
      case 0: events.omitted["no phase", default: 0] += count
      default:
        events.omitted["phase \(Character(Unicode.Scalar(UInt8(phase))))", default: 0] += count
      }
    }
  }
}

extension KinetoEvent {
  func isNamed(_ text: StaticString, isPrefix: Bool = false) -> Bool {
    let count = text.utf8CodeUnitCount
    guard isPrefix ? name.count >= count : name.count == count else { return false }
    for index in 0..<count where name[index] != text.utf8Start[index] { return false }
    return true
  }

  func nameContains(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard name.count >= count else { return false }
    return name.withUnsafeBufferPointer { name in
      for start in 0...(name.count - count) where name[start] == text.utf8Start[0] {
        if (1..<count).allSatisfy({ name[start + $0] == text.utf8Start[$0] }) { return true }
      }
      return false
    }
  }
}
