import Units

/// How fast reductions and gathers over a group run, apart from the algorithm's traffic.
///
/// Bus bandwidth is NCCL's: bytes that each GPU moves over its slowest link per second, which a ring's
/// `2(n − 1)/n × size` (all-reduce) or `(n − 1)/n × size` (reduce-scatter, all-gather) is divided by.
public struct CollectiveCalibration: Hashable, Sendable {
  /// Of one GPU within a node.
  public var nvlinkBandwidth: Sourced<BytesPerSecond>
  /// Of one GPU within a node for an all-reduce that the switches add up (NVLS), in the same accounting; nil
  /// where the switches cannot.
  public var nvlinkAllReduceBandwidth: Sourced<BytesPerSecond>?
  /// Of one card between nodes.
  public var nicBandwidth: Sourced<BytesPerSecond>
  /// Once for each collective: launch and hand-shake.
  public var baseLatency: Sourced<Span>
  /// For each step of a ring within a node.
  public var nvlinkStepLatency: Sourced<Span>
  /// For each step of a ring between nodes.
  public var nicStepLatency: Sourced<Span>

  public init(
    nvlinkBandwidth: Sourced<BytesPerSecond>, nvlinkAllReduceBandwidth: Sourced<BytesPerSecond>? = nil,
    nicBandwidth: Sourced<BytesPerSecond>, baseLatency: Sourced<Span>, nvlinkStepLatency: Sourced<Span>,
    nicStepLatency: Sourced<Span>
  ) {
    self.nvlinkBandwidth = nvlinkBandwidth
    self.nvlinkAllReduceBandwidth = nvlinkAllReduceBandwidth
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
/// Card bytes are physical: one copy per remote destination node. NVLink bytes are logical, as DeepEP counts
/// them: one copy per destination GPU, the own GPU and the landing GPU included.
public struct AllToAllCalibration: Hashable, Sendable {
  public var dispatch: AllToAllDirection
  /// A dispatch that reuses a kept layout: the backward of a combine.
  public var cachedDispatch: AllToAllDirection
  public var combine: AllToAllDirection
  /// Before a dispatch: layout and exchange of counts, with nobody late.
  public var notifyLatency: Sourced<Span>
  /// Before a combine or a cached dispatch, with nobody late.
  public var cachedNotifyLatency: Sourced<Span>
  /// The published bandwidths that the rates are derived from.
  public var table: MeasurementTable<AllToAllMeasurement>
  /// The kernels for decoding; nil where they were not measured.
  public var lowLatency: LowLatencyCalibration?

  public init(
    dispatch: AllToAllDirection, cachedDispatch: AllToAllDirection, combine: AllToAllDirection,
    notifyLatency: Sourced<Span>, cachedNotifyLatency: Sourced<Span>,
    table: MeasurementTable<AllToAllMeasurement>, lowLatency: LowLatencyCalibration? = nil
  ) {
    self.lowLatency = lowLatency
    self.dispatch = dispatch
    self.cachedDispatch = cachedDispatch
    self.combine = combine
    self.notifyLatency = notifyLatency
    self.cachedNotifyLatency = cachedNotifyLatency
    self.table = table
  }
}

/// The rates of one of the exchanges.
public struct AllToAllDirection: Hashable, Sendable {
  /// Of one card, physical.
  public var nicBandwidth: Sourced<BytesPerSecond>
  /// Of one GPU when tokens also cross nodes, logical.
  public var nvlinkBandwidth: Sourced<BytesPerSecond>
  /// Of one GPU when all experts are in the node, logical.
  public var intranodeBandwidth: Sourced<BytesPerSecond>
  /// Duration beside running compute over duration alone.
  public var overlapSlowdown: Sourced<Ratio>
  /// Of one GPU's RDMA rings, logical: a row for each node, the own one included. Nil where cards are the limit.
  public var rdmaBandwidth: Sourced<BytesPerSecond>?

  public init(
    nicBandwidth: Sourced<BytesPerSecond>, nvlinkBandwidth: Sourced<BytesPerSecond>,
    intranodeBandwidth: Sourced<BytesPerSecond>, overlapSlowdown: Sourced<Ratio>,
    rdmaBandwidth: Sourced<BytesPerSecond>? = nil
  ) {
    self.rdmaBandwidth = rdmaBandwidth
    self.nicBandwidth = nicBandwidth
    self.nvlinkBandwidth = nvlinkBandwidth
    self.intranodeBandwidth = intranodeBandwidth
    self.overlapSlowdown = overlapSlowdown
  }

  /// How long an exchange takes without compute beside it.
  ///
  /// - Parameters:
  ///   - nicBytes: Physical bytes that one card sends; zero within a node.
  ///   - nodeBytes: Logical bytes to nodes, those for the own node included.
  ///   - nvlinkBytes: Logical bytes that one GPU receives.
  public func duration(nicBytes: Double, nodeBytes: Double, nvlinkBytes: Double) -> Span {
    if nicBytes == 0 { return Span(modelled: nvlinkBytes / intranodeBandwidth.value.value) }
    let rings = rdmaBandwidth.map { nodeBytes / $0.value.value } ?? 0
    return Span(
      modelled: max(nicBytes / nicBandwidth.value.value, rings, nvlinkBytes / nvlinkBandwidth.value.value))
  }
}

/// One row of a published all-to-all table: 4,096 tokens of 7,168 elements, 8 experts of 256 in at most 4
/// nodes.
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
    expertParallel: Int, meanNodes: Double, meanRanks: Double, dispatch: BytesPerSecond,
    combine: BytesPerSecond
  ) {
    self.expertParallel = expertParallel
    self.meanNodes = meanNodes
    self.meanRanks = meanRanks
    self.dispatch = dispatch
    self.combine = combine
  }
}

/// How DeepEP's low-latency kernels run: every choice is a message of its own to its expert's GPU, all over cards.
///
/// Source: DeepEP, `csrc/kernels/internode_ll.cu` at its first release, where cards carry rows within a node too.
public struct LowLatencyCalibration: Hashable, Sendable {
  /// Of one card, physical.
  public var nicBandwidth: Sourced<BytesPerSecond>
  /// The published times; the rate is derived from one of them.
  public var table: MeasurementTable<LowLatencyMeasurement>

  public init(nicBandwidth: Sourced<BytesPerSecond>, table: MeasurementTable<LowLatencyMeasurement>) {
    self.nicBandwidth = nicBandwidth
    self.table = table
  }
}

/// One row of the published table: 128 tokens of 7,168 elements on each GPU, 8 experts each.
public struct LowLatencyMeasurement: Hashable, Sendable {
  public var expertParallel: Int
  /// In FP8.
  public var dispatch: Span
  /// In BF16.
  public var combine: Span

  public init(expertParallel: Int, dispatch: Span, combine: Span) {
    self.expertParallel = expertParallel
    self.dispatch = dispatch
    self.combine = combine
  }
}
