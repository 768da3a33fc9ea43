import Documents
import Foundation
import Programs
import Timelines

/// Writes a program as Chakra execution traces, one `<prefix>.<rank>.et` for each rank, and ASTRA-sim's comm-group file
/// beside them.
///
/// The standard's attributes say what ASTRA-sim runs: `is_cpu_op`, `comm_type`, `comm_size` of the input buffer,
/// `pg_name`, source, destination and tag of messages, `duration_micros` or `num_ops` and `tensor_size` of computation,
/// and as dependencies also the order of each lane. What the standard cannot say stands beside it in attributes that
/// begin with `rehearsal_`: sizes for each member of a dispatch or combine, times in picoseconds, and each task's own
/// line of the program's text form, from which a reader restores the same program.
public struct ChakraWriter: Sendable {
  /// When a task started and how long it took, in picoseconds since the step began.
  public struct TaskTime: Hashable, Sendable {
    public var start: Int64
    public var duration: Int64

    public init(start: Int64, duration: Int64) {
      self.start = start
      self.duration = duration
    }
  }

  private let tasks: ChakraTasks
  private let lines: ProgramLines
  private let unusedCodes: [Int]
  private let timeline: Timeline?

  /// The schema whose fields the files use.
  public static let version = "0.0.4"

  /// - Parameter timeline: Times of the tasks; without it computation has operations and bytes alone.
  public init(_ program: VerifiedProgram, timeline: Timeline? = nil) {
    tasks = ChakraTasks(program)
    lines = ProgramLines(program.program)
    let used = Set(program.program.codeOfRank)
    unusedCodes = program.program.codes.indices.filter { !used.contains(Int32($0)) }
    self.timeline = timeline
  }

  /// ASTRA-sim's comm-group file, JSON; `pg_name` 0 is all ranks and stands in no file.
  public var groupFile: String { tasks.groupFile }

  /// Writes all ranks' files and `<prefix>.comm_group.json`.
  ///
  /// - Returns: The files' paths, those of the ranks first.
  /// - Throws: A ``Diagnostic`` with status `unavailableFile`.
  public func write(prefix: String) throws -> [String] {
    var paths: [String] = []
    for rank in 0..<tasks.program.ranks {
      paths.append("\(prefix).\(rank).et")
      try writeFile(Data(trace(rank: rank)), to: paths[rank])
    }
    let groups = "\(prefix).comm_group.json"
    try writeFile(Data(groupFile.utf8), to: groups)
    return paths + [groups]
  }

  /// One rank's file.
  public func trace(rank: Int) -> [UInt8] {
    let program = tasks.program
    let codeIndex = Int(program.codeOfRank[rank])
    let code = program.codes[codeIndex]
    var file = WireWriter()
    file.addMessage(metadata(rank: rank))
    for task in 0..<code.count {
      var message = WireWriter()
      let node = tasks.node(rank: rank, task: task)
      message.add(1, number: UInt64(task))
      message.add(2, text: node.name)
      message.add(3, number: UInt64(node.type))
      let waits = tasks.waits(code: codeIndex, task: task)
      if !waits.isEmpty { message.add(5, packed: waits.map { UInt64($0) }) }
      let time = time(rank: rank, task: task)
      if let time {
        message.add(6, number: Self.microseconds(time.start))
        message.add(7, number: Self.microseconds(time.duration))
      }
      for attribute in attributes(of: node, time: time, statement: lines.codes[codeIndex].statements[task]) {
        message.add(10, bytes: attribute.bytes)
      }
      file.addMessage(message)
    }
    return file.bytes
  }

  private func time(rank: Int, task: Int) -> TaskTime? {
    guard let timeline else { return nil }
    let role = Int(timeline.program.roles.roleOfRank[rank])
    let start = timeline.started[role][task]
    return TaskTime(start: max(0, start), duration: max(0, timeline.ended[role][task] - start))
  }

  private static func microseconds(_ picoseconds: Int64) -> UInt64 {
    UInt64(picoseconds / 1_000_000 + (picoseconds % 1_000_000 >= 500_000 ? 1 : 0))
  }

  private func metadata(rank: Int) -> WireWriter {
    typealias Name = ChakraOwnAttributes.Name
    var message = WireWriter()
    message.add(1, text: Self.version)
    func add(_ attribute: WireWriter) { message.add(2, bytes: attribute.bytes) }
    let code = Int(tasks.program.codeOfRank[rank])
    add(.attribute(Name.version, text: CarriedProgram.version))
    add(.attribute(Name.rank, int64: Int64(rank)))
    add(.attribute(Name.ranks, int64: Int64(tasks.program.ranks)))
    add(.attribute(Name.program, text: lines.head))
    add(.attribute(Name.code, text: "\(code)\n\(lines.codes[code].header)"))
    if !lines.codes[code].end.isEmpty { add(.attribute(Name.codeEnd, text: lines.codes[code].end)) }
    // What is of no rank in particular stands once, in the first rank's file.
    if !lines.traffic.isEmpty { add(.attribute(Name.traffic, text: rank == 0 ? lines.traffic : "")) }
    if rank == 0 {
      for code in unusedCodes { add(.attribute(Name.code + "_text_\(code)", text: lines.codes[code].text)) }
    }
    return message
  }

