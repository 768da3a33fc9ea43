/// Makes ``RecordedCommunication``s of what kernels say, or of what the host did when it launched them.
struct KinetoCommunications {
  private(set) var groups: [ProcessGroup]
  private(set) var notes = NoteCounts()
  private var groupIndex: [String: Int32] = [:]
  private let worldSize: Int?

  init(_ groups: [ProcessGroup], worldSize: Int?) {
    self.groups = groups
    self.worldSize = worldSize
    for (index, group) in groups.enumerated() where groupIndex[group.name] == nil {
      groupIndex[group.name] = Int32(index)
    }
  }

  /// The communication of each event, in the order of the events; nil for other events.
  ///
  /// - Parameter trace: The execution trace of the same rank.
  mutating func communications(of events: inout KinetoEvents, linkedWith trace: ExecutionTrace?)
    -> [RecordedCommunication?]
  {
    let join = KinetoJoin(&events)
    var found = [RecordedCommunication?](repeating: nil, count: events.kind.count)
    /// Kernels of each host operation: a size that several share says nothing of one.
    var kernelsOfOperation: [Int: [Int]] = [:]
    for event in events.kind.indices where events.kind[event] == .communication {
      let kernel = events.names.names[Int(events.name[event])]
      let isDescribed = events.argumentsIndex[event] >= 0
      let operation = join.launch(events.correlation[event]).flatMap { join.operation(around: $0) }
      if let operation { kernelsOfOperation[operation.index, default: []].append(event) }
      if isDescribed {
        found[event] = communication(events.arguments[Int(events.argumentsIndex[event])], kernel: kernel)
      } else {
        var communication = RecordedCommunication(
          CommunicationKind(kernel: kernel) ?? .unknown, recordedName: kernel)
        if let operation { describe(&communication, by: operation.record, operation.inner, in: events) }
        found[event] = communication
      }
    }
    if let trace { link(&found, kernelsOfOperation, join, trace, events) }
    for operation in kernelsOfOperation.keys.sorted() {
      let kernels = kernelsOfOperation[operation, default: []]
      guard kernels.count > 1, events.argumentsIndex[kernels[0]] < 0 else { continue }
      for event in kernels {
        found[event]?.inputBytes = nil
        found[event]?.outputBytes = nil
        notes.count("%d communications share their operation with others; their bytes are unknown")
      }
    }
    for communication in found {
      if let communication, communication.inputBytes == nil, communication.outputBytes == nil {
        notes.count("the bytes of %d communications are unknown")
      }
    }
    return found
  }

  /// Replaces what kernels say by what the execution trace says of the operations that they come from.
  private mutating func link(
    _ found: inout [RecordedCommunication?], _ kernelsOfOperation: [Int: [Int]], _ join: KinetoJoin,
    _ trace: ExecutionTrace, _ events: KinetoEvents
  ) {
    let operations = join.operations(events)
    let linking = KinetoLinking(operations.map(\.operation), trace.operations)
    if let note = linking.note {
      notes.count(note)
      return
    }
    let groupMap = trace.groups.map { enter($0) }
    var isLinked = [Bool](repeating: false, count: trace.operations.count)
    for (place, match) in zip(operations, linking.matches) {
      guard let match, var communication = trace.operations[match].communication,
        let kernels = kernelsOfOperation[place.index]
      else { continue }
      if communication.group >= 0 { communication.group = groupMap[Int(communication.group)] }
      for kernel in kernels { found[kernel] = communication }
      isLinked[match] = true
    }
    let count = found.count { $0 != nil }
    let linked = linking.matches.indices.reduce(0) {
      $0 + (linking.matches[$1] == nil ? 0 : kernelsOfOperation[operations[$1].index]?.count ?? 0)
    }
    notes.count("%d kernels are linked with the execution trace", by: linked)
    if linked < count {
      notes.count("%d kernels are not linked with the execution trace", by: count - linked)
    }
    let silent = zip(trace.operations, isLinked).count { $0.communication != nil && !$1 }
    if silent > 0 { notes.count("%d communications of the execution trace have no kernel", by: silent) }
  }

  /// The index of a group of another file.
  private mutating func enter(_ group: ProcessGroup) -> Int32 {
    if let known = groupIndex[group.name] {
      if groups[Int(known)].ranks == nil { groups[Int(known)].ranks = group.ranks }
      return known
    }
    groupIndex[group.name] = Int32(groups.count)
    groups.append(group)
    return Int32(groups.count - 1)
  }

