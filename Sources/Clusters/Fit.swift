import Foundation
import Units

/// The two constants of a ``ProductCalibration``, and how well they describe the measurements.
public struct ProductFit: Sendable {
  public var sustained: Double
  public var depthOverhead: Double
  /// Largest relative error of a duration among the fitted rows.
  public var worstError: Double
}

extension ProductCalibration {
  /// Derives `sustained` and `depthOverhead` from the tables: least squares on the logarithm of the
  /// durations, every table weighing the same however many rows it has.
  ///
  /// Rows bound by memory (their bytes take over half their duration at the memory's full rate) and rows too
  /// small to fill every multiprocessor once say nothing about the tensor cores and are left out. The
  /// overhead, found by golden section on [0, 4096], is the one that leaves the least scatter about each
  /// table's own level (tables of use `speed` have one level together); `sustained` is that common level, a
  /// geometric mean. Tables of use `bound` are not used. What was recorded beside communication is first
  /// freed of ``overlapSlowdown``.
  ///
  /// - Returns: nil when no row is left, or none that tells a level.
  /// - Complexity: O(rows), 100 times.
  public func fitted(peak: FLOPsPerSecond, of total: Int, memoryBandwidth: BytesPerSecond) -> ProductFit? {
    // Level 0 is the common one; a shape table has its own.
    var samples: [Sample] = []
    for (index, table) in tables.enumerated() where table.use != .bound {
      let usable = table.rows.filter { isBoundByArithmetic($0, memoryBandwidth: memoryBandwidth) }
      let slowdown = table.isBesideCommunication ? overlapSlowdown.value.value : 1
      samples += usable.map {
        Sample(
          row: $0, weight: 1 / Double(usable.count), level: table.use == .speed ? 0 : index + 1,
          slowdown: slowdown)
      }
    }
    guard samples.contains(where: { $0.level == 0 }) else { return nil }

    func logRatio(_ sample: Sample, _ depthOverhead: Double) -> Double {
      let row = sample.row
      let seconds = ProductCalibration.seconds(
        rows: row.rows, columns: row.columns, depth: row.depth, count: row.count,
        multiprocessors: row.multiprocessors, tiles: tiles, depthOverhead: depthOverhead,
        ratePerMultiprocessor: peak.value / Double(total))
      return log(seconds * sample.slowdown / row.duration.seconds)
    }
    func center(_ level: Int, _ depthOverhead: Double) -> Double {
      let members = samples.filter { $0.level == level }
      let weight = members.reduce(0) { $0 + $1.weight }
      return members.reduce(0) { $0 + $1.weight * logRatio($1, depthOverhead) } / weight
    }
    func spread(_ depthOverhead: Double) -> Double {
      let centers = Dictionary(
        uniqueKeysWithValues: Set(samples.map(\.level)).map { ($0, center($0, depthOverhead)) })
      return samples.reduce(0) { sum, sample in
        let deviation = logRatio(sample, depthOverhead) - (centers[sample.level] ?? 0)
        return sum + sample.weight * deviation * deviation
      }
    }
    let depthOverhead = goldenSection(from: 0, to: 4096, minimising: spread)
    let worst = samples.map { abs(exp(logRatio($0, depthOverhead) - center($0.level, depthOverhead)) - 1) }
      .max()
    return ProductFit(
      sustained: exp(center(0, depthOverhead)), depthOverhead: depthOverhead, worstError: worst ?? 0)
  }

  private struct Sample {
    var row: ProductMeasurement
    var weight: Double
    /// Whose common speed the row tells.
    var level: Int
    var slowdown: Double
  }

  private func isBoundByArithmetic(_ row: ProductMeasurement, memoryBandwidth: BytesPerSecond) -> Bool {
    let product = row.product(kind, format)
    let memory = (product.bytesRead + product.bytesWritten) / memoryBandwidth.value
    let largest =
      tiles.map { tile in
        (row.rows / Double(tile.rows)).rounded(.up)
          * (Double(row.columns) / Double(tile.columns)).rounded(.up)
      }.max() ?? 0
    return memory < 0.5 * row.duration.seconds && largest * Double(row.count) >= Double(row.multiprocessors)
  }
}

/// The place of the minimum of a function with one valley, to a thousandth.
private func goldenSection(from low: Double, to high: Double, minimising cost: (Double) -> Double) -> Double {
  let golden = (5.0.squareRoot() - 1) / 2
  var (low, high) = (low, high)
  while high - low > 1e-3 {
    let left = high - golden * (high - low)
    let right = low + golden * (high - low)
    if cost(left) < cost(right) { high = right } else { low = left }
  }
  return (low + high) / 2
}
