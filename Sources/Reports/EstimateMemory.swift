import Units

extension Estimate {
  /// Memory of the fullest GPU of every pipeline rank, at its fullest moment.
  public struct Memory: Hashable, Sendable {
    public var capacity: Bytes
    /// In the order of pipeline ranks; at least one.
    public var ranks: [Rank]

    public init(capacity: Bytes, ranks: [Rank]) {
      precondition(!ranks.isEmpty, "memory needs at least one rank")
      self.capacity = capacity
      self.ranks = ranks
    }

    /// The memory of one pipeline rank's GPUs.
    public struct Rank: Hashable, Sendable {
      public var pipelineRank: Int
      public var parameters: Bytes
      public var gradients: Bytes
      public var optimizer: Bytes
      public var activations: Bytes
      /// Communication and workspace.
      public var buffers: Bytes
      /// What the runtime and the allocator keep for themselves.
      public var reserve: Bytes

      public init(
        pipelineRank: Int, parameters: Bytes, gradients: Bytes, optimizer: Bytes, activations: Bytes,
        buffers: Bytes,
        reserve: Bytes
      ) {
        self.pipelineRank = pipelineRank
        self.parameters = parameters
        self.gradients = gradients
        self.optimizer = optimizer
        self.activations = activations
        self.buffers = buffers
        self.reserve = reserve
      }

      public var total: Bytes { parameters + gradients + optimizer + activations + buffers + reserve }
    }

    /// The first of the fullest ranks.
    public var worst: Rank {
      ranks.dropFirst().reduce(ranks[0]) { $1.total > $0.total ? $1 : $0 }
    }

    public var peak: Bytes { worst.total }
    public var fits: Bool { peak <= capacity }
  }
}
