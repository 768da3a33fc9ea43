import Programs

/// What a report calls the things that a rank does or waits for.
public enum FleetKind: Int, CaseIterable, Hashable, Sendable {
  case compute
  case dispatch
  case combine
  case pipeline
  case gradients
  case parameters
  case other

  /// As tables write it.
  public var title: String {
    switch self {
    case .compute: "compute"
    case .dispatch: "dispatch"
    case .combine: "combine"
    case .pipeline: "pipeline transfer"
    case .gradients: "gradient reduction"
    case .parameters: "parameter gather"
    case .other: "other collectives"
    }
  }

  init(_ code: Code, task: Int, communicators: [Communicator]) {
    switch code.kind[task] {
    case .compute: self = .compute
    case .dispatch: self = .dispatch
    case .combine: self = .combine
    case .send, .receive: self = .pipeline
    case .reduceScatter where code.lane[task] == .reduction, .allReduce where code.lane[task] == .reduction:
      self = .gradients
    case .allGather where code.lane[task] == .reduction: self = .parameters
    default: self = .other
    }
  }
}
