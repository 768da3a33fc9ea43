import Clusters
import Documents
import Units

/// Latencies of NCCL's algorithms and protocols, and the share of bandwidth that a protocol leaves to data.
///
/// NCCL takes the algorithm and protocol whose modelled time is least; so is it done here, with the flows' time in
/// place of NCCL's bandwidth. Its further corrections (`treeCorrectionFactor`, the plateau of rings, LL128) are left
/// out. Source: NCCL, src/graph/tuning.cc.
struct CollectiveTuning {
  struct Row {
    var algorithm: CollectiveAlgorithm
    var name: String
    var base: Span
    var nvlinkStep: Span
    var networkStep: Span
    var bandwidth: Double
  }

  private let rows: [Row]

  /// - Throws: A ``Documents/Diagnostic`` when the data file was damaged.
  init(_ cluster: Cluster) throws {
    let own = cluster.collectives
    func simple(_ algorithm: CollectiveAlgorithm) -> Row {
      Row(
        algorithm: algorithm, name: "Simple", base: own.baseLatency.value,
        nvlinkStep: own.nvlinkStepLatency.value, networkStep: own.nicStepLatency.value, bandwidth: 1)
    }
    var pairwise = simple(.pairwise)
    // Messages to everyone go out at once; routes have their own latency.
    pairwise.nvlinkStep = .zero
    pairwise.networkStep = .zero
    let table = try shippedDocument("nccl.yaml").required("tuning")
    rows =
      [simple(.ring), simple(.hierarchical), pairwise]
      + (try table.required("rows").list().map { row in
        let name = try row.required("algorithm").text()
        guard let algorithm = CollectiveAlgorithm(rawValue: name) else {
          throw row.error("there is no such algorithm", found: name)
        }
        return Row(
          algorithm: algorithm, name: try row.required("protocol").text(),
          base: try row.required("base").quantity(Span.self),
          nvlinkStep: try row.required("nvlink_step").quantity(Span.self, allowingZero: true),
          networkStep: try row.required("network_step").quantity(Span.self),
          bandwidth: try row.required("bandwidth").number())
      })
  }

  /// The protocol under which a collective of an algorithm ends first.
  ///
  /// - Precondition: The algorithm has a row.
  func fastest(
    _ algorithm: CollectiveAlgorithm, transfer: Span, nvlinkSteps: Int, networkSteps: Int
  ) -> (time: Span, protocolName: String) {
    var best: (time: Span, protocolName: String)?
    for row in rows where row.algorithm == algorithm {
      let time =
        row.base + row.nvlinkStep * nvlinkSteps + row.networkStep * networkSteps
        + (row.bandwidth == 1 ? transfer : transfer.scaled(by: 1 / row.bandwidth))
      if let best, best.time <= time { continue }
      best = (time, row.name)
    }
    guard let best else { preconditionFailure("\(algorithm.rawValue) has a row") }
    return best
  }
}
