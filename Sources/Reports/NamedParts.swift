import Units

extension Estimate {
  /// The parts of a step, by the names that JSON uses and in the order that every rendering keeps.
  enum StepPart: String, CaseIterable {
    case forward
    case backwardInput = "backward_input"
    case backwardWeight = "backward_weight"
    case overlapped, bubble, optimizer

    var title: String {
      switch self {
      case .forward: "forward"
      case .backwardInput: "backward, input gradient"
      case .backwardWeight: "backward, weight gradient"
      case .overlapped: "forward and backward overlapped"
      case .bubble: "bubble"
      case .optimizer: "optimizer"
      }
    }
  }

  enum MemoryPart: String, CaseIterable {
    case parameters, gradients, optimizer, activations, buffers, reserve

    var title: String { self == .optimizer ? "optimizer states" : rawValue }
    /// Stands for the part in a terminal's bars.
    var letter: Character {
      switch self {
      case .parameters: "P"
      case .gradients: "G"
      case .optimizer: "O"
      case .activations: "A"
      case .buffers: "B"
      case .reserve: "R"
      }
    }
  }
}

extension Estimate.Parts {
  var named: [(part: Estimate.StepPart, time: Span)] {
    Estimate.StepPart.allCases.map { ($0, time(of: $0)) }
  }

  func time(of part: Estimate.StepPart) -> Span {
    switch part {
    case .forward: forward
    case .backwardInput: backwardInput
    case .backwardWeight: backwardWeight
    case .overlapped: overlapped
    case .bubble: bubble
    case .optimizer: optimizer
    }
  }
}

extension Estimate.Memory.Rank {
  var named: [(part: Estimate.MemoryPart, size: Bytes)] {
    Estimate.MemoryPart.allCases.map { ($0, size(of: $0)) }
  }

  func size(of part: Estimate.MemoryPart) -> Bytes {
    switch part {
    case .parameters: parameters
    case .gradients: gradients
    case .optimizer: optimizer
    case .activations: activations
    case .buffers: buffers
    case .reserve: reserve
    }
  }
}
