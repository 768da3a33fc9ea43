import Units

/// How fast reductions and gathers over a group run, apart from the algorithm's traffic.
///
/// Bus bandwidth is NCCL's: bytes that each GPU moves over its slowest link per second, which a ring's
/// `2(n − 1)/n × size` (all-reduce) or `(n − 1)/n × size` (reduce-scatter, all-gather) is divided by.
public struct CollectiveCalibration: Hashable, Sendable {
  /// Of one GPU within a node.
  public var nvlinkBandwidth: Sourced<BytesPerSecond>
  /// Of one card between nodes.
  public var nicBandwidth: Sourced<BytesPerSecond>
  /// Once for each collective: launch and hand-shake.
  public var baseLatency: Sourced<Span>
  /// For each step of a ring within a node.
  public var nvlinkStepLatency: Sourced<Span>
  /// For each step of a ring between nodes.
  public var nicStepLatency: Sourced<Span>

  public init(
    nvlinkBandwidth: Sourced<BytesPerSecond>, nicBandwidth: Sourced<BytesPerSecond>,
    baseLatency: Sourced<Span>, nvlinkStepLatency: Sourced<Span>, nicStepLatency: Sourced<Span>
  ) {
    self.nvlinkBandwidth = nvlinkBandwidth
    self.nicBandwidth = nicBandwidth
    self.baseLatency = baseLatency
    self.nvlinkStepLatency = nvlinkStepLatency
    self.nicStepLatency = nicStepLatency
  }
}

/// How fast expert dispatch and combine run: the slower of their two links.
///
///     time = max(bytes on the card ÷ nicBandwidth, bytes received over NVLink ÷ nvlinkBandwidth)
///
/// Card bytes are physical: one copy per remote destination node. NVLink bytes are logical, as DeepEP counts them:
/// one copy per destination GPU, the own GPU and the landing GPU included.
public struct AllToAllCalibration: Hashable, Sendable {
  public var dispatch: Direction
  public var combine: Direction
  /// Before a dispatch: exchange of counts, alone.
  public var notifyLatency: Sourced<Span>
  /// Before a combine or a dispatch with a kept layout, alone.
  public var cachedNotifyLatency: Sourced<Span>
  /// The published bandwidths that the rates are derived from.
  public var table: [AllToAllMeasurement]
  public var tableSource: String

  public struct Direction: Hashable, Sendable {
    public var nicBandwidth: Sourced<BytesPerSecond>
    public var nvlinkBandwidth: Sourced<BytesPerSecond>
    /// Duration beside running compute over duration alone.
    public var overlapSlowdown: Sourced<Ratio>

    public init(
      nicBandwidth: Sourced<BytesPerSecond>, nvlinkBandwidth: Sourced<BytesPerSecond>,
      overlapSlowdown: Sourced<Ratio>
    ) {
      self.nicBandwidth = nicBandwidth
      self.nvlinkBandwidth = nvlinkBandwidth
      self.overlapSlowdown = overlapSlowdown
    }

    /// How long a transfer takes without compute beside it.
    public func duration(nicBytes: Double, nvlinkBytes: Double) -> Span {
      Span(seconds: max(nicBytes / nicBandwidth.value.value, nvlinkBytes / nvlinkBandwidth.value.value))
    }
  }

  public init(
    dispatch: Direction, combine: Direction, notifyLatency: Sourced<Span>, cachedNotifyLatency: Sourced<Span>,
    table: [AllToAllMeasurement] = [], tableSource: String = ""
  ) {
    self.dispatch = dispatch
    self.combine = combine
    self.notifyLatency = notifyLatency
    self.cachedNotifyLatency = cachedNotifyLatency
    self.table = table
    self.tableSource = tableSource
  }
}

/// One row of a published all-to-all table: 4,096 tokens of 7,168 elements, 8 experts of 256 in at most 4 nodes.
public struct AllToAllMeasurement: Hashable, Sendable {
  public var expertParallel: Int
  /// Distinct nodes of a token's experts, on average, the own node included.
  public var meanNodes: Double
  /// Distinct GPUs of a token's experts, on average, the own GPU included.
  public var meanRanks: Double
  /// Logical, as published: in FP8.
  public var dispatch: BytesPerSecond
  /// Logical, as published: in BF16.
  public var combine: BytesPerSecond

  public init(
    expertParallel: Int, meanNodes: Double, meanRanks: Double, dispatch: BytesPerSecond, combine: BytesPerSecond
  ) {
    self.expertParallel = expertParallel
    self.meanNodes = meanNodes
    self.meanRanks = meanRanks
    self.dispatch = dispatch
    self.combine = combine
  }
}
