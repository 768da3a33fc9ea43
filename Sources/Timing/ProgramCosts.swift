import Clusters
import Programs
import Units

/// What every task of a program costs alone on a cluster.
///
/// Tasks that do the same share one ``Cost``; `[code][task]` points into ``costs``.
public struct ProgramCosts: Sendable {
  public private(set) var costs: [Cost] = [.free]
  public private(set) var costOfTask: [[Int32]]

  private struct CommunicationKey: Hashable {
    var kind: TaskKind
    var bytes: Int64
    var exchange: Int32
    var shape: GroupShape
    var crossesNodes: Bool
    var layoutIsKnown: Bool
  }

  /// Times a program by a cluster's kernel tables and links.
  ///
  /// - Parameter reservedMultiprocessors: Multiprocessors that communication kernels hold while a slot communicates.
  /// - Throws: ``UntimedKernel``.
  /// - Complexity: O(tasks of all codes + distinct costs × kernels).
  public init(
    _ verified: VerifiedProgram, on cluster: Cluster, reservedMultiprocessors: Int = 0
  ) throws(UntimedKernel) {
    let program = verified.program
    let times = [
      KernelTimes(cluster.gpu),
      KernelTimes(cluster.gpu, reservedMultiprocessors: reservedMultiprocessors, besideCommunication: true),
    ]
    let collectives = CollectiveTimes(cluster)
    costOfTask = program.codes.map { Array(repeating: 0, count: $0.count) }
    var workCosts = [Int32](repeating: -1, count: program.works.count * times.count)
    var communicationCosts: [CommunicationKey: Int32] = [:]
    for (codeIndex, code) in program.codes.enumerated() {
      guard let role = verified.roles.codeOfRole.firstIndex(of: Int32(codeIndex)) else { continue }
      let rank = Int(verified.roles.representative[role])
      let shapes = program.communicators.map {
        GroupShape(of: $0.group(ofRank: rank), gpusPerNode: cluster.gpusPerNode.value)
      }
      let conditions = slotConditions(code)
      for task in 0..<code.count {
        if code.kind[task] == .compute {
          let condition = conditions[Int(code.slot[task])].rawValue
          let key = Int(code.work[task]) * times.count + condition
          if workCosts[key] < 0 {
            let kernels = program.works[Int(code.work[task])].kernels
            workCosts[key] = add(Cost(alone: try times[condition].duration(of: kernels)))
          }
          costOfTask[codeIndex][task] = workCosts[key]
          continue
        }
        let communicator = program.communicators[Int(code.communicator[task])]
        var crosses = false
        if code.peer[task] >= 0 {
          let peer = communicator.group(ofRank: rank)[
            communicator.group(ofRank: rank).startIndex + Int(code.peer[task])]
          crosses = Int(peer) / cluster.gpusPerNode.value != rank / cluster.gpusPerNode.value
        }
        let key = CommunicationKey(
          kind: code.kind[task], bytes: code.bytes[task], exchange: code.work[task],
          shape: shapes[Int(code.communicator[task])], crossesNodes: crosses,
          layoutIsKnown: code.tag[task] == Exchange.knownLayoutTag)
        if communicationCosts[key] == nil {
          communicationCosts[key] = add(Self.cost(key, of: program, by: collectives))
        }
        costOfTask[codeIndex][task] = communicationCosts[key] ?? 0
      }
    }
  }

  /// Times given from outside: recorded durations, or fixed chunk times in tests.
  public init(_ verified: VerifiedProgram, cost: (_ code: Int, _ task: Int) -> Cost) {
    costOfTask = verified.program.codes.map { Array(repeating: 0, count: $0.count) }
    for (index, code) in verified.program.codes.enumerated() {
      for task in 0..<code.count { costOfTask[index][task] = add(cost(index, task)) }
    }
  }

  public func cost(code: Int, task: Int) -> Cost { costs[Int(costOfTask[code][task])] }

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
        key.kind, program.exchanges[Int(key.exchange)], shape: key.shape, layoutIsKnown: key.layoutIsKnown)
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

private func slotConditions(_ code: Code) -> [SlotCondition] {
  var result = Array(repeating: SlotCondition.alone, count: code.slots.count)
  for task in 0..<code.count where code.kind[task] == .dispatch || code.kind[task] == .combine {
    let slot = Int(code.slot[task])
    if code.slots[slot].phase == .overlapped { result[slot] = .besideCommunication }
  }
  return result
}
