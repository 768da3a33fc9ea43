/// The operation types of ByteDance's timelines.
///
/// Source: ByteDance-Seed/StragglerAnalysis, `analyzer/metatypes.py` and the lanes of `analyzer/to_timeline.py`.
enum StragglerOperation: String, CaseIterable {
  case forwardCompute = "forward-compute"
  case backwardCompute = "backward-compute"
  case forwardSend = "forward-send"
  case forwardReceive = "forward-recv"
  case backwardSend = "backward-send"
  case backwardReceive = "backward-recv"
  case parametersAllGather = "params-all-gather"
  case gradientsReduceScatter = "grads-reduce-scatter"
  case separateGradientsAllReduce = "separate-grads-all-reduce"
  case layerNormGradientsAllReduce = "layernorm-grads-all-reduce"
  case embeddingGradientsAllReduce = "embedding-grads-all-reduce"
  case clipMainGradients = "optimizer-clip-main-grad"
  case optimizer
  case garbageCollection = "gc"

  /// Nil for computation.
  var communicationKind: CommunicationKind? {
    switch self {
    case .forwardSend, .backwardSend: .send
    case .forwardReceive, .backwardReceive: .receive
    case .parametersAllGather: .allGather
    case .gradientsReduceScatter: .reduceScatter
    case .separateGradientsAllReduce, .layerNormGradientsAllReduce, .embeddingGradientsAllReduce,
      .clipMainGradients:
      .allReduce
    case .forwardCompute, .backwardCompute, .optimizer, .garbageCollection: nil
    }
  }

  /// Whether it is a message between neighbouring stages.
  var isMessage: Bool { messageStep != nil }

  /// Stages from the own one to the peer's of a message.
  var messageStep: Int? {
    switch self {
    case .forwardSend, .backwardReceive: 1
    case .forwardReceive, .backwardSend: -1
    default: nil
    }
  }

  var isSend: Bool { self == .forwardSend || self == .backwardSend }
  var isForward: Bool { self == .forwardSend || self == .forwardReceive || self == .forwardCompute }

  /// The other half of a message.
  var counterpart: StragglerOperation? {
    switch self {
    case .forwardSend: .forwardReceive
    case .forwardReceive: .forwardSend
    case .backwardSend: .backwardReceive
    case .backwardReceive: .backwardSend
    default: nil
    }
  }

  /// Under which name the study reports it: both halves of a pass's messages are one.
  var reportedName: String {
    guard isMessage else { return rawValue }
    return isForward ? "forward-pp-comm" : "backward-pp-comm"
  }
}

/// The groups of a job with data, pipeline and tensor ranks.
struct StragglerGroups {
  typealias Place = (rank: Int32, data: Int32, stage: Int32, tensor: Int32)

  private(set) var groups: [ProcessGroup] = []
  private let places: [Place]
  private var rankAt: [[Int32]: Int32] = [:]
  private var index: [String: Int32] = [:]
  private var stages: Int32 = 0

  init(_ places: [Place]) {
    self.places = places
    stages = (places.map(\.stage).max() ?? -1) + 1
    for place in places { rankAt[[place.data, place.stage, place.tensor]] = place.rank }
    enter("world", "all ranks") { _ in "" }
    enter("data", "data parallel") { "\($0.stage).\($0.tensor)" }
    enter("pipeline", "pipeline parallel") { "\($0.data).\($0.tensor)" }
    enter("tensor", "tensor parallel") { "\($0.data).\($0.stage)" }
    let last = stages - 1
    enter("embedding", "first and last stage") {
      $0.stage == 0 || $0.stage == last ? "\($0.data).\($0.tensor)" : nil
    }
  }

  /// Enters a group for each key, in the order of the first rank of each.
  private mutating func enter(_ name: String, _ description: String, _ key: (Place) -> String?) {
    var members: [(key: String, ranks: [Int32])] = []
    var position: [String: Int] = [:]
    for place in places {
      guard let key = key(place) else { continue }
      if let known = position[key] {
        members[known].ranks.append(place.rank)
      } else {
        position[key] = members.count
        members.append((key, [place.rank]))
      }
    }
    for group in members {
      index["\(name) \(group.key)"] = Int32(groups.count)
      groups.append(
        ProcessGroup(
          name: group.key.isEmpty ? name : "\(name) \(group.key)", description: description,
          ranks: group.ranks))
    }
  }

  /// The communication of an operation on the rank at an index; nil for computation.
  func communication(_ operation: StragglerOperation, of rank: Int, sequence: Int32) -> RecordedCommunication?
  {
    guard let kind = operation.communicationKind else { return nil }
    var communication = RecordedCommunication(kind, recordedName: operation.rawValue)
    communication.sequence = sequence < 0 ? nil : Int64(sequence)
    let place = places[rank]
    let key =
      switch operation {
      case .clipMainGradients: "world "
      case .embeddingGradientsAllReduce: "embedding \(place.data).\(place.tensor)"
      case .layerNormGradientsAllReduce: "tensor \(place.data).\(place.stage)"
      case _ where operation.isMessage: "pipeline \(place.data).\(place.tensor)"
      default: "data \(place.stage).\(place.tensor)"
      }
    communication.group = index[key] ?? -1
    communication.groupSize = index[key].flatMap { groups[Int($0)].size }
    if let step = operation.messageStep {
      let stage = (place.stage + Int32(step) + stages) % stages
      communication.peer = rankAt[[place.data, stage, place.tensor]]
    }
    return communication
  }
}
