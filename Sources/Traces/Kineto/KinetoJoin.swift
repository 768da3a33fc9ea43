/// Finds the host's operation that a kernel comes from: the launch with the kernel's correlation, and the ranges around
/// it on the same thread.
///
/// Needed for traces whose kernels do not describe their communication. There, `External id` differs between kernels
/// and operations, so that only time tells.
struct KinetoJoin {
  /// Sorted by correlation.
  private let launches: [KinetoLaunch]
  /// Sorted by process, thread and start.
  private let ranges: [KinetoHostRange]
  private let recordName: Int32

  init(_ events: inout KinetoEvents) {
    launches = events.launches.sorted { ($0.correlation, $0.time) < ($1.correlation, $1.time) }
    ranges = events.hostCommunications.sorted {
      ($0.process, $0.thread, $0.start, $1.end) < ($1.process, $1.thread, $1.start, $0.end)
    }
    recordName = events.names.index(Array("record_param_comms".utf8))
  }

  func launch(_ correlation: Int64) -> KinetoLaunch? {
    guard correlation >= 0 else { return nil }
    var (low, high) = (0, launches.count)
    while low < high {
      let middle = (low + high) / 2
      if launches[middle].correlation < correlation { low = middle + 1 } else { high = middle }
    }
    return low < launches.count && launches[low].correlation == correlation ? launches[low] : nil
  }

  /// `record_param_comms` around a launch, and NCCL's range (`nccl:all_reduce`) inside it.
  func operation(around launch: KinetoLaunch) -> (
    record: KinetoHostRange, index: Int, inner: KinetoHostRange?
  )? {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      let range = ranges[middle]
      if (range.process, range.thread, range.start) <= (launch.process, launch.thread, launch.time) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    var inner: KinetoHostRange?
    // Ranges of communication do not nest deeper than this.
    for index in stride(from: low - 1, through: max(low - 8, 0), by: -1) {
      let range = ranges[index]
      guard range.process == launch.process, range.thread == launch.thread else { break }
      guard range.end >= launch.time else { continue }
      if range.name == recordName { return (range, index, inner) }
      inner = inner ?? range
    }
    return inner.map { ($0, low - 1, nil) }
  }

  /// All `record_param_comms` in the order of their beginning, by their index here, with what the file says of each.
  func operations(_ events: KinetoEvents) -> [(index: Int, operation: KinetoLinking.HostOperation)] {
    var operations: [(index: Int, operation: KinetoLinking.HostOperation)] = []
    for (index, range) in ranges.enumerated() where range.name == recordName {
      let arguments = events.arguments[Int(range.arguments)]
      var operation = KinetoLinking.HostOperation(
        recordFunction: arguments.recordFunctionID,
        kind: arguments.collective.flatMap { CommunicationKind(collective: $0) },
        inputBytes: arguments.inputTensors?.bytes,
        hasNoTensor: !arguments.inputTypes.isEmpty
          && arguments.inputTypes.allSatisfy { $0 == "" || $0 == "Scalar" })
      if let size = arguments.dataType.flatMap(ElementTypes.size), let count = arguments.inputElements {
        operation.inputBytes = arguments.collective == "wait" ? nil : count * size
      }
      // NCCL's own range follows directly, within it and on its thread.
      if index + 1 < ranges.count, arguments.collective == nil {
        let inner = ranges[index + 1]
        if inner.name != recordName, inner.thread == range.thread, inner.process == range.process,
          inner.end <= range.end
        {
          operation.kind = CommunicationKind(collective: events.names.names[Int(inner.name)])
          operation.inputBytes =
            operation.inputBytes ?? events.arguments[Int(inner.arguments)].inputTensors?.bytes
        }
      }
      operations.append((index, operation))
    }
    return operations.sorted {
      (ranges[$0.index].start, $0.index) < (ranges[$1.index].start, $1.index)
    }
  }
}
