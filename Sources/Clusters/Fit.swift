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
  /// Derives `sustained` and `depthOverhead` from the tables: least squares on the logarithm of the durations, every
  /// table weighing the same however many rows it has.
  ///
  /// Rows bound by memory (their bytes take over half their duration at the memory's full rate) and rows too small to
  /// fill every multiprocessor once say nothing about the tensor cores and are left out. For a given overhead the best
  /// `sustained` is a geometric mean; the overhead itself is found by golden section on [0, 4096].
  ///
  /// - Returns: nil when no row is left.
  /// - Complexity: O(rows), 100 times.
  public func fitted(peak: FLOPsPerSecond, of total: Int, memoryBandwidth: BytesPerSecond) -> ProductFit? {
    let samples = tables.flatMap { table -> [(row: ProductMeasurement, weight: Double)] in
      let usable = table.rows.filter { isBoundByArithmetic($0, memoryBandwidth: memoryBandwidth) }
      return usable.map { ($0, 1 / Double(usable.count)) }
    }
    guard !samples.isEmpty else { return nil }
    let totalWeight = samples.reduce(0) { $0 + $1.weight }

    func modelled(_ row: ProductMeasurement, depthOverhead: Double) -> Double {
      ProductCalibration.seconds(
        rows: row.rows, columns: row.columns, depth: row.depth, count: row.count,
        multiprocessors: row.multiprocessors, tiles: tiles, depthOverhead: depthOverhead,
        ratePerMultiprocessor: peak.value / Double(total))
    }
    func logRatio(_ row: ProductMeasurement, _ depthOverhead: Double) -> Double {
      log(modelled(row, depthOverhead: depthOverhead) / row.duration.seconds)
    }
    func mean(_ depthOverhead: Double) -> Double {
      samples.reduce(0) { $0 + $1.weight * logRatio($1.row, depthOverhead) } / totalWeight
    }
    func spread(_ depthOverhead: Double) -> Double {
      let center = mean(depthOverhead)
      return samples.reduce(0) { sum, sample in
        let deviation = logRatio(sample.row, depthOverhead) - center
        return sum + sample.weight * deviation * deviation
      }
    }
    let depthOverhead = goldenSection(from: 0, to: 4096, minimising: spread)
    let logSustained = mean(depthOverhead)
    let worst = samples.map { abs(exp(logRatio($0.row, depthOverhead) - logSustained) - 1) }.max() ?? 0
    return ProductFit(sustained: exp(logSustained), depthOverhead: depthOverhead, worstError: worst)
  }

  private func isBoundByArithmetic(_ row: ProductMeasurement, memoryBandwidth: BytesPerSecond) -> Bool {
    let product = row.product(kind, format)
    let memory = (product.bytesRead + product.bytesWritten) / memoryBandwidth.value
    let largest = tiles.map { tile in
      (row.rows / Double(tile.rows)).rounded(.up) * (Double(row.columns) / Double(tile.columns)).rounded(.up)
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
