import Operators
import Units

/// One kind of accelerator: what its data sheet promises, and what its kernels were seen to reach.
public struct GPU: Hashable, Sendable {
  public var name: String
  /// Dense matrix-product peaks, in the order of the file.
  public var peaks: [Peak]
  public var memory: Sourced<Bytes>
  public var memoryBandwidth: Sourced<BytesPerSecond>
  public var streamingMultiprocessors: Sourced<Int>
  /// Boost clock, at which the peaks are counted; nil for a processor, whose peak is measured.
  public var clock: Sourced<Hertz>?
  /// Thermal design power of the GPU alone.
  public var power: Sourced<Watts>?
  public var kernels: KernelCalibration

  /// The tensor cores' rate in one format, without sparsity.
  public struct Peak: Hashable, Sendable {
    public var format: Format
    public var rate: Sourced<FLOPsPerSecond>

    public init(format: Format, rate: Sourced<FLOPsPerSecond>) {
      self.format = format
      self.rate = rate
    }
  }

  public init(
    name: String, peaks: [Peak], memory: Sourced<Bytes>, memoryBandwidth: Sourced<BytesPerSecond>,
    streamingMultiprocessors: Sourced<Int>, clock: Sourced<Hertz>?, power: Sourced<Watts>?,
    kernels: KernelCalibration
  ) {
    self.name = name
    self.peaks = peaks
    self.memory = memory
    self.memoryBandwidth = memoryBandwidth
    self.streamingMultiprocessors = streamingMultiprocessors
    self.clock = clock
    self.power = power
    self.kernels = kernels
  }

  /// The peak of a format, or nil where the GPU's tensor cores do not know it (FP8 on A100).
  public func peak(_ format: Format) -> Sourced<FLOPsPerSecond>? {
    peaks.first { $0.format == format }?.rate
  }

  /// Memory bandwidth that a pass over memory gets.
  ///
  /// - Parameter overlapped: Whether communication kernels run beside it.
  public func memoryPassBandwidth(overlapped: Bool) -> BytesPerSecond {
    let pass = kernels.memoryPass
    return memoryBandwidth.value * (overlapped ? pass.overlappedShare : pass.share).value.value
  }

  /// Memory bandwidth that a matrix product gets.
  public var streamingBandwidth: BytesPerSecond { memoryBandwidth.value * kernels.streaming.value.value }

  /// How long a matrix product takes on some of the multiprocessors (all of them by default).
  ///
  /// A kind without its own calibration is timed as a dense product of the same format.
  /// - Parameter overlapped: Whether communication runs beside it.
  /// - Returns: nil where the GPU has no peak or no calibration for the product's format.
  public func duration(of product: MatrixProduct, multiprocessors: Int? = nil, overlapped: Bool = false)
    -> Span?
  {
    guard let peak = peak(product.format),
      let calibration = kernels.product(product.kind, product.format)
    else { return nil }
    let all = streamingMultiprocessors.value
    return calibration.duration(
      of: product, multiprocessors: min(multiprocessors ?? all, all), of: all, peak: peak.value,
      bandwidth: streamingBandwidth, overlapped: overlapped)
  }
}
