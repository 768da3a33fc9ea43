import Documents

extension Recording {
  /// Reads a workload file of SimAI, or of ASTRA-sim 1.0: layers with computation and communication of each pass.
  ///
  /// All ranks run the same layers, so the recording has rank 0 alone. Its events are one training pass as the simulator
  /// runs the file: the forward of each row in order, then from the last row to the first the input gradient and the
  /// weight gradient. Forward and input-gradient communication holds the rank up; weight-gradient communication does
  /// not. In `MICRO` files only the weight gradient's communication runs. Times are nanoseconds in the file.
  ///
  /// Bytes are those of the whole tensor in SimAI's files (an all-gather's output, a reduce-scatter's input); ASTRA-sim
  /// 1.0 gives an all-gather's input. Source: SimAI, `astra-sim/workload/Workload.cc`, `system/MockNcclGroup.cc`;
  /// ASTRA-sim 1.0, `system/collective/Ring.cc`.
  /// - Throws: ``Diagnostic`` naming file and line.
  public static func simAI(_ input: TraceInput) throws -> Recording {
    var lines = TextLines(try input.open())
    var workload = SimAIWorkload()
    guard try lines.next() else {
      throw Diagnostic(.data, "the workload is empty", file: input.name, path: "line 1", found: "nothing")
    }
    try workload.readHeader(lines)
    try workload.readRows(&lines)
    return workload.recording(file: input.name)
  }
}

/// A workload file as it was read.
struct SimAIWorkload {
  static let rowLimit = 1 << 22
  /// A day, in nanoseconds.
  static let longestTask: Int64 = 86_400_000_000_000

  /// One of a row's three passes.
  struct Pass {
    var nanoseconds: Int64
    /// The file's word; nil for `NONE`.
    var collective: String?
    var bytes: Int64
  }

  struct Row {
    var name: String
    /// Forward, input gradient, weight gradient.
    var passes: [Pass]
  }

  private(set) var policy = ""
  /// The header's keys that groups follow from: ranks of a tensor, expert and pipeline group, and of all.
  private var sizes: [String: Int64] = [:]
  private var properties: [(name: String, value: String)] = []
  private var rows: [Row] = []
  private var updates: Int64 = 0
  private var unusedDependencies = 0

  private static let policies = [
    "DATA", "HYBRID_TRANSFORMER", "HYBRID_TRANSFORMER_FWD_IN_BCKWD", "HYBRID_DLRM", "HYBRID_DLRM_ENHANCED",
    "MODEL",
    "HYBRID_DATA_MODEL", "HYBRID_MODEL_DATA", "HYBRID_CUSTOMIZED", "MICRO", "DISTRIBUTED_INFERENCE",
  ]

  /// Whether the header is of SimAI: ASTRA-sim 1.0 knows no expert groups.
  private var isSimAI: Bool { sizes["ep"] != nil }

  // MARK: Reading

  mutating func readHeader(_ line: borrowing TextLines) throws {
    policy = line[0]
    guard Self.policies.contains(policy) else {
      throw line.error(
        "this is no workload file", found: line.shown(0), allowed: Self.policies.joined(separator: ", "))
    }
    properties.append(("parallelism", policy))
    var index = 1
    while index < line.count {
      var key = line[index]
      index += 1
      // SimAI writes `pp_comm` with a colon and without.
      guard key.hasSuffix(":") || key == "pp_comm" else {
        throw line.error("the header has pairs of `key: value`", found: line.shown(index - 1))
      }
      if key.hasSuffix(":") { key.removeLast() }
      guard index < line.count, let value = line.number(index), value >= 0, value < 1e15 else {
        throw line.error("the header's \(key.prefix(40)) needs a number", found: line.shown(index))
      }
      properties.append((key, line[index]))
      index += 1
      if ["model_parallel_NPU_group", "ep", "pp", "all_gpus"].contains(key) {
        guard 1...1e7 ~= value, value == value.rounded() else {
          throw line.error(
            "there are not that many ranks", found: "\(key): \(value)", allowed: "1 to 10000000")
        }
        sizes[key] = Int64(value)
      }
      // `checkpoints: 2 5 9` lists rows behind their number.
      if key == "checkpoints" || key == "checkpoint_initiates" {
        var list: [String] = []
        for _ in 0..<min(Int(value), line.count - index) {
          guard line.integer(index) != nil else { break }
          list.append(line[index])
          index += 1
        }
        guard list.count == Int(value) else {
          throw line.error(
            "the header's \(key) lists fewer rows than it says", found: "\(list.count)",
            allowed: "\(Int(value))")
        }
        properties[properties.count - 1].value += list.map { " \($0)" }.joined()
      }
    }
    if let all = sizes["all_gpus"], let tensor = sizes["model_parallel_NPU_group"] {
      let (pipeline, expert) = (sizes["pp"] ?? 1, sizes["ep"] ?? 1)
      guard all % (tensor * pipeline) == 0, (all / (tensor * pipeline)) % expert == 0 || expert == 1 else {
        throw line.error(
          "the groups do not divide the ranks",
          found: "\(all) ranks, groups of \(tensor) x \(pipeline), experts \(expert)",
          allowed: "all_gpus = tensor x pipeline x data, and data a multiple of ep")
      }
    }
  }

