import Clusters
import Programs
import Units

/// What communication kernels take from the GPU while they run beside compute.
public struct CommunicationSharing: Hashable, Sendable {
  /// Which slots have communication running all the time.
  public enum Extent: Hashable, Sendable {
    /// Forward and backward chunks woven together, as DualPipe does.
    case overlappedPairs
    /// Every slot that communicates: collectives follow the products they belong to piece by piece.
    case everySlot
  }

  public var multiprocessors: Int
  public var extent: Extent

  public init(multiprocessors: Int, extent: Extent) {
    self.multiprocessors = multiprocessors
    self.extent = extent
  }

  public static let none = CommunicationSharing(multiprocessors: 0, extent: .overlappedPairs)
}

/// What every task of a program costs alone on a cluster.
///
/// Tasks that do the same share one ``Cost``; `[row][task]` points into ``costs``. Ranks of one code have one
/// row, unless a table of traffic tells them apart: then each role has its own.
public struct ProgramCosts: Sendable {
  public private(set) var costs: [Cost] = [.free]
  /// Bytes that the task of each cost hands to other ranks and gets from them, beside ``costs``.
  private var bytes = [MovedBytes(sent: 0, received: 0)]
  public private(set) var costOfTask: [[Int32]]
  /// Row of each role in ``costOfTask``.
  public let rowOfRole: [Int32]
  /// What ranks of a node share; nil where every rank has a GPU for itself.
  public let processors: SharedProcessors?

  private struct MovedBytes: Hashable {
    var sent: Int64
    var received: Int64

    init(sent: Int64, received: Int64) {
      self.sent = sent
      self.received = received
    }

    init(_ program: Program, rank: Int, task: Int) {
      (sent, received) = program.bytes(rank: rank, task: task)
    }
  }

  /// What a rank's own experts compute, where a table says so.
  private struct ExpertKey: Hashable {
    var work: Int32
    var condition: Int
    var pairs: Int32
  }

  private struct CommunicationKey: Hashable {
    var kind: TaskKind
    var bytes: Int64
    var exchange: Int32
    var shape: GroupShape
    var crossesNodes: Bool
    var layoutIsKnown: Bool
    /// What this rank's own exchange carries, where a table says so.
    var load: ExchangeLoad?
    /// What this rank's own part of an all-to-all carries, where parts differ.
    var parts: AllToAllLoad?
    /// What tells members' bytes apart: whose shard of a buffer, of how large elements; or a table's rows.
    var member: Int32
    var elementBytes: Int32
    var moved: MovedBytes?
  }

  /// Times a program by a cluster's kernel tables and links.
  ///
  /// - Parameter sharing: What communication kernels take from compute, and when.
  /// - Throws: ``UntimedKernel``.
  /// - Complexity: O(tasks of all codes + distinct costs × kernels).
  public init(
    _ verified: VerifiedProgram, on cluster: Cluster, sharing: CommunicationSharing = .none
  ) throws(UntimedKernel) {
    let program = verified.program
    let times = [
      KernelTimes(cluster.gpu),
      KernelTimes(cluster.gpu, reservedMultiprocessors: sharing.multiprocessors, besideCommunication: true),
    ]
    let collectives = CollectiveTimes(cluster)
    let transfers = cluster.host.map { TransferTimes(cluster.gpu, $0, ranks: cluster.gpusPerNode.value) }
    processors = cluster.host.map {
      SharedProcessors(processorsPerNode: $0.processors.value, ranksPerNode: cluster.gpusPerNode.value)
    }
    let roles = verified.roles
    rowOfRole = program.traffic == nil ? roles.codeOfRole : roles.codeOfRole.indices.map(Int32.init)
    let rows = program.traffic == nil ? program.codes.indices.map(Int32.init) : roles.codeOfRole
    costOfTask = rows.map { Array(repeating: 0, count: program.codes[Int($0)].count) }
    var workCosts = [Int32](repeating: -1, count: program.works.count * times.count)
    var expertCosts: [ExpertKey: Int32] = [:]
    var communicationCosts: [CommunicationKey: Int32] = [:]
    for (row, codeOfRow) in rows.enumerated() {
      guard let role = rowOfRole.firstIndex(of: Int32(row)) else { continue }
      let code = program.codes[Int(codeOfRow)]
      let rank = Int(roles.representative[role])
      let shapes = program.communicators.map {
        GroupShape(of: $0.group(ofRank: rank), gpusPerNode: cluster.gpusPerNode.value)
      }
      let conditions = slotConditions(code, sharing)
      for task in 0..<code.count {
        if code.kind[task] == .compute {
          let condition = conditions[Int(code.slot[task])].rawValue
          if let pairs = program.expertPairs(rank: rank, task: task) {
            let key = ExpertKey(work: code.work[task], condition: condition, pairs: pairs)
            if expertCosts[key] == nil {
              let kernels = program.kernels(of: Int(code.work[task]), pairs: pairs)
              let pass = program.works[Int(code.work[task])].pass
              expertCosts[key] = add(
                Cost(
                  alone: try times[condition].duration(of: kernels, during: pass),
                  processorShare: transfers == nil ? 0 : 1))
            }
            costOfTask[row][task] = expertCosts[key] ?? 0
            continue
          }
          let key = Int(code.work[task]) * times.count + condition
          if workCosts[key] < 0 {
            let work = program.works[Int(code.work[task])]
            let alone = try times[condition].duration(of: work.kernels, during: work.pass)
            workCosts[key] = add(Cost(alone: alone, processorShare: transfers == nil ? 0 : 1))
          }
          costOfTask[row][task] = workCosts[key]
          continue
        }
        let communicator = program.communicators[Int(code.communicator[task])]
        var crosses = false
        if code.peer[task] >= 0 {
          let peer = communicator.group(ofRank: rank)[
            communicator.group(ofRank: rank).startIndex + Int(code.peer[task])]
          crosses = Int(peer) / cluster.gpusPerNode.value != rank / cluster.gpusPerNode.value
        }
        let member = communicator.indexOfRank[rank]
        let rows = program.traffic(rank: rank, task: task)
        let key = CommunicationKey(
          kind: code.kind[task], bytes: code.bytes[task], exchange: code.work[task],
          shape: shapes[Int(code.communicator[task])], crossesNodes: crosses,
          layoutIsKnown: code.tag[task] == Exchange.knownLayoutTag,
          load: rows.map {
            ExchangeLoad(
              rows: $0, member: Int(member),
              nodeOfMember: communicator.group(ofRank: rank).map { Int($0) / cluster.gpusPerNode.value })
          },
          parts: program.splits(code: Int(codeOfRow), task: task).map {
            AllToAllLoad(
              $0, member: Int(member),
              nodeOfMember: communicator.group(ofRank: rank).map { Int($0) / cluster.gpusPerNode.value })
          },
          member: member, elementBytes: code.elementBytes[task],
          moved: rows != nil || (code.kind[task] == .allToAll && code.work[task] >= 0)
            ? MovedBytes(program, rank: rank, task: task) : nil)
        if communicationCosts[key] == nil {
          let moved = MovedBytes(program, rank: rank, task: task)
          let cost =
            try transfers.map { times throws(UntimedKernel) in
              // A message's bytes are moved at either end, others' are both sent and received.
              try times.cost(
                key.kind, moved: moved.sent + moved.received, ranks: key.shape.ranks,
                layoutIsKnown: key.layoutIsKnown)
            } ?? Self.cost(key, of: program, by: collectives)
          communicationCosts[key] = add(cost, moved)
        }
        costOfTask[row][task] = communicationCosts[key] ?? 0
      }
    }
  }

