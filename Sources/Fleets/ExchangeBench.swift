import Clusters
import Models
import Networks
import Routing
import Units

/// DeepEP's two benchmarks on a cluster that has calibrated exchanges: normal and low-latency kernels.
///
/// The workload is that of its README: normal kernels with 4,096 tokens of 7,168 elements on each GPU, low-latency ones
/// with 128, 8 experts of 256 each, dispatch in FP8 with a scale for 128 elements, combine in BF16. Normal kernels keep
/// a token to the best four nodes. Source: DeepEP, `tests/test_internode.py`, `tests/test_low_latency.py`.
public struct ExchangeBench: Sendable {
  /// One run of the normal kernels beside its published cell.
  public struct NormalRow: Sendable {
    public let expertParallel: Int
    public let isCombine: Bool
    public let study: ExchangeStudy
    /// As the README prints it; nil where no table has the row.
    public let published: BytesPerSecond?

    /// Over NVLink within a node, else over RDMA: what the README calls the bottleneck's.
    public var bandwidth: BytesPerSecond {
      isWithinNode ? study.logicalLinkBandwidth : study.logicalCardBandwidth
    }
    public let isWithinNode: Bool
    /// Predicted over published, less 1.
    public var error: Double? { published.map { bandwidth.value / $0.value - 1 } }
  }

  /// One run of the low-latency kernels beside its published cell.
  public struct LowLatencyRow: Sendable {
    public let expertParallel: Int
    public let isCombine: Bool
    public let study: LowLatencyStudy
    public let published: Span?

    public var error: Double? { published.map { study.latency.seconds / $0.seconds - 1 } }
  }

  public let clusterName: String
  public let normal: [NormalRow]
  /// Empty where the cluster has no calibration for them.
  public let lowLatency: [LowLatencyRow]
  /// Of a card's and a GPU's wires, beside which physical bandwidths may be laid.
  public let cardPeak: BytesPerSecond
  public let nvlinkPeak: BytesPerSecond

  public static let experts = 256
  public static let topK = 8
  public static let hidden = 7168
  static let normalTokens = 4096
  static let lowLatencyTokens = 128

  /// Sizes of the README's tables that fit the cluster.
  public static func sizes(_ cluster: Cluster, lowLatency: Bool) -> [Int] {
    (lowLatency ? [8, 16, 32, 64, 128, 256] : [8, 16, 32, 64]).filter { isPossible($0, cluster) }
  }

  /// Whole nodes, or a part of one, that divide the experts.
  public static func isPossible(_ ranks: Int, _ cluster: Cluster) -> Bool {
    let perNode = cluster.gpusPerNode.value
    return ranks > 1 && ranks <= cluster.gpus && experts % ranks == 0
      && (ranks <= perNode || ranks % perNode == 0)
  }

  /// Nil for a cluster whose exchanges were never measured.
  ///
  /// - Parameters:
  ///   - expertParallel: Numbers of ranks; nil for the README's.
  ///   - wantsNormal: Whether normal kernels are run; the others take less time.
  /// - Throws: `NetworkError` for rates that are not positive.
  /// - Precondition: Every number is possible.
  public init?(
    _ cluster: Cluster, expertParallel: [Int]? = nil, normal wantsNormal: Bool = true, seed: UInt64 = 1
  ) throws(NetworkError) {
    guard let calibration = cluster.allToAll else { return nil }
    clusterName = cluster.name
    cardPeak = cluster.nic.peak.value
    nvlinkPeak = cluster.nvlink.peak.value
    var normal: [NormalRow] = []
    for ranks in wantsNormal ? expertParallel ?? Self.sizes(cluster, lowLatency: false) : [] {
      normal += try Self.normal(ranks, cluster, calibration, seed)
    }
    self.normal = normal
    var lowLatency: [LowLatencyRow] = []
    if let own = calibration.lowLatency {
      for ranks in expertParallel ?? Self.sizes(cluster, lowLatency: true) {
        lowLatency += try Self.lowLatency(ranks, cluster, own, seed)
      }
    }
    self.lowLatency = lowLatency
  }

  private static func mixture(nodes: Int) -> Mixture {
    Mixture(
      routedExperts: experts, sharedExperts: 0, topK: topK, expertIntermediate: 2048, groups: nodes,
      limitedGroups: min(nodes, 4), scoring: .sigmoid, hasSelectionBias: false, firstDenseLayers: 0)
  }

  private static func choices(_ ranks: Int, tokens: Int, nodes: Int, _ seed: UInt64) -> [Int32] {
    RoutingDraw(mixture: mixture(nodes: nodes), layers: [0], popularity: .balanced, seed: seed)
      .sample(layer: 0, tokens: ranks * tokens)
  }

  private static func normal(
    _ ranks: Int, _ cluster: Cluster, _ calibration: AllToAllCalibration, _ seed: UInt64
  ) throws(NetworkError) -> [NormalRow] {
    let perNode = min(ranks, cluster.gpusPerNode.value)
    let nodes = ranks / perNode
    let choices = choices(ranks, tokens: normalTokens, nodes: nodes, seed)
    // The tables are of nodes of eight.
    let published =
      cluster.gpusPerNode.value == 8
      ? calibration.table.rows.first { $0.expertParallel == ranks } : nil
    var rows: [NormalRow] = []
    for isCombine in [false, true] {
      // The benchmark times dispatches whose layout is known.
      let direction = isCombine ? calibration.combine : calibration.cachedDispatch
      let rates = ExchangeStudy.Rates(
        card: direction.rdmaBandwidth == nil ? direction.nicBandwidth.value : cluster.nic.peak.value,
        rings: direction.rdmaBandwidth?.value,
        nvlink: (nodes > 1 ? direction.nvlinkBandwidth : direction.intranodeBandwidth).value)
      let study = try ExchangeStudy(
        choices: choices, topK: topK, experts: experts, members: ranks, ranksPerNode: perNode,
        rowBytes: Double(isCombine ? 2 * hidden : hidden + hidden / 128 * 4), rates: rates,
        isCombine: isCombine)
      rows.append(
        NormalRow(
          expertParallel: ranks, isCombine: isCombine, study: study,
          published: isCombine ? published?.combine : published?.dispatch, isWithinNode: nodes == 1))
    }
    return rows
  }

  private static func lowLatency(
    _ ranks: Int, _ cluster: Cluster, _ calibration: LowLatencyCalibration, _ seed: UInt64
  ) throws(NetworkError) -> [LowLatencyRow] {
    let choices = choices(ranks, tokens: lowLatencyTokens, nodes: 1, seed)
    // The tables are of nodes of eight.
    let published =
      cluster.gpusPerNode.value == 8
      ? calibration.table.rows.first { $0.expertParallel == ranks } : nil
    let nodes = ranks / cluster.gpusPerNode.value
    let isNear = nodes <= cluster.fabric.nodesPerLeaf(nicsPerNode: cluster.nic.perNode.value)
    var rows: [LowLatencyRow] = []
    for isCombine in [false, true] {
      // A row of a dispatch carries its scales and where it comes from.
      let study = try LowLatencyStudy(
        choices: choices, experts: experts, members: ranks,
        rowBytes: Int64(isCombine ? 2 * hidden : hidden + hidden / 128 * 4 + 16),
        card: calibration.nicBandwidth.value,
        wire: (isNear ? cluster.fabric.sameLeafLatency : cluster.fabric.crossLeafLatency).value,
        isCombine: isCombine)
      rows.append(
        LowLatencyRow(
          expertParallel: ranks, isCombine: isCombine, study: study,
          published: isCombine ? published?.combine : published?.dispatch))
    }
    return rows
  }
}