  /// What a kernel, or `record_param_comms`, says in full.
  private mutating func communication(_ arguments: KinetoArguments, kernel: String) -> RecordedCommunication {
    let word = arguments.collective ?? kernel
    let byKernel = CommunicationKind(kernel: kernel) ?? .unknown
    let byWord = arguments.collective.flatMap { CommunicationKind(collective: $0) } ?? .unknown
    var communication = RecordedCommunication(byWord == .unknown ? byKernel : byWord, recordedName: word)
    communication.dataType = arguments.dataType
    let size = arguments.dataType.flatMap(ElementTypes.size)
    if size == nil, let type = arguments.dataType {
      notes.count("the size of elements of type \(type.prefix(40)) is unknown (%d communications)")
    }
    communication.inputBytes = arguments.inputElements.flatMap { count in size.map { count * $0 } }
    communication.outputBytes = arguments.outputElements.flatMap { count in size.map { count * $0 } }
    communication.inputSplits = splits(arguments.inputSplits, communication.inputBytes)
    communication.outputSplits = splits(arguments.outputSplits, communication.outputBytes)
    communication.sequence = arguments.sequence
    if communication.kind == .send {
      communication.peer = arguments.destination.flatMap { Int32(exactly: $0) }
    }
    if communication.kind == .receive { communication.peer = arguments.source.flatMap { Int32(exactly: $0) } }
    enterGroup(of: arguments, into: &communication)
    return communication
  }

  private mutating func splits(_ list: SplitList, _ bytes: Int64?) -> [Int64]? {
    switch list {
    case .absent: return nil
    case .cutOff:
      notes.count("%d lists of sizes are cut off in the file and therefore unknown")
      return nil
    case .list(let values): return splitBytes(values, of: bytes)
    }
  }

  private mutating func enterGroup(
    of arguments: KinetoArguments, into communication: inout RecordedCommunication
  ) {
    let values = arguments.groupRanks.values ?? []
    let known = values.compactMap { Int32(exactly: $0) }
    let ranks = known.isEmpty || known.count < values.count ? nil : known
    let size = arguments.groupSize.flatMap { $0 > 0 && $0 <= Int64(Int32.max) ? Int($0) : nil }
    communication.groupSize = size ?? ranks?.count
    guard let name = arguments.groupName else { return }
    if let known = groupIndex[name] {
      communication.group = known
      if groups[Int(known)].ranks == nil { groups[Int(known)].ranks = ranks }
      if groups[Int(known)].size == nil { groups[Int(known)].size = communication.groupSize }
    } else {
      communication.group = Int32(groups.count)
      groupIndex[name] = communication.group
      groups.append(
        ProcessGroup(
          name: name, description: arguments.groupDescription ?? "", ranks: ranks,
          size: communication.groupSize))
    }
    if communication.groupSize == nil { communication.groupSize = groups[Int(communication.group)].size }
  }

  /// Completes what a kernel's name says by the host's operation around its launch.
  private mutating func describe(
    _ communication: inout RecordedCommunication, by record: KinetoHostRange, _ inner: KinetoHostRange?,
    in events: KinetoEvents
  ) {
    let arguments = events.arguments[Int(record.arguments)]
    if arguments.isCommunication {
      communication = self.communication(arguments, kernel: communication.recordedName)
      return
    }
    let innerName = events.names.names[Int((inner ?? record).name)]
    if let kind = CommunicationKind(collective: innerName), kind != .unknown, innerName.hasPrefix("nccl:") {
      // Whether an all-to-all was uneven, these traces do not say.
      communication.kind = kind
      communication.recordedName = innerName
    }
    let tensors = arguments.inputTensors ?? inner.flatMap { events.arguments[Int($0.arguments)].inputTensors }
    guard let tensors else { return }
    communication.dataType = tensors.type
    communication.inputBytes = tensors.bytes
    if communication.kind == .allReduce || communication.kind == .broadcast {
      communication.outputBytes = tensors.bytes
    }
  }

  /// Fills in the ranks of groups that are all of the job.
  mutating func completeGroups() {
    guard let worldSize, worldSize <= 1 << 20 else { return }
    let all = (0..<Int32(worldSize)).map { $0 }
    for index in groups.indices where groups[index].ranks == nil && groups[index].size == worldSize {
      groups[index].ranks = all
    }
  }
}

/// Bytes of each part of a buffer that a list of splits divides; nil where they do not add up.
///
/// PyTorch's splits count rows of the first dimension: a row is what the buffer's bytes divide into.
func splitBytes(_ splits: [Int64], of bytes: Int64?) -> [Int64]? {
  guard let bytes, !splits.isEmpty else { return nil }
  var sum: Int64 = 0
  for split in splits {
    let (next, overflows) = sum.addingReportingOverflow(split)
    guard split >= 0, !overflows else { return nil }
    sum = next
  }
  guard sum > 0 else { return bytes == 0 ? splits : nil }
  guard bytes % sum == 0 else { return nil }
  let row = bytes / sum
  return splits.map { $0 * row }
}

/// Sentences with a number in them, counted as they come up, in the order of their first.
struct NoteCounts {
  private var order: [String] = []
  private var counts: [String: Int] = [:]

  /// `%d` stands for the number.
  mutating func count(_ sentence: String, by amount: Int = 1) {
    if counts[sentence] == nil { order.append(sentence) }
    counts[sentence, default: 0] += amount
  }

  var sentences: [String] { order.map { $0.replacing("%d", with: String(counts[$0] ?? 0)) } }
}
