import Documents

/// Reads one rank's execution trace of PyTorch (schemas 1.0.1 to 1.1.1), plain or gzip: its communication with true
/// sizes, without times.
///
/// - Throws: A ``Diagnostic`` with the file and the byte where it is not what it should be.
public func readExecutionTrace(at path: String) throws -> Recording {
  try readExecutionTrace(ByteSource(path: path))
}

/// Reads the execution traces of several ranks of one job.
public func readExecutionTrace(at paths: [String]) throws -> Recording {
  merge(try paths.map { try readExecutionTrace(at: $0) })
}

func readExecutionTrace(_ source: consuming ByteSource) throws -> Recording {
  let file = source.file
  let trace = try ExecutionTraceParser(source).read()
  var recording = Recording(.pytorchExecution)
  recording.groups = trace.groups
  recording.worldSize = trace.worldSize
  let rank = trace.rank ?? rankInFileName(file)
  if rank == nil { recording.notes.append("\(file) does not say its rank: taken as rank 0") }
  var result = RankRecording(rank: rank ?? 0, file: file)
  result.properties = trace.properties
  var waits = 0
  for operation in trace.operations {
    if let communication = operation.communication {
      result.append(.communication, name: operation.word, communication: communication)
    } else {
      waits += 1
    }
  }
  recording.notes += trace.notes.sentences
  let omitted = [
    ("operation of the host", trace.nodeCount - trace.operations.count),
    ("wait for a communication", waits),
  ]
  recording.omissions = omitted.filter { $0.1 > 0 }.map {
    Omission(rank: result.rank, reason: $0.0, count: $0.1)
  }
  recording.ranks = [result]
  return recording
}

/// Reads the JSON of an execution trace node by node.
struct ExecutionTraceParser: ~Copyable {
  private var json: JSONReader
  private var trace = ExecutionTrace()
  private var node = ExecutionNode()
  private var ids: Set<Int64> = []
  private var groupIndex: [String: Int32] = [:]
  /// Values of `rank` in operations of the default group, or of any.
  private var ranks: (byDefault: Int?, any: Set<Int64>) = (nil, [])

  init(_ source: consuming ByteSource) { json = JSONReader(source) }

  consuming func read() throws -> ExecutionTrace {
    var hasNodes = false
    try json.beginObject()
    while try json.nextKey() {
      if json.tokenIs("nodes") {
        if hasNodes { throw json.error("the file has two lists of nodes", found: "nodes") }
        hasNodes = true
        try readNodes()
      } else if json.token.count <= 40, trace.properties.count < 40 {
        let key = json.text
        switch try json.tree() {
        case .string(let value): trace.properties.append((key, String(value.prefix(200))))
        case .number(let number):
          if let value = number.integer { trace.properties.append((key, String(value))) }
        default: break
        }
      } else {
        try json.skipValue()
      }
    }
    try json.finish()
    if !hasNodes { throw json.error("the file has no nodes", found: "another kind of JSON") }
    complete()
    return trace
  }

  private mutating func complete() {
    // Numbers are given when an operation begins; the file lists operations as they end.
    trace.operations.sort { $0.id < $1.id }
    trace.worldSize = trace.groups.first { $0.description == "default_pg" }?.size
    trace.rank =
      ranks.byDefault
      ?? (trace.groups.count == 1 && ranks.any.count == 1 ? ranks.any.first.map(Int.init) : nil)
    if let worldSize = trace.worldSize, worldSize <= 1 << 20 {
      let all = (0..<Int32(worldSize)).map { $0 }
      for index in trace.groups.indices
      where trace.groups[index].ranks == nil && trace.groups[index].size == worldSize {
        trace.groups[index].ranks = all
      }
    }
    for index in trace.operations.indices {
      guard let communication = trace.operations[index].communication else { continue }
      if communication.groupSize == nil, communication.group >= 0 {
        trace.operations[index].communication?.groupSize = trace.groups[Int(communication.group)].size
      }
      if communication.inputBytes == nil, communication.outputBytes == nil {
        trace.notes.count("the bytes of %d communications are unknown")
      }
    }
  }

  // MARK: Nodes

