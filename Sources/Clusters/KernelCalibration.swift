import Operators
import Units

/// What single kernels were measured to reach on one kind of GPU; never tuned to a whole training step.
public struct KernelCalibration: Hashable, Sendable {
  /// From the end of one kernel to the start of the next on the same stream.
  public var launchOverhead: Sourced<Span>
  public var memoryPass: MemoryPassCalibration
  /// One for each kind and format that was measured.
  public var products: [ProductCalibration]
  public var attention: [AttentionMeasurement]

  public init(
    launchOverhead: Sourced<Span>, memoryPass: MemoryPassCalibration, products: [ProductCalibration],
    attention: [AttentionMeasurement]
  ) {
    self.launchOverhead = launchOverhead
    self.memoryPass = memoryPass
    self.products = products
    self.attention = attention
  }

  /// The calibration of a kind of product, or the dense one of its format where the kind was not measured apart.
  public func product(_ kind: MatrixProduct.Kind, _ format: Format) -> ProductCalibration? {
    products.first { $0.kind == kind && $0.format == format }
      ?? products.first { $0.kind == .dense && $0.format == format }
  }
}

/// The share of the memory's bandwidth that norms, activations, casts and permutations reach.
public struct MemoryPassCalibration: Hashable, Sendable {
  public var share: Sourced<Ratio>
  /// The kernels it is derived from; empty where the share itself was published.
  public var table: [Row]
  public var tableSource: String

  /// One kernel whose traffic is known from its shape.
  public struct Row: Hashable, Sendable {
    public var kernel: String
    public var bytes: Bytes
    public var duration: Span

    public init(kernel: String, bytes: Bytes, duration: Span) {
      self.kernel = kernel
      self.bytes = bytes
      self.duration = duration
    }
  }

  public init(share: Sourced<Ratio>, table: [Row] = [], tableSource: String = "") {
    self.share = share
    self.table = table
    self.tableSource = tableSource
  }
}
