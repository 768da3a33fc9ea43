import Clusters
import Operators
import Reports
import Units

extension Cluster {
  /// The quantities of a machine whose ranks share its processors: what the tables span, each at its ends.
  func machineQuantities(_ host: Host) -> [Estimate.Assumption] {
    typealias Assumption = Estimate.Assumption
    func rate(_ rate: BytesPerSecond) -> String { scaled(rate.value, unit: "B/s") }
    var all: [Assumption] = [
      Assumption("ranks", gpusPerNode) { grouped($0) },
      Assumption("processors that they share", host.processors) { grouped($0) },
      Assumption("memory of the machine", host.memory) { $0.shown },
      Assumption("memory of a rank", gpu.memory) { $0.shown },
      Assumption("memory bandwidth of a rank", gpu.memoryBandwidth, shown: rate),
    ]
    all += gpu.peaks.map { Assumption("\($0.format.title) peak of a rank", $0.rate) { $0.shown } }
    if let kernels = gpu.kernels.processor {
      for speeds in kernels.products {
        let name = "\(speeds.kind.rawValue) products, \(speeds.pass.name)"
        all.append(Assumption(name, range(speeds.table) { $0.rate }) { "\($0.shown) to \($1.shown)" })
      }
      for speeds in kernels.attention {
        let name = "attention, \(speeds.isBackward ? "backward" : "forward")"
        all.append(Assumption(name, range(speeds.table) { $0.rate }) { "\($0.shown) to \($1.shown)" })
      }
      for speeds in kernels.passes {
        let name = "\(speeds.kind.rawValue) passes, \(speeds.pass.name)"
        all.append(Assumption(name, range(speeds.table) { $0.rate }) { "\(rate($0)) to \(rate($1))" })
      }
    }
    for (transport, manner) in [
      (host.transport, ""), (host.crowdedTransport, ", ranks outnumbering processors"),
    ] {
      guard let transport else { continue }
      all.append(
        Assumption("time of a message\(manner)", range(transport.messages) { $0.time }) {
          "\($0.shown) to \($1.shown)"
        })
      all.append(
        Assumption(
          "processor time of an all-to-all\(manner)", range(transport.allToAlls) { $0.processorTime }
        ) {
          "\($0.shown) to \($1.shown)"
        })
    }
    return all
  }

  /// The least and the greatest of a table.
  private func range<Row, Value: Comparable & Sendable>(
    _ table: MeasurementTable<Row>, _ value: (Row) -> Value
  ) -> Sourced<Ends<Value>> {
    let values = table.rows.map(value).sorted()
    return Sourced(
      Ends(least: values[0], greatest: values[values.count - 1]), tag: table.tag, source: table.source)
  }
}

private struct Ends<Value: Sendable>: Sendable {
  var least: Value
  var greatest: Value
}

extension Estimate.Assumption {
  fileprivate init<Value: Sendable>(
    _ what: String, _ ends: Sourced<Ends<Value>>, shown: (Value, Value) -> String
  ) {
    self.init(what, ends) { shown($0.least, $0.greatest) }
  }
}
