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
  public private(set) var costOfTask: [[Int32]]
  /// Row of each role in ``costOfTask``.
  public let rowOfRole: [Int32]
  /// What ranks of a node share; nil where every rank has a GPU for itself.
  public let processors: SharedProcessors?

  private struct CommunicationKey: Hashable {
    var kind: TaskKind
    var bytes: Int64
    var exchange: Int32
    var shape: GroupShape
    var crossesNodes: Bool
    var layoutIsKnown: Bool
    /// What this rank's own exchange carries, where a table says so.
    var load: ExchangeLoad?
    /// Bytes that this rank hands over and gets, where its processor copies them; otherwise zero.
    var moved: Int64 = 0
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
    let transfers = cluster.host.map { TransferTimes(cluster.gpu, $0) }
    processors = cluster.host.map {
      SharedProcessors(processorsPerNode: $0.processors.value, ranksPerNode: cluster.gpusPerNode.value)
    }
    let roles = verified.roles
    rowOfRole = program.traffic == nil ? roles.codeOfRole : roles.codeOfRole.indices.map(Int32.init)
    let rows = program.traffic == nil ? program.codes.indices.map(Int32.init) : roles.codeOfRole
    costOfTask = rows.map { Array(repeating: 0, count: program.codes[Int($0)].count) }
    var workCosts = [Int32](repeating: -1, count: program.works.count * times.count)
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
        var key = CommunicationKey(
          kind: code.kind[task], bytes: code.bytes[task], exchange: code.work[task],
          shape: shapes[Int(code.communicator[task])], crossesNodes: crosses,
          layoutIsKnown: code.tag[task] == Exchange.knownLayoutTag,
          load: program.traffic(rank: rank, task: task).map {
            ExchangeLoad(
              rows: $0, member: Int(communicator.indexOfRank[rank]),
              nodeOfMember: communicator.group(ofRank: rank).map { Int($0) / cluster.gpusPerNode.value })
          })
        if transfers != nil {
          let bytes = program.bytes(rank: rank, task: task)
          key.moved = bytes.sent + bytes.received
        }
        if communicationCosts[key] == nil {
          let cost =
            try transfers.map { times throws(UntimedKernel) in
              try times.cost(key.kind, moved: key.moved, ranks: key.shape.ranks, layoutIsKnown: key.layoutIsKnown)
            } ?? Self.cost(key, of: program, by: collectives)
          communicationCosts[key] = add(cost)
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
      for task in 0..<code.count { costOfTask[index][task] = add(cost(index, task)) }
    }
  }

  public func cost(role: Int, task: Int) -> Cost { costs[Int(costOfTask[Int(rowOfRole[role])][task])] }

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

  private mutating func add(_ cost: Cost) -> Int32 {
    costs.append(cost)
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
