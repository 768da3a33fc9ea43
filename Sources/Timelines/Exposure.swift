import Programs
import Units

/// What a report calls the kinds of communication.
public enum CommunicationKind: String, CaseIterable, Hashable, Sendable {
  case dispatch
  case combine
  case tensorParallel = "tensor_parallel"
  case contextParallel = "context_parallel"
  case pipeline
  case gradients = "gradient_reduction"
  case parameters = "parameter_gather"
  case other

  /// The kind of a task's communication; nil for compute.
  public init?(_ code: Code, task: Int, communicators: [Communicator]) {
    switch code.kind[task] {
    case .compute: return nil
    case .dispatch: self = .dispatch
    case .combine: self = .combine
    case .send, .receive: self = .pipeline
    case .reduceScatter where code.lane[task] == .reduction, .allReduce where code.lane[task] == .reduction:
      self = .gradients
    case .allGather where code.lane[task] == .reduction: self = .parameters
    default:
      switch communicators[Int(code.communicator[task])].name {
      case "tensor", "expert_tensor": self = .tensorParallel
      case "context": self = .contextParallel
      default: self = .other
      }
    }
  }
}

/// Communication of one kind: how long it moved data, and how much of that nothing hid.
public struct CommunicationTime: Hashable, Sendable {
  public var kind: CommunicationKind
  /// Mean over ranks of the time in which data of this kind moved.
  public var transfer: Span
  /// Mean over ranks of the time in which data of this kind moved and the rank computed nothing.
  public var exposed: Span
}

extension Timeline {
  /// Transfer and exposed time of each kind that occurs, mean over ranks; time waiting for others is not
  /// counted.
  ///
  /// - Complexity: O(tasks log tasks).
  public func communicationTimes() -> [CommunicationTime] {
    let kinds = CommunicationKind.allCases
    var transfer = Array(repeating: Span.zero, count: kinds.count)
    var exposed = transfer
    var occurs = Array(repeating: false, count: kinds.count)
    for role in 0..<program.roles.count {
      let code = program.code(ofRole: role)
      let weight = Double(program.roles.ranksOfRole[role]) / Double(program.program.ranks)
      var byKind = [[(start: Int64, end: Int64)]](repeating: [], count: kinds.count)
      var busy: [(start: Int64, end: Int64)] = []
      for task in 0..<code.count {
        let interval = (began[role][task], ended[role][task])
        if code.kind[task] == .compute {
          busy.append(interval)
        } else if let kind = CommunicationKind(
          code, task: task, communicators: program.program.communicators),
          let index = kinds.firstIndex(of: kind)
        {
          byKind[index].append(interval)
        }
      }
      let compute = IntervalSet(busy)
      for index in kinds.indices where !byKind[index].isEmpty {
        occurs[index] = true
        let moved = IntervalSet(byKind[index])
        transfer[index] += moved.length.scaled(by: weight)
        exposed[index] += moved.subtracting(compute).length.scaled(by: weight)
      }
    }
    return kinds.indices.filter { occurs[$0] }.map {
      CommunicationTime(kind: kinds[$0], transfer: transfer[$0], exposed: exposed[$0])
    }
  }
}