  mutating func readRows(_ lines: inout TextLines) throws {
    guard try lines.next(), lines.count == 1, let count = lines.integer(0), 0...Int64(Self.rowLimit) ~= count
    else {
      throw lines.error(
        "the second line is the number of rows", found: lines.count > 0 ? lines.shown(0) : "nothing",
        allowed: "0 to \(Self.rowLimit)")
    }
    while rows.count < Int(count) {
      guard try lines.next() else {
        throw lines.error(
          "the workload is cut off", found: "\(rows.count) rows", allowed: "\(count), as the second line says"
        )
      }
      rows.append(try row(lines))
    }
    if try lines.next() {
      throw lines.error("there are more rows than the second line says", allowed: "\(count) rows")
    }
  }

  private mutating func row(_ line: borrowing TextLines) throws -> Row {
    let isCustomized = policy == "HYBRID_CUSTOMIZED"
    guard line.count == 12 || isCustomized && line.count == 13 else {
      throw line.error(
        "a row has the wrong number of words", found: "\(line.count)",
        allowed:
          "12: name, dependency, then time, collective and bytes of three passes, and the update's time")
    }
    guard let dependency = line.integer(1) else {
      throw line.error("the dependency must be a whole number", found: line.shown(1))
    }
    if dependency != -1 { unusedDependencies += 1 }
    var passes: [Pass] = []
    for first in [2, 5, 8] {
      guard let time = line.number(first), time >= 0, time <= Double(Self.longestTask) else {
        throw line.error("a time is nanoseconds", found: line.shown(first), allowed: "0 to a day")
      }
      guard let bytes = line.number(first + 2), 0...1e17 ~= bytes, bytes == bytes.rounded() else {
        throw line.error("a size is whole bytes", found: line.shown(first + 2), allowed: "0 to 1e17")
      }
      let word = line[first + 1]
      guard word == "NONE" || Self.collective(word) != nil else {
        throw line.error(
          "there is no such collective", found: line.shown(first + 1),
          allowed:
            "NONE, ALLREDUCE, ALLTOALL, ALLREDUCEALLTOALL, ALLGATHER, REDUCESCATTER, with _EP or _DP_EP behind"
        )
      }
      passes.append(
        Pass(nanoseconds: Int64(time.rounded()), collective: word == "NONE" ? nil : word, bytes: Int64(bytes))
      )
    }
    guard let update = line.number(11), update >= 0, update <= Double(Self.longestTask) else {
      throw line.error("the update's time is nanoseconds", found: line.shown(11), allowed: "0 to a day")
    }
    if update > 0 { updates += 1 }
    return Row(name: line[0], passes: passes)
  }

  /// The kind and the suffix of a collective's word.
  static func collective(_ word: String) -> (kind: CommunicationKind, suffix: String)? {
    let kinds: [(String, CommunicationKind)] = [
      ("ALLREDUCEALLTOALL", .unknown), ("ALLREDUCE", .allReduce), ("ALLTOALL", .allToAll),
      ("ALLGATHER", .allGather),
      ("REDUCESCATTER", .reduceScatter), ("BROADCAST", .broadcast),
    ]
    for (prefix, kind) in kinds where word.hasPrefix(prefix) {
      let suffix = String(word.dropFirst(prefix.count))
      return ["", "_EP", "_DP_EP"].contains(suffix) ? (kind, suffix) : nil
    }
    return nil
  }

  // MARK: Events

  private enum Group: Int { case tensor, data, expert, expertData, all }

  /// Rank 0's groups, in the order of ``Group``: tensor ranks lie next to each other, data ranks across them, experts
  /// among the data ranks, stages apart.
  private var groups: [ProcessGroup] {
    let (all, tensor) = (sizes["all_gpus"], sizes["model_parallel_NPU_group"])
    let (expert, pipeline) = (sizes["ep"] ?? 1, sizes["pp"] ?? 1)
    let data = all.flatMap { all in tensor.map { all / ($0 * pipeline) } }
    func group(_ name: String, _ description: String, _ count: Int64?, _ stride: Int64?) -> ProcessGroup {
      var ranks: [Int32]?
      if let count, let stride { ranks = (0..<count).map { Int32($0 * stride) } }
      return ProcessGroup(name: name, description: description, ranks: ranks, size: count.map { Int($0) })
    }
    return [
      group("TP", "tensor parallel", tensor, 1), group("DP", "data parallel", data, tensor),
      group("EP", "expert parallel", isSimAI ? expert : nil, tensor),
      group("DP_EP", "expert data parallel", data.map { $0 / expert }, tensor.map { $0 * expert }),
      group("ALL", "all ranks", all, 1),
    ]
  }

