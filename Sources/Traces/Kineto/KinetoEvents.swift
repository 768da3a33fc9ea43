/// What a Kineto event is, by its category, whatever the version that wrote it.
enum KinetoCategory: UInt8 {
  case kernel, memory, deviceRange, hostRange, operation, runtime, other

  /// `kernel`, `Kernel`, `gpu_memcpy`, `Memcpy`, `cuda_runtime`, `Runtime`, `cpu_op`, `Operator`, …
  init(_ text: UnsafeBufferPointer<UInt8>) {
    self = .other
    for (word, category) in Self.words where Self.isEqual(text, word) {
      self = category
      return
    }
  }

  private static let words: [(StaticString, KinetoCategory)] = [
    ("cpu_op", .operation), ("kernel", .kernel), ("cuda_runtime", .runtime), ("user_annotation", .hostRange),
    ("gpu_memcpy", .memory), ("gpu_memset", .memory), ("gpu_user_annotation", .deviceRange),
    ("cuda_driver", .runtime),
    ("hip_runtime", .runtime), ("hip_driver", .runtime), ("memcpy", .memory), ("memset", .memory),
    ("runtime", .runtime),
    ("operator", .operation), ("xpu_runtime", .runtime), ("privateuse1_runtime", .runtime),
    ("privateuse1_driver", .runtime), ("mtia_runtime", .runtime),
  ]

  private static func isEqual(_ text: UnsafeBufferPointer<UInt8>, _ word: StaticString) -> Bool {
    guard text.count == word.utf8CodeUnitCount else { return false }
    for index in 0..<text.count {
      let byte = text[index]
      let lower = byte &- 65 < 26 ? byte | 0x20 : byte
      if lower != word.utf8Start[index] { return false }
    }
    return true
  }
}

/// One event of `traceEvents` as it was read, used again for the next.
struct KinetoEvent {
  var offset = 0
  /// `X` (complete), `M`, `s`, `f`, `i`, …; 0 where the file does not say.
  var phase: UInt8 = 0
  var category: KinetoCategory?
  /// Of ``KinetoParser/categories``; -1 where there is none.
  var categoryName: Int32 = -1
  /// Bytes of the name, kept for what may become an event.
  var name: [UInt8] = []
  var hasName = false
  var time: JSONNumber?
  var duration: JSONNumber?
  var process: Int64 = -1
  var thread: Int64 = -1
  var arguments = KinetoArguments()
  var hasArguments = false

  mutating func reset(at offset: Int) {
    self.offset = offset
    phase = 0
    category = nil
    categoryName = -1
    name.removeAll(keepingCapacity: true)
    hasName = false
    time = nil
    duration = nil
    process = -1
    thread = -1
    if hasArguments {
      arguments = KinetoArguments()
      hasArguments = false
    }
  }
}

/// What a host does around communication and launches, kept to find out what kernels are.
struct KinetoHostRange {
  var start: Int64
  var end: Int64
  var process: Int64
  var thread: Int64
  /// Of the table of names.
  var name: Int32
  /// Of ``KinetoEvents/arguments``; -1 without.
  var arguments: Int32
}

struct KinetoLaunch {
  var correlation: Int64
  var time: Int64
  var process: Int64
  var thread: Int64
}

/// What is kept of a Kineto file: columns of its device's events, ranges of its host, launches.
///
/// Times are picoseconds after ``base``.
struct KinetoEvents {
  var names = NameTable()
  var kind: [EventKind] = []
  var name: [Int32] = []
  var start: [Int64] = []
  var duration: [Int64] = []
  var stream: [Int32] = []
  var correlation: [Int64] = []
  /// Of ``arguments``; -1 without.
  var argumentsIndex: [Int32] = []
  var arguments: [KinetoArguments] = []
  var deviceRanges: [(mark: KinetoHostRange, stream: Int32)] = []
  var hostRanges: [KinetoHostRange] = []
  /// `record_param_comms` and NCCL's own ranges inside it.
  var hostCommunications: [KinetoHostRange] = []
  var launches: [KinetoLaunch] = []
  /// The first time of the file, picoseconds of its own clock.
  var base: Int128?
  var baseNanoseconds: Int64 = 0
  var devices: [Int64] = []
  /// Events that are kept as marks, or not at all.
  var omitted: [String: Int] = [:]
  var eventCount = 0

  var rank: Int?
  var worldSize: Int?
  var groups: [ProcessGroup] = []
  var properties: [(name: String, value: String)] = []
}
