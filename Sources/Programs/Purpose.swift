/// Which of its slot's chunks a task works for, and in which direction.
public enum TaskPass: UInt8, CaseIterable, Hashable, Sendable {
  /// No chunk: reductions, gathers, the optimizer.
  case none
  /// The slot's forward chunk.
  case forward
  /// The forward of the slot's backward chunk once more.
  case recomputation
  /// The slot's backward chunk; of a compute task, ``Work/pass`` tells the gradients apart.
  case backward

  public var name: String {
    switch self {
    case .none: "none"
    case .forward: "forward"
    case .recomputation: "recomputation"
    case .backward: "backward"
    }
  }
}

/// What the bytes are that a task moves.
public enum TaskPurpose: UInt8, CaseIterable, Hashable, Sendable {
  case unspecified
  /// Outputs of a stage, half a layer or an expert.
  case activation
  /// Their gradients.
  case inputGradient
  case parameters
  case gradients
  /// Tokens that chose each expert, by which the router's selection bias moves.
  case expertCounts
  /// The squared norm of all gradients.
  case gradientNorm
  /// The gradient of an embedding that the first and the last stage both hold.
  case sharedEmbedding
  /// Gradients of experts that several ranks of an expert group hold.
  case replicaGradients

  /// Whether such a task's tag is a ``Bucket``.
  public var namesBucket: Bool {
    switch self {
    case .parameters, .gradients, .expertCounts, .sharedEmbedding, .replicaGradients: true
    case .unspecified, .activation, .inputGradient, .gradientNorm: false
    }
  }

  public var name: String {
    switch self {
    case .unspecified: "unspecified"
    case .activation: "activation"
    case .inputGradient: "input_gradient"
    case .parameters: "parameters"
    case .gradients: "gradients"
    case .expertCounts: "expert_counts"
    case .gradientNorm: "gradient_norm"
    case .sharedEmbedding: "shared_embedding"
    case .replicaGradients: "replica_gradients"
    }
  }
}

/// The parameters, or gradients, that travel together: a segment of a stage.
///
/// Its dense part is reduced in the communicator `data`, its experts in `expert_data`.
public struct Bucket: Hashable, Sendable {
  public var stage: Int
  public var segment: Int

  /// - Precondition: Both are at least 0 and below 32768 (`stage`) and 65536 (`segment`).
  public init(stage: Int, segment: Int) {
    precondition((0..<1 << 15).contains(stage) && (0..<1 << 16).contains(segment), "a bucket's numbers")
    self.stage = stage
    self.segment = segment
  }

  public init(tag: Int32) {
    stage = Int(tag >> 16)
    segment = Int(tag & 0xffff)
  }

  /// The tag of the bucket's tasks: the stage in the upper, the segment in the lower half.
  public var tag: Int32 { Int32(stage << 16 | segment) }
}
