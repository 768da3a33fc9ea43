import Programs
import Traces

/// What an operation of several ranks is in a program: its kind, and the bytes that all agree on.
struct OperationShape {
  var kind: TaskKind
  var communicator: Int
  var bytes: Int64 = 0
  var hasBytes = true
  /// Ranks' recordings speak of different sizes.
  var isDisagreeing = false
  /// Index into the program's exchanges.
  var exchange: Int32 = -1
  var tag: Int32 = 0
  /// `[member][member]`, where parts differ and all are known.
  var parts: [[Int64]]?
  var members: [Int]
  /// Ends of a message.
  var sender: Int?
  var receiver: Int?
  var note: String?

  init(_ operation: MatchedCommunication, in source: RecordingImport, _ communicator: Int) {
    self.communicator = communicator
    let parts = operation.parts.map { source.communication($0) }
    let rank = source.recording.ranks[operation.parts[0].rank].rank
    members = source.placement.communicators[communicator].groups.first { $0.contains(rank) } ?? []
    func largest(_ sizes: [Int64?]) -> Int64? {
      // What no memory could hold is no size.
      let known = sizes.compactMap { $0 }.filter { (0...1 << 50).contains($0) }
      isDisagreeing = Set(known).count > 1
      return known.max()
    }
    let count = Int64(max(1, members.count))
    var size: Int64?
    switch operation.kind {
    case .send, .receive:
      kind = .send
      sender = source.recording.ranks[operation.parts[0].rank].rank
      receiver = source.recording.ranks[operation.parts[1].rank].rank
      size = largest(parts.map { $0.inputBytes ?? $0.outputBytes })
      // Messages between two ranks are told apart by their order among those of one tag.
      tag = parts[0].tag ?? 0
    case .allReduce:
      kind = .allReduce
      size = largest(parts.map(\.size))
    case .reduceScatter:
      kind = .reduceScatter
      size = largest(parts.map { $0.inputBytes ?? $0.outputBytes.map { Self.times($0, count) } })
    case .allGather:
      kind = .allGather
      size = largest(parts.map { $0.outputBytes ?? $0.inputBytes.map { Self.times($0, count) } })
    case .broadcast, .reduce, .gather, .scatter:
      kind = .broadcast
      size = largest(parts.map(\.size))
      if operation.kind != .broadcast {
        note = "a \(operation.kind.rawValue) is timed as a broadcast: as many bytes pass its root's link"
      }
    case .allToAll, .allToAllV, .sendReceive:
      kind = .allToAll
      self.parts = Self.matrix(operation, parts, members: members, source)
      let isUneven = operation.kind == .allToAllV || parts.contains { $0.kind == .allToAllV }
      if self.parts == nil {
        size = largest(parts.flatMap { [$0.inputBytes, $0.outputBytes] })
        if isUneven, size != nil {
          note =
            "an uneven all-to-all whose parts are not all known is timed as even ones of the fullest rank's bytes"
        }
        isDisagreeing = false
      } else {
        size = 0
      }
      if operation.kind == .sendReceive, size == nil {
        note =
          "kernels that send and receive, of which nothing more is known, are taken as among all ranks of their group"
      }
    case .dispatch, .combine:
      if source.options.exchanges != nil {
        kind = operation.kind == .dispatch ? .dispatch : .combine
        let isKnown = source.layoutIsKnown(operation.parts[0])
        exchange = kind == .combine ? 2 : isKnown ? 1 : 0
        tag = kind == .combine || isKnown ? Exchange.knownLayoutTag : 0
        size = 0
      } else {
        kind = .allToAll
      }
    case .notify, .barrier:
      kind = .barrier
      size = 0
    case .unknown:
      kind = .allToAll
    }
    hasBytes = size != nil
    bytes = size ?? 0
  }

  private static func times(_ a: Int64, _ b: Int64) -> Int64 {
    let (product, overflows) = a.multipliedReportingOverflow(by: b)
    return overflows ? .max : product
  }

  /// `[source][destination]`, from what each member sends or, where it does not say, from what the others got from it.
  private static func matrix(
    _ operation: MatchedCommunication, _ parts: [RecordedCommunication], members: [Int],
    _ source: RecordingImport
  ) -> [[Int64]]? {
    guard operation.parts.count == members.count, members.count > 1 else { return nil }
    var ofMember = [RecordedCommunication?](repeating: nil, count: members.count)
    for (part, communication) in zip(operation.parts, parts) {
      guard let member = members.firstIndex(of: source.recording.ranks[part.rank].rank) else { return nil }
      ofMember[member] = communication
    }
    func row(_ list: [Int64]?) -> [Int64]? {
      guard let list, list.count == members.count, list.allSatisfy({ (0...1 << 42).contains($0) }) else {
        return nil
      }
      return list
    }
    var matrix: [[Int64]] = []
    for member in members.indices {
      if let sent = row(ofMember[member]?.inputSplits) {
        matrix.append(sent)
        continue
      }
      let got = members.indices.map { row(ofMember[$0]?.outputSplits)?[member] }
      guard got.allSatisfy({ $0 != nil }) else { return nil }
      matrix.append(got.compactMap { $0 })
    }
    let first = matrix[0][0]
    return matrix.allSatisfy { $0.allSatisfy { $0 == first } } ? nil : matrix
  }

  func task(ofRank index: Int, globalRank: Int, lane: Lane, program: inout Program) -> Code.Task {
    var task = Code.Task(kind, on: lane)
    task.communicator = Int32(communicator)
    task.bytes = bytes
    task.work = exchange
    if let sender, let receiver {
      task.kind = globalRank == sender ? .send : .receive
      task.peer = Int32(globalRank == sender ? receiver : sender)
    }
    if let parts, let own = members.firstIndex(of: globalRank) {
      task.work = Int32(program.splits.count)
      program.splits.append(Splits(sent: parts[own], received: parts.map { $0[own] }))
      task.bytes = parts[own].reduce(0, +)
    }
    return task
  }
}

extension RecordingImport {
  /// Whether the exchange's destinations were exchanged before: DeepEP's kernel before it was `cached_notify`.
  func layoutIsKnown(_ part: MatchedCommunication.Part) -> Bool {
    let rank = recording.ranks[part.rank]
    let before = orders[part.rank].waits[part.event].last {
      rank.communication[Int($0)] >= 0
        && rank.communications[Int(rank.communication[Int($0)])].kind == .notify
    }
    guard let before else { return false }
    return rank.names[Int(rank.name[Int(before)])].contains("cached_notify")
  }
}
