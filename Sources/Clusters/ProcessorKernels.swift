import Operators
import Units

/// How fast one rank on one processor runs its kernels: single kernels, measured by shape and interpolated.
///
/// Calls are part of what was measured, so there is no launch to add. Nothing is fitted to more than one kernel.
public struct ProcessorKernels: Hashable, Sendable {
  public var products: [ProductSpeeds]
  /// One for each direction.
  public var attention: [AttentionSpeeds]
  public var passes: [PassSpeeds]

  public init(products: [ProductSpeeds], attention: [AttentionSpeeds], passes: [PassSpeeds]) {
    self.products = products
    self.attention = attention
    self.passes = passes
  }

  /// How long causal attention takes.
  ///
  /// What the softmax costs depends on the scores alone, so narrower heads are slower: the rate is that of heads as
  /// wide as this one's queries, keys and values on average, each weighing as many products as it is in.
  /// - Returns: nil where the direction was not measured.
  public func duration(of attention: FusedAttention) -> Span? {
    guard let speeds = self.attention.first(where: { $0.isBackward == attention.isBackward }) else {
      return nil
    }
    let (queryKey, value) = (Double(attention.queryKeyDimension), Double(attention.valueDimension))
    let width = attention.isBackward ? (3 * queryKey + 2 * value) / 5 : (queryKey + value) / 2
    return attention.flops / speeds.grid.rate(rows: Double(attention.keys), columns: width, depth: 1)
  }

  /// How long a product takes in one of the passes, which decides which operand lies transposed.
  ///
  /// A kind that was not measured is timed as a dense product of the same pass.
  /// - Returns: nil where neither was measured.
  public func duration(of product: MatrixProduct, during pass: Pass) -> Span? {
    let isWeightGradient = product.kind == .weightGradient
    let pass = isWeightGradient ? .weightGradient : pass
    // Experts' weight gradients come as many at once, over uneven numbers of tokens.
    let kind = isWeightGradient && product.count > 1 ? .grouped : product.kind
    guard
      let speeds = products.first(where: { $0.kind == kind && $0.pass == pass })
        ?? products.first(where: { $0.pass == pass }) ?? products.first
    else { return nil }
    let rate = speeds.grid.rate(
      rows: product.rows, columns: Double(product.columns), depth: product.depth)
    return product.flops / rate
  }

  /// How long a memory pass takes; a kind that was not measured goes at the speed of a copy.
  ///
  /// - Returns: nil where neither was measured.
  public func duration(of memoryPass: MemoryPass, during pass: Pass) -> Span? {
    let bytes = memoryPass.bytesRead + memoryPass.bytesWritten
    guard bytes > 0 else { return .zero }
    guard
      let speeds = passes.first(where: { $0.kind == memoryPass.kind && $0.pass == pass })
        ?? passes.first(where: { $0.kind == memoryPass.kind }) ?? passes.first(where: { $0.kind == .copy })
    else { return nil }
    let rate = interpolated(
      at: bytes, speeds.table.rows.map { (Double($0.bytes.count), $0.rate.value) })
    return Span(modelled: bytes / rate)
  }
}

/// Measured rates of one kind of matrix product in one pass.
public struct ProductSpeeds: Hashable, Sendable {
  public var kind: MatrixProduct.Kind
  /// Forward multiplies by transposed weights, the input gradient by weights as they lie, the weight gradient two
  /// activations with the summed dimension outermost.
  public var pass: Pass
  public var table: MeasurementTable<ProductMeasurement>
  let grid: SpeedGrid

  /// - Returns: nil unless the table's rows are a whole grid (see ``SpeedGrid``).
  public init?(kind: MatrixProduct.Kind, pass: Pass, table: MeasurementTable<ProductMeasurement>) {
    guard let grid = SpeedGrid(table.rows) else { return nil }
    self.kind = kind
    self.pass = pass
    self.table = table
    self.grid = grid
  }
}

/// Measured rates of causal attention in one direction, by the length of a sequence and the width of a head, whose
/// values are as wide as its keys.
public struct AttentionSpeeds: Hashable, Sendable {
  public var isBackward: Bool
  public var table: MeasurementTable<AttentionSpeed>
  let grid: SpeedGrid

  /// - Returns: nil unless the rows are every combination of some lengths and widths, once.
  public init?(isBackward: Bool, table: MeasurementTable<AttentionSpeed>) {
    let rows = table.rows.map {
      ProductMeasurement(
        rows: Double($0.sequence), columns: $0.dimension, depth: 1, rate: $0.rate, multiprocessors: 1)
    }
    guard let grid = SpeedGrid(rows) else { return nil }
    self.isBackward = isBackward
    self.table = table
    self.grid = grid
  }
}

/// Operations as ``Operators/FusedAttention/flops`` counts them, over the time of one head of one sequence.
public struct AttentionSpeed: Hashable, Sendable {
  public var sequence: Int
  /// Of queries, keys and values.
  public var dimension: Int
  public var rate: FLOPsPerSecond

  public init(sequence: Int, dimension: Int, rate: FLOPsPerSecond) {
    self.sequence = sequence
    self.dimension = dimension
    self.rate = rate
  }
}

/// Measured rates of one kind of memory pass.
public struct PassSpeeds: Hashable, Sendable {
  public var kind: MemoryPass.Kind
  public var pass: Pass
  /// Ascending in bytes; the caches make the rate depend on them.
  public var table: MeasurementTable<PassSpeed>

  /// - Precondition: The table has a row.
  public init(kind: MemoryPass.Kind, pass: Pass, table: MeasurementTable<PassSpeed>) {
    precondition(!table.rows.isEmpty, "a table without rows gives no speed")
    self.kind = kind
    self.pass = pass
    self.table = table
    self.table.rows.sort { $0.bytes < $1.bytes }
  }
}

/// Bytes read and written, as the operators count them, over the time of one call.
public struct PassSpeed: Hashable, Sendable {
  public var bytes: Bytes
  public var rate: BytesPerSecond

  public init(bytes: Bytes, rate: BytesPerSecond) {
    self.bytes = bytes
    self.rate = rate
  }
}