  private mutating func readNodes() throws {
    try json.beginArray()
    while try json.nextElement() {
      node = ExecutionNode()
      node.offset = json.offset
      try readNode()
      trace.nodeCount += 1
      guard let id = node.id else {
        throw json.error("a node has no id", at: node.offset, allowed: "a whole number")
      }
      guard ids.insert(id).inserted else {
        throw json.error("two nodes have one id", at: node.offset, found: String(id))
      }
      if node.name == .parameters { try keepOperation(id) }
      if node.name == .groups { try keepGroups() }
    }
  }

  private mutating func readNode() throws {
    try json.beginObject()
    while try json.nextKey() {
      switch json.token.count {
      case 2 where json.tokenIs("id"):
        node.id = try json.peek() == .number ? json.number().integer : nil
      case 4 where json.tokenIs("name"): node.name = try nodeName()
      case 5 where json.tokenIs("rf_id"): node.recordFunction = try json.tree().integer
      case 5 where json.tokenIs("attrs"): try readAttributes()
      case 6 where json.tokenIs("inputs"):
        let inputs = try values()
        node.inputs = inputs.values
        node.inputTypes = inputs.types ?? node.inputTypes
      case 7 where json.tokenIs("outputs"):
        let outputs = try values()
        node.outputs = outputs.values
        node.outputTypes = outputs.types ?? node.outputTypes
      case 11 where json.tokenIs("input_types") && node.isWanted: node.inputTypes = try texts()
      case 12 where json.tokenIs("output_types") && node.isWanted: node.outputTypes = try texts()
      default: try json.skipValue()
      }
    }
  }

  private mutating func nodeName() throws -> ExecutionNode.Name {
    try json.string()
    if json.tokenIs("record_param_comms") { return .parameters }
    return json.tokenIs("## process_group:init ##") ? .groups : .other
  }

  /// A list of values, or from 1.0.2 on an object with values, shapes and types.
  private mutating func values() throws -> (values: [JSONTree], types: [String]?) {
    guard node.isWanted else {
      try json.skipValue()
      return ([], nil)
    }
    guard try json.peek() == .object else { return (try json.tree().list ?? [], nil) }
    var values: [JSONTree] = []
    var types: [String]?
    try json.beginObject()
    while try json.nextKey() {
      if json.tokenIs("values") {
        values = try json.tree().list ?? []
      } else if json.tokenIs("types") {
        types = try texts()
      } else {
        try json.skipValue()
      }
    }
    return (values, types)
  }

  private mutating func texts() throws -> [String] { try json.tree().list?.map { $0.string ?? "" } ?? [] }

  /// `[{"name": "rf_id", "type": "uint64", "value": 129}, …]`
  private mutating func readAttributes() throws {
    guard node.isWanted, try json.peek() == .array else { return try json.skipValue() }
    try json.beginArray()
    while try json.nextElement() {
      var (name, value) = ("", JSONTree.other)
      try json.beginObject()
      while try json.nextKey() {
        if json.tokenIs("name") {
          name = try json.tree().string ?? ""
        } else if json.tokenIs("value") {
          value = try json.tree()
        } else {
          try json.skipValue()
        }
      }
      switch name {
      case "rf_id": node.recordFunction = value.integer
      case "dtype": node.dataType = value.string
      case "in_msg_nelems": node.inputElements = value.integer
      case "out_msg_nelems": node.outputElements = value.integer
      case "pg_size": node.groupSize = value.integer
      default: break
      }
    }
  }

  // MARK: Meaning