  private func attributes(of node: ChakraTasks.Node, time: TaskTime?, statement: String) -> [WireWriter] {
    typealias Name = ChakraOwnAttributes.Name
    var list: [WireWriter] = [.attribute("is_cpu_op", bool: false)]
    if let operations = node.operations { list.append(.attribute("num_ops", int64: operations)) }
    if let bytes = node.tensorBytes { list.append(.attribute("tensor_size", uint64: UInt64(max(0, bytes)))) }
    if node.type != ChakraSchema.NodeType.computation {
      // All of them explicitly: a reader may take an absent comm_type for anything.
      if let collective = node.collective { list.append(.attribute("comm_type", int64: Int64(collective))) }
      list.append(.attribute("comm_size", int64: node.bytes))
      if let source = node.source { list.append(.attribute("comm_src", int32: source)) }
      if let destination = node.destination { list.append(.attribute("comm_dst", int32: destination)) }
      if let tag = node.tag { list.append(.attribute("comm_tag", int32: tag)) }
      if let group = node.group { list.append(.attribute("pg_name", text: group)) }
    }
    if let time {
      list.append(.attribute(Name.start, int64: time.start))
      list.append(.attribute(Name.duration, int64: time.duration))
    }
    if let kind = node.ownKind { list.append(.attribute(Name.kind, text: kind.rawValue)) }
    if let splits = node.inputSplits { list.append(.attribute(Name.inputSplits, int64s: splits)) }
    if let splits = node.outputSplits { list.append(.attribute(Name.outputSplits, int64s: splits)) }
    list.append(.attribute(Name.statement, text: statement))
    return list
  }
}

/// Writes protobuf's wire form; every field that is added is written, zeros too.
struct WireWriter {
  private(set) var bytes: [UInt8] = []

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func tag(_ field: Int, _ type: UInt8) { varint(UInt64(field) << 3 | UInt64(type)) }

  mutating func add(_ field: Int, number: UInt64) {
    tag(field, WireCursor.WireType.varint)
    varint(number)
  }

  mutating func add(_ field: Int, bytes content: [UInt8]) {
    tag(field, WireCursor.WireType.bytes)
    varint(UInt64(content.count))
    bytes += content
  }

  mutating func add(_ field: Int, text: String) { add(field, bytes: Array(text.utf8)) }

  mutating func add(_ field: Int, packed numbers: [UInt64]) {
    var list = WireWriter()
    for number in numbers { list.varint(number) }
    add(field, bytes: list.bytes)
  }

  /// A message of the stream, behind its length.
  mutating func addMessage(_ message: WireWriter) {
    varint(UInt64(message.bytes.count))
    bytes += message.bytes
  }
}

extension WireWriter {
  private static func named(_ name: String) -> WireWriter {
    var message = WireWriter()
    message.add(1, text: name)
    return message
  }

  static func attribute(_ name: String, text: String) -> WireWriter {
    var message = named(name)
    message.add(ChakraAttribute.Field.string, text: text)
    return message
  }

  private static func attribute(_ name: String, _ field: Int, _ number: UInt64) -> WireWriter {
    var message = named(name)
    message.add(field, number: number)
    return message
  }

  static func attribute(_ name: String, bool: Bool) -> WireWriter {
    attribute(name, ChakraAttribute.Field.bool, bool ? 1 : 0)
  }

  static func attribute(_ name: String, int64: Int64) -> WireWriter {
    attribute(name, ChakraAttribute.Field.int64, UInt64(bitPattern: int64))
  }

  /// Negative numbers take ten bytes, as the format demands.
  static func attribute(_ name: String, int32: Int32) -> WireWriter {
    attribute(name, ChakraAttribute.Field.int32, UInt64(bitPattern: Int64(int32)))
  }

  static func attribute(_ name: String, uint64: UInt64) -> WireWriter {
    attribute(name, ChakraAttribute.Field.uint64, uint64)
  }

  static func attribute(_ name: String, int64s: [Int64]) -> WireWriter {
    var message = named(name)
    var list = WireWriter()
    list.add(1, packed: int64s.map { UInt64(bitPattern: $0) })
    message.add(ChakraAttribute.Field.int64List, bytes: list.bytes)
    return message
  }
}
