/// What is kept of a PyTorch execution trace: its communication in the order of its beginning, and groups.
struct ExecutionTrace {
  /// One `record_param_comms`, waits and barriers included.
  struct Operation {
    var id: Int64
    /// PyTorch's number of the recorded function, which newer Kineto traces have too.
    var recordFunction: Int64?
    /// nil for `wait` and others that move nothing.
    var communication: RecordedCommunication?
    /// `wait`, `all_to_allv`.
    var word: String
  }

  var operations: [Operation] = []
  var groups: [ProcessGroup] = []
  var rank: Int?
  var nodeCount = 0
  var properties: [(name: String, value: String)] = []
  var notes = NoteCounts()
  /// Groups that are known to be all of the job.
  var worldSize: Int?
}

/// The values that a `record_param_comms` was called with, whatever the schema.
///
/// `[tensors…, sequence, group, rank, "name", [input splits], [output splits], start, stride, size]`: the group is a
/// pointer (1.0.1) or a pair of strings, the sequence a number or a pair with "is point to point", the last three are
/// missing in 1.0.1. So everything is found from the name, the first string.
struct ParameterValues {
  var tensors: ArraySlice<JSONTree>
  var sequence: Int64?
  var groupName: String?
  var groupDescription: String?
  /// The rank within the group; for messages that of the peer.
  var rank: Int64?
  var name: String
  var inputSplits: [Int64]?
  var outputSplits: [Int64]?
  var start: Int64?
  var stride: Int64?
  var size: Int64?

  /// - Returns: nil where the values have another form.
  init?(_ values: [JSONTree]) {
    guard let place = values.firstIndex(where: { $0.string != nil }), place >= 3 else { return nil }
    name = values[place].string ?? ""
    rank = values[place - 1].integer
    switch values[place - 2] {
    case .number(let pointer): groupName = pointer.integer.map(String.init)
    case .list(let pair):
      groupName = pair.first?.string
      groupDescription = pair.count > 1 ? pair[1].string : nil
    default: break
    }
    sequence = values[place - 3].integer ?? values[place - 3].list?.first?.integer
    tensors = values[..<(place - 3)]
    func value(_ offset: Int) -> JSONTree? { place + offset < values.count ? values[place + offset] : nil }
    func splits(_ tree: JSONTree?) -> [Int64]? {
      guard let list = tree?.list, !list.isEmpty else { return nil }
      let values = list.compactMap(\.integer)
      return values.count == list.count ? values : nil
    }
    inputSplits = splits(value(1))
    outputSplits = splits(value(2))
    start = value(3)?.integer
    stride = value(4)?.integer
    size = value(5)?.integer
  }

  /// Global ranks of the group where start and stride give them.
  var ranks: [Int32]? {
    guard let start, let stride, let size, start >= 0, size > 0, size <= 1 << 20 else { return nil }
    guard stride > 0 || size == 1 else { return nil }
    let (reach, overflows) = stride.multipliedReportingOverflow(by: size)
    guard !overflows, reach < Int64(Int32.max) - start else { return nil }
    return (0..<size).map { Int32(start + $0 * stride) }
  }
}

/// Bytes of all tensors in a list, which may be nested.
///
/// A tensor is `[id, storage, offset, elements, bytes of an element, "cuda:0"]`.
/// - Returns: nil where there is no tensor, or one has an impossible size.
func tensorBytes(_ values: some Sequence<JSONTree>) -> Int64? {
  var sum: Int64?
  for value in values {
    guard let list = value.list else { continue }
    var bytes: Int64?
    if list.count >= 6, list[0].integer != nil, let elements = list[3].integer, let size = list[4].integer {
      guard 0..<(1 << 50) ~= elements, 0..<1024 ~= size else { return nil }
      bytes = elements * size
    } else {
      bytes = tensorBytes(list)
      if bytes == nil, !list.isEmpty, list.contains(where: { $0.list != nil }) { return nil }
    }
    if let bytes {
      let (total, overflows) = (sum ?? 0).addingReportingOverflow(bytes)
      if overflows { return nil }
      sum = total
    }
  }
  return sum
}