  private mutating func keepOperation(_ id: Int64) throws {
    guard let values = ParameterValues(node.inputs) else {
      trace.notes.count("%d record_param_comms have an unknown form; what they do is unknown")
      let unknown = RecordedCommunication(.unknown, recordedName: "record_param_comms")
      trace.operations.append(
        .init(id: id, recordFunction: node.recordFunction, communication: unknown, word: "record_param_comms")
      )
      return
    }
    for split in (values.inputSplits ?? []) + (values.outputSplits ?? []) where !(0..<(1 << 50) ~= split) {
      throw json.error("a split is impossible", at: node.offset, found: String(split), allowed: "0 to 2^50")
    }
    guard let kind = CommunicationKind(collective: values.name) else {
      trace.operations.append(
        .init(id: id, recordFunction: node.recordFunction, communication: nil, word: values.name))
      return
    }
    var communication = RecordedCommunication(kind, recordedName: values.name)
    communication.dataType = node.dataType ?? elementType(node.inputTypes) ?? elementType(node.outputTypes)
    let size = communication.dataType.flatMap(ElementTypes.size)
    communication.inputBytes = tensorBytes(values.tensors) ?? bytes(node.inputElements, size)
    communication.outputBytes = tensorBytes(node.outputs) ?? bytes(node.outputElements, size)
    communication.inputSplits = splitBytes(values.inputSplits ?? [], of: communication.inputBytes)
    communication.outputSplits = splitBytes(values.outputSplits ?? [], of: communication.outputBytes)
    communication.sequence = values.sequence
    enterGroup(of: values, into: &communication)
    trace.operations.append(
      .init(id: id, recordFunction: node.recordFunction, communication: communication, word: values.name))
  }

  private func bytes(_ elements: Int64?, _ size: Int64?) -> Int64? {
    guard let elements, let size, 0..<(1 << 50) ~= elements else { return nil }
    return elements * size
  }

  /// `float` of `GenericList[Tensor(float)]`.
  private func elementType(_ types: [String]) -> String? {
    for type in types {
      guard let start = type.firstRange(of: "Tensor(")?.upperBound,
        let end = type[start...].firstIndex(of: ")")
      else { continue }
      return String(type[start..<end])
    }
    return nil
  }

  private mutating func enterGroup(
    of values: ParameterValues, into communication: inout RecordedCommunication
  ) {
    let size =
      [values.size, node.groupSize].compactMap { $0 }.first { 1...Int64(Int32.max) ~= $0 }.map(Int.init)
      ?? values.inputSplits?.count
    communication.groupSize = size
    let isMessage = communication.kind == .send || communication.kind == .receive
    if !isMessage, let rank = values.rank, 0..<Int64(Int32.max) ~= rank {
      ranks.any.insert(rank)
      if values.groupDescription == "default_pg" { ranks.byDefault = Int(rank) }
    }
    guard let name = values.groupName, !name.isEmpty else { return }
    let index: Int32
    if let known = groupIndex[name] {
      index = known
    } else {
      index = Int32(trace.groups.count)
      groupIndex[name] = index
      trace.groups.append(ProcessGroup(name: name, description: values.groupDescription ?? ""))
    }
    communication.group = index
    if trace.groups[Int(index)].ranks == nil { trace.groups[Int(index)].ranks = values.ranks }
    if trace.groups[Int(index)].size == nil { trace.groups[Int(index)].size = size }
    if isMessage, let peer = values.rank, let ranks = trace.groups[Int(index)].ranks,
      0..<Int64(ranks.count) ~= peer
    {
      communication.peer = ranks[Int(peer)]
    }
  }

  /// Groups as the node `## process_group:init ##` lists them, in JSON inside a string.
  private mutating func keepGroups() throws {
    guard let text = node.inputs.first?.string else { return }
    var list = JSONReader(
      try ByteSource(bytes: Array(text.utf8), named: json.file))
    guard let groups = try? list.processGroups() else {
      throw json.error("the list of groups is not one", at: node.offset, found: String(text.prefix(60)))
    }
    for group in groups {
      if let known = groupIndex[group.name] {
        trace.groups[Int(known)] = group
      } else {
        groupIndex[group.name] = Int32(trace.groups.count)
        trace.groups.append(group)
      }
    }
  }
}

/// One node as it is read, for the kinds that matter.
struct ExecutionNode {
  enum Name { case parameters, groups, other }

  var offset = 0
  var id: Int64?
  /// nil until it was read.
  var name: Name?
  var recordFunction: Int64?
  var inputs: [JSONTree] = []
  var outputs: [JSONTree] = []
  var inputTypes: [String] = []
  var outputTypes: [String] = []
  var dataType: String?
  var inputElements: Int64?
  var outputElements: Int64?
  var groupSize: Int64?

  /// Whether the values are of use; they may come before the name.
  var isWanted: Bool { name != .other }
}
