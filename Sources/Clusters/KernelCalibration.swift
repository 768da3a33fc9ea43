import Operators
import Units

/// What single kernels were measured to reach on one kind of GPU; never tuned to a whole training step.
public struct KernelCalibration: Hashable, Sendable {
  /// From the end of one kernel to the start of the next on the same stream.
  public var launchOverhead: Sourced<Span>
  public var memoryPass: MemoryPassCalibration
  /// Share of the memory's bandwidth that long linear reads and writes reach, as inside matrix products.
  public var streaming: Sourced<Ratio>
  /// One for each kind and format that was measured.
  public var products: [ProductCalibration]
  public var attention: [AttentionMeasurement]
  /// Measured tables in place of all above: a CPU rank's kernels. Nil for a GPU.
  public var processor: ProcessorKernels?

  public init(
    launchOverhead: Sourced<Span>, memoryPass: MemoryPassCalibration, streaming: Sourced<Ratio>,
    products: [ProductCalibration], attention: [AttentionMeasurement], processor: ProcessorKernels? = nil
  ) {
    self.processor = processor
    self.launchOverhead = launchOverhead
    self.memoryPass = memoryPass
    self.streaming = streaming
    self.products = products
    self.attention = attention
  }

  /// The calibration of a kind of product, or the dense one of its format where the kind was not measured
  /// apart.
  public func product(_ kind: MatrixProduct.Kind, _ format: Format) -> ProductCalibration? {
    products.first { $0.kind == kind && $0.format == format }
      ?? products.first { $0.kind == .dense && $0.format == format }
  }
}

/// The share of the memory's bandwidth that norms, activations, casts and permutations reach, weighted by
/// time.
public struct MemoryPassCalibration: Hashable, Sendable {
  /// With nothing else on the GPU.
  public var share: Sourced<Ratio>
  /// While communication kernels hold some of the multiprocessors.
  public var overlappedShare: Sourced<Ratio>
  /// The kernels it is derived from.
  public var tables: [MeasurementTable<MemoryPassMeasurement>]

  public init(
    share: Sourced<Ratio>, overlappedShare: Sourced<Ratio>,
    tables: [MeasurementTable<MemoryPassMeasurement>] = []
  ) {
    self.share = share
    self.overlappedShare = overlappedShare
    self.tables = tables
  }
}

/// One kernel whose traffic is known from its shape.
public struct MemoryPassMeasurement: Hashable, Sendable {
  public var kernel: String
  /// Read and written by all launches together.
  public var bytes: Bytes
  /// Of all launches together.
  public var duration: Span

  public init(kernel: String, bytes: Bytes, duration: Span) {
    self.kernel = kernel
    self.bytes = bytes
    self.duration = duration
  }
}

/// Measurements that share one source.
public struct MeasurementTable<Row: Hashable & Sendable>: Hashable, Sendable {
  public var source: String
  public var tag: Tag
  public var use: Use
  /// Communication kernels ran at the same time.
  public var isBesideCommunication: Bool
  public var rows: [Row]

  /// What may be concluded from measurements.
  public enum Use: String, CaseIterable, Hashable, Sendable {
    /// Kernels as an engine launches them: how fast, and how speed depends on shape.
    case speed
    /// A synthetic sweep, whose data or clocks flatter the chip: only how speed depends on shape.
    case shape
    /// The best that anyone found in a search: nothing is faster, most is slower.
    case bound
  }

  public init(source: String, tag: Tag, use: Use = .speed, isBesideCommunication: Bool = false, rows: [Row]) {
    self.source = source
    self.tag = tag
    self.use = use
    self.isBesideCommunication = isBesideCommunication
    self.rows = rows
  }
}