  /// The group of a pass's collective: SimAI says it by suffix, ASTRA-sim 1.0 by the kind of parallelism.
  private func group(pass: Int, suffix: String) -> Group? {
    switch (policy, suffix) {
    case (_, "_EP"): .expert
    case (_, "_DP_EP"): .expertData
    case ("HYBRID_TRANSFORMER", _), ("HYBRID_TRANSFORMER_FWD_IN_BCKWD", _): pass == 2 ? .data : .tensor
    case ("DATA", _), ("MODEL", _), ("MICRO", _), ("HYBRID_DLRM", _), ("HYBRID_DLRM_ENHANCED", _),
      ("DISTRIBUTED_INFERENCE", _):
      .all
    default: nil
    }
  }

  func recording(file: String) -> Recording {
    var recording = Recording(.simAI)
    recording.groups = groups
    recording.worldSize = sizes["all_gpus"].map { Int($0) }
    var rank = RankRecording(rank: 0, file: file)
    rank.properties = properties
    var last: Int32?
    var unrun = 0
    func run(_ row: Row, _ pass: Int, _ label: String, isBlocking: Bool, into rank: inout RankRecording) {
      let entry = row.passes[pass]
      let isMicro = policy == "MICRO"
      if entry.nanoseconds > 0 {
        if isMicro {
          unrun += 1
        } else {
          last = rank.append(
            .compute, name: "\(row.name) \(label)", duration: entry.nanoseconds * 1000,
            after: last.map { [$0] } ?? [])
        }
      }
      guard let word = entry.collective, let (kind, suffix) = Self.collective(word), entry.bytes > 0 else {
        return
      }
      if isMicro && pass != 2 {
        unrun += 1
        return
      }
      let communication = communication(
        kind, word, entry.bytes, group(pass: pass, suffix: suffix), recording.groups)
      let event = rank.append(
        .communication, name: "\(row.name) \(label) \(word)", communication: communication,
        after: last.map { [$0] } ?? [])
      if isBlocking { last = event }
    }
    for row in rows { run(row, 0, "forward", isBlocking: true, into: &rank) }
    for row in rows.reversed() {
      run(row, 1, "input gradient", isBlocking: true, into: &rank)
      run(row, 2, "weight gradient", isBlocking: false, into: &rank)
    }
    recording.ranks = [rank]
    if unrun > 0 {
      recording.omissions.append(Omission(rank: 0, reason: "MICRO runs no such pass", count: unrun))
    }
    if updates > 0 {
      recording.omissions.append(
        Omission(
          rank: 0, reason: "update of a row, which the simulator runs with the communication",
          count: Int(updates)))
    }
    recording.notes = notes
    return recording
  }

  private var notes: [String] {
    var notes = ["all ranks run these layers; the recording is rank 0's"]
    if unusedDependencies > 0 {
      notes.append("\(unusedDependencies) rows name a dependency, which no simulator of this format uses")
    }
    let empty = rows.reduce(0) { $0 + $1.passes.count { $0.collective != nil && $0.bytes == 0 } }
    if empty > 0 { notes.append("\(empty) collectives of 0 bytes are no events") }
    if (sizes["pp"] ?? 1) > 1 {
      notes.append(
        "messages between pipeline stages are not in the rows; the header's pp_comm is their size in bytes")
    }
    if properties.contains(where: { $0.name == "checkpoints" && !$0.value.hasPrefix("0") }) {
      notes.append("the forward that checkpoints repeat in the backward is not among the events")
    }
    return notes
  }

  private func communication(
    _ kind: CommunicationKind, _ word: String, _ bytes: Int64, _ group: Group?, _ groups: [ProcessGroup]
  ) -> RecordedCommunication {
    var communication = RecordedCommunication(kind, recordedName: word)
    communication.inputBytes = bytes
    communication.outputBytes = bytes
    communication.group = group.map { Int32($0.rawValue) } ?? -1
    communication.groupSize = group.flatMap { groups[$0.rawValue].size }
    let size = communication.groupSize.map { Int64($0) }
    switch kind {
    case .allGather where isSimAI:
      communication.inputBytes = size.flatMap { bytes % $0 == 0 ? bytes / $0 : nil }
    case .allGather: communication.outputBytes = size.flatMap { bytes < 1 << 40 ? bytes * $0 : nil }
    case .reduceScatter: communication.outputBytes = size.flatMap { bytes % $0 == 0 ? bytes / $0 : nil }
    case .unknown: communication.outputBytes = nil
    default: break
    }
    return communication
  }
}
