import Operators
import Units

/// How fast one kind of matrix product runs in one format: a tile model with two fitted numbers.
///
/// A product is cut into output tiles that the multiprocessors work through in whole waves; each tile pays
/// for its depth and for a prologue and epilogue worth `depthOverhead` more elements of depth:
///
/// time = waves × tileRows × tileColumns × (depth + depthOverhead) × 2 ÷ (sustained × peak ÷ multiprocessors)
///
/// The best candidate tile counts, and no product is faster than its bytes.
public struct ProductCalibration: Hashable, Sendable {
  public var kind: MatrixProduct.Kind
  public var format: Format
  /// Share of the format's peak that a tile of endless depth runs at.
  public var sustained: Sourced<Ratio>
  /// Elements of depth that a tile's prologue and epilogue cost.
  public var depthOverhead: Sourced<Ratio>
  /// Duration beside communication over duration alone, on as many multiprocessors: what sharing memory and
  /// power costs.
  public var overlapSlowdown: Sourced<Ratio>
  /// Output tiles the kernel library chooses from.
  public var tiles: [Tile]
  /// The measurements that `sustained` and `depthOverhead` are derived from.
  public var tables: [MeasurementTable<ProductMeasurement>]
  /// Measurements beside communication that nothing is derived from: what the calibration is judged by.
  public var checks: [MeasurementTable<ProductMeasurement>]

  /// Rows and columns of one output tile.
  public struct Tile: Hashable, Sendable {
    public var rows: Int
    public var columns: Int

    public init(rows: Int, columns: Int) {
      self.rows = rows
      self.columns = columns
    }
  }

  public init(
    kind: MatrixProduct.Kind, format: Format, sustained: Sourced<Ratio>, depthOverhead: Sourced<Ratio>,
    overlapSlowdown: Sourced<Ratio>, tiles: [Tile], tables: [MeasurementTable<ProductMeasurement>] = [],
    checks: [MeasurementTable<ProductMeasurement>] = []
  ) {
    self.kind = kind
    self.format = format
    self.sustained = sustained
    self.depthOverhead = depthOverhead
    self.overlapSlowdown = overlapSlowdown
    self.tiles = tiles
    self.tables = tables
    self.checks = checks
  }

  /// How long a product takes.
  ///
  /// - Parameters:
  ///   - multiprocessors: Those the product may use.
  ///   - total: All that the GPU has, which `peak` counts.
  ///   - bandwidth: The memory's, as achieved.
  ///   - overlapped: Whether communication runs beside it.
  /// - Complexity: O(tiles), without allocation.
  public func duration(
    of product: MatrixProduct, multiprocessors: Int, of total: Int, peak: FLOPsPerSecond,
    bandwidth: BytesPerSecond, overlapped: Bool = false
  ) -> Span {
    let bytes = product.bytesRead + product.bytesWritten
    let arithmetic = ProductCalibration.seconds(
      rows: product.rows, columns: product.columns, depth: product.depth, count: product.count,
      multiprocessors: multiprocessors, tiles: tiles, depthOverhead: depthOverhead.value.value,
      ratePerMultiprocessor: sustained.value.value * peak.value / Double(total))
    let alone = max(arithmetic, bytes / bandwidth.value)
    return Span(modelled: overlapped ? alone * overlapSlowdown.value.value : alone)
  }

  /// The tile model itself, for ``duration(of:multiprocessors:of:peak:bandwidth:)`` and for the fit of its
  /// constants.
  static func seconds(
    rows: Double, columns: Int, depth: Double, count: Int, multiprocessors: Int, tiles: [Tile],
    depthOverhead: Double, ratePerMultiprocessor: Double
  ) -> Double {
    guard rows > 0, columns > 0, count > 0 else { return 0 }
    var best = Double.infinity
    for tile in tiles {
      let perProduct =
        (rows / Double(tile.rows)).rounded(.up) * (Double(columns) / Double(tile.columns)).rounded(.up)
      let waves = (perProduct * Double(count) / Double(multiprocessors)).rounded(.up)
      best = min(best, waves * Double(tile.rows * tile.columns))
    }
    return best * (depth + depthOverhead) * 2 / ratePerMultiprocessor
  }
}

/// One published or recorded speed of a matrix product.
public struct ProductMeasurement: Hashable, Sendable {
  public var rows: Double
  public var columns: Int
  public var depth: Double
  public var count: Int
  /// Counting `2 × rows × columns × depth × count` operations.
  public var rate: FLOPsPerSecond
  /// Multiprocessors the kernel ran on.
  public var multiprocessors: Int

  public init(
    rows: Double, columns: Int, depth: Double, count: Int = 1, rate: FLOPsPerSecond, multiprocessors: Int
  ) {
    self.rows = rows
    self.columns = columns
    self.depth = depth
    self.count = count
    self.rate = rate
    self.multiprocessors = multiprocessors
  }

  /// The product that was measured.
  public func product(_ kind: MatrixProduct.Kind, _ format: Format) -> MatrixProduct {
    MatrixProduct(kind, rows: rows, columns: columns, depth: depth, count: count, format: format)
  }

  public var duration: Span {
    FLOPs(2 * rows * Double(columns) * depth * Double(count)) / rate
  }
}
