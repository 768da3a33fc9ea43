import Foundation
import Units

/// Rates of a matrix product over a grid of shapes, interpolated in between.
///
/// Rows, columns, depth and rate are all taken by their logarithms: a rate falls off by a power of a small extent.
/// Beyond the grid the rate is held.
public struct SpeedGrid: Hashable, Sendable {
  /// Measured extents of `[rows, columns, depth]`, ascending.
  public let extents: [[Double]]
  /// Logarithms of the rates in FLOPS, `[rows, columns, depth]`.
  private let rates: [Double]

  /// - Returns: nil unless the measurements are all combinations of some rows, columns and depths, each once.
  public init?(_ measurements: [ProductMeasurement]) {
    extents = [
      Set(measurements.map(\.rows)).sorted(), Set(measurements.map { Double($0.columns) }).sorted(),
      Set(measurements.map(\.depth)).sorted(),
    ]
    let count = extents.reduce(1) { $0 * $1.count }
    guard count > 0, measurements.count == count else { return nil }
    var rates = [Double](repeating: .nan, count: count)
    for row in measurements {
      var index = 0
      for (axis, extent) in zip(extents, [row.rows, Double(row.columns), row.depth]) {
        index = index * axis.count + (axis.firstIndex(of: extent) ?? 0)
      }
      rates[index] = log(row.rate.value)
    }
    guard !rates.contains(where: \.isNaN) else { return nil }
    self.rates = rates
  }

  /// The rate at a shape; each extent is at least held within the grid.
  ///
  /// - Complexity: O(extents).
  public func rate(rows: Double, columns: Double, depth: Double) -> FLOPsPerSecond {
    let places = zip(extents, [rows, columns, depth]).map { place(of: $1, on: $0) }
    var sum = 0.0
    for corner in 0..<8 {
      var weight = 1.0
      var index = 0
      for axis in 0..<3 {
        let isUpper = corner >> axis & 1 == 1
        weight *= isUpper ? places[axis].share : 1 - places[axis].share
        index =
          index * extents[axis].count + min(places[axis].below + (isUpper ? 1 : 0), extents[axis].count - 1)
      }
      if weight > 0 { sum += weight * rates[index] }
    }
    return FLOPsPerSecond(exp(sum))
  }
}

/// Where a value lies on an ascending axis: the mark below it and the share of the way to the next, by logarithms.
private func place(of value: Double, on axis: [Double]) -> (below: Int, share: Double) {
  guard let above = axis.firstIndex(where: { $0 > value }) else { return (axis.count - 1, 0) }
  guard above > 0 else { return (0, 0) }
  return (above - 1, log(value / axis[above - 1]) / log(axis[above] / axis[above - 1]))
}

/// A value between measured points, by the logarithms of both.
///
/// - Parameter points: Not empty, their `x` ascending and positive, their `y` positive.
/// - Returns: The end's value where `x` lies beyond it.
func interpolated(at x: Double, _ points: [(x: Double, y: Double)]) -> Double {
  let (below, share) = place(of: x, on: points.map(\.x))
  guard share > 0 else { return points[below].y }
  return exp(log(points[below].y) * (1 - share) + log(points[below + 1].y) * share)
}