  /// Times given from outside: recorded durations, or fixed chunk times in tests.
  public init(
    _ verified: VerifiedProgram, processors: SharedProcessors? = nil,
    cost: (_ code: Int, _ task: Int) -> Cost
  ) {
    self.processors = processors
    rowOfRole = verified.roles.codeOfRole
    costOfTask = verified.program.codes.map { Array(repeating: 0, count: $0.count) }
    for (index, code) in verified.program.codes.enumerated() {
      guard let role = rowOfRole.firstIndex(of: Int32(index)) else { continue }
      let rank = Int(verified.roles.representative[role])
      for task in 0..<code.count {
        costOfTask[index][task] = add(
          cost(index, task), MovedBytes(verified.program, rank: rank, task: task))
      }
    }
  }

  public func cost(role: Int, task: Int) -> Cost { costs[Int(costOfTask[Int(rowOfRole[role])][task])] }

  /// Bytes that a task hands to other ranks and gets from them, for the rank that stands for the role.
  public func bytes(role: Int, task: Int) -> (sent: Int64, received: Int64) {
    let moved = bytes[Int(costOfTask[Int(rowOfRole[role])][task])]
    return (moved.sent, moved.received)
  }

  /// Seconds that the step takes at most: every task of every role after the other.
  ///
  /// - Complexity: O(tasks of all codes).
  public func serialSeconds(of verified: VerifiedProgram) -> Double {
    let perRow = costOfTask.map { tasks in
      tasks.reduce(0.0) { sum, index in
        let cost = costs[Int(index)]
        return sum + cost.alone.seconds * cost.slowdownBesideCompute
      }
    }
    return rowOfRole.reduce(0) { $0 + perRow[Int($1)] }
  }

  /// The longest of all tasks.
  public var longest: Span { costs.lazy.map(\.alone).max() ?? .zero }

  private mutating func add(
    _ cost: Cost, _ moved: MovedBytes = MovedBytes(sent: 0, received: 0)
  ) -> Int32 {
    costs.append(cost)
    bytes.append(moved)
    return Int32(costs.count - 1)
  }

  private static func cost(_ key: CommunicationKey, of program: Program, by times: CollectiveTimes) -> Cost {
    switch key.kind {
    case .compute: .free
    case .send, .receive: times.message(key.bytes, crossesNodes: key.crossesNodes)
    case .dispatch, .combine:
      times.exchange(
        key.kind, program.exchanges[Int(key.exchange)], load: key.load, shape: key.shape,
        layoutIsKnown: key.layoutIsKnown)
    case .allToAll where key.parts != nil:
      times.allToAll(key.parts ?? AllToAllLoad(near: 0, far: 0), shape: key.shape)
    default: times.collective(key.kind, bytes: key.bytes, shape: key.shape)
    }
  }
}

/// What a slot's compute shares the GPU with.
private enum SlotCondition: Int {
  /// Outside overlapped pairs computation and communication kernels take turns, and each has the whole GPU.
  case alone
  /// Communication kernels run all the time: they hold their multiprocessors and take memory bandwidth.
  case besideCommunication
}

private func slotConditions(_ code: Code, _ sharing: CommunicationSharing) -> [SlotCondition] {
  var result = Array(repeating: SlotCondition.alone, count: code.slots.count)
  for task in 0..<code.count where code.lane[task] == .communication {
    let slot = Int(code.slot[task])
    switch sharing.extent {
    case .overlappedPairs where code.slots[slot].phase == .overlapped, .everySlot:
      result[slot] = .besideCommunication
    case .overlappedPairs: break
    }
  }
  return result
}
