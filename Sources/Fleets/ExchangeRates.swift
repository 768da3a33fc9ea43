import Clusters
import Programs
import Units

/// How fast one class of exchanges runs: calibrated kernels where the cluster has them, else its links.
struct ExchangeRates: Sendable {
  var rowBytes: Double
  /// Of a card, physical; of NVLink, logical. Bytes in a picosecond.
  var card: Double
  var nvlink: Double
  /// Of a GPU's RDMA rings, which rows for the own node pass too; infinite where they are no limit.
  var rings = Double.infinity
  /// Before the bytes, picoseconds.
  var latency: Int64
  /// Beside compute.
  var slowdown: Double

  init(_ own: ExchangeClass, of program: Program, on cluster: Cluster, nodes: Int) {
    rowBytes = program.exchanges[Int(own.exchange)].bytesPerToken
    if let calibration = cluster.allToAll {
      let direction =
        own.isCombine
        ? calibration.combine : own.layoutIsKnown ? calibration.cachedDispatch : calibration.dispatch
      card = direction.nicBandwidth.value.value * 1e-12
      nvlink = (nodes > 1 ? direction.nvlinkBandwidth : direction.intranodeBandwidth).value.value * 1e-12
      if nodes > 1, let rate = direction.rdmaBandwidth { rings = rate.value.value * 1e-12 }
      slowdown = max(1, direction.overlapSlowdown.value.value)
      latency =
        (own.layoutIsKnown ? calibration.cachedNotifyLatency : calibration.notifyLatency).value.picoseconds
    } else {
      card = cluster.collectives.nicBandwidth.value.value * 1e-12
      nvlink = cluster.nvlink.achieved.value.value * 1e-12
      slowdown = 1
      latency = cluster.collectives.baseLatency.value.picoseconds
    }
  }
}
