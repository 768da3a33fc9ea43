import Clusters
import Documents
import Fleets
import Units
import Validation

extension Metric {
  /// Figures of a dispatch or combine alone; they need neither model nor plan.
  static let exchanges: [Metric] = [
    .dispatchBandwidth, .combineBandwidth, .lowLatencyDispatch, .lowLatencyCombine,
  ]
}

/// Runs DeepEP's benchmarks with as many ranks as a published case has GPUs.
///
/// - Throws: A `Diagnostic` for a cluster without calibrated exchanges, or a number of ranks that experts do not spread
///   over.
func predictExchanges(_ published: PublishedCase) throws -> Prediction {
  let cluster = try resolveCluster(published.cluster).cluster
  let wanted = published.figures.map(\.metric)
  do {
    guard ExchangeBench.isPossible(published.gpus, cluster),
      let bench = try ExchangeBench(
        cluster, expertParallel: [published.gpus],
        normal: wanted.contains { $0 == .dispatchBandwidth || $0 == .combineBandwidth })
    else {
      throw Diagnostic(
        .data, "exchanges of this case cannot be run", file: "\(published.family).yaml", path: published.name,
        found: "\(published.gpus) GPUs of \(cluster.name)", allowed: "a cluster with all_to_all, whole nodes")
    }
    var values: [Metric: Double] = [:]
    for row in bench.normal {
      values[row.isCombine ? .combineBandwidth : .dispatchBandwidth] = row.bandwidth.value / 1e9
    }
    for row in bench.lowLatency {
      values[row.isCombine ? .lowLatencyCombine : .lowLatencyDispatch] = row.study.latency.microseconds
    }
    return Prediction(values: values)
  } catch {
    throw diagnostic(for: error)
  }
}
