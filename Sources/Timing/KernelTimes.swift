import Clusters
import Operators
import Units

/// How long kernels take on a GPU, one after the other on one stream.
///
/// Matrix products and fused attention come from the GPU's published or measured kernel tables, everything
/// else from bytes over achieved memory bandwidth; each launch adds the measured gap between kernels.
public struct KernelTimes: Sendable {
  private let gpu: GPU
  /// Multiprocessors left to compute; the others belong to communication kernels.
  private let multiprocessors: Int
  private let memoryPassBandwidth: BytesPerSecond
  private let besideCommunication: Bool

  /// - Parameters:
  ///   - reservedMultiprocessors: Multiprocessors that communication kernels hold.
  ///   - besideCommunication: Communication kernels also take their share of the memory's bandwidth.
  public init(_ gpu: GPU, reservedMultiprocessors: Int = 0, besideCommunication: Bool = false) {
    self.gpu = gpu
    multiprocessors = max(1, gpu.streamingMultiprocessors.value - reservedMultiprocessors)
    self.besideCommunication = besideCommunication
    memoryPassBandwidth = gpu.memoryPassBandwidth(overlapped: besideCommunication)
  }

  /// - Parameter pass: Decides on a processor which operand of a product lies transposed; a GPU does not ask.
  /// - Throws: ``UntimedKernel`` where the GPU has no peak for the kernel's format.
  public func duration(of kernels: [Kernel], during pass: Pass = .forward) throws(UntimedKernel) -> Span {
    var total = Span.zero
    for kernel in kernels { total = min(total + (try duration(of: kernel, during: pass)), .longestTask) }
    return total
  }

  public func duration(of kernel: Kernel, during pass: Pass = .forward) throws(UntimedKernel) -> Span {
    if let processor = gpu.kernels.processor {
      return try duration(of: kernel, during: pass, on: processor)
    }
    switch kernel {
    case .matrixProduct(let product):
      guard product.flops.value > 0 else { return .zero }
      guard
        let time = gpu.duration(
          of: product, multiprocessors: multiprocessors, overlapped: besideCommunication)
      else {
        throw UntimedKernel(
          gpu: gpu.name, kernel: "\(product.kind.rawValue) product in \(product.format.rawValue)")
      }
      return time + gpu.kernels.launchOverhead.value
    case .fusedAttention(let attention):
      guard let rate = gpu.attentionRate(attention, multiprocessors: multiprocessors) else {
        throw UntimedKernel(gpu: gpu.name, kernel: "fused attention in \(attention.format.rawValue)")
      }
      return attention.flops / rate.value + gpu.kernels.launchOverhead.value
    case .memoryPass(let pass):
      let bytes = pass.bytesRead + pass.bytesWritten
      return Span(modelled: bytes / memoryPassBandwidth.value)
        + gpu.kernels.launchOverhead.value * pass.launches
    }
  }

  private func duration(
    of kernel: Kernel, during pass: Pass, on processor: ProcessorKernels
  ) throws(UntimedKernel) -> Span {
    switch kernel {
    case .matrixProduct(let product):
      guard product.flops.value > 0 else { return .zero }
      if gpu.peak(product.format) != nil, let time = processor.duration(of: product, during: pass) {
        return time
      }
      throw UntimedKernel(
        gpu: gpu.name, kernel: "\(product.kind.rawValue) product in \(product.format.rawValue)")
    case .fusedAttention(let attention):
      if gpu.peak(attention.format) != nil, let time = processor.duration(of: attention) { return time }
      throw UntimedKernel(gpu: gpu.name, kernel: "fused attention in \(attention.format.rawValue)")
    case .memoryPass(let memoryPass):
      if let time = processor.duration(of: memoryPass, during: pass) { return time }
      throw UntimedKernel(gpu: gpu.name, kernel: "\(memoryPass.kind.rawValue) pass")
    }
  }
}

/// A kernel that no table of the GPU speaks of.
public struct UntimedKernel: Error, Hashable, Sendable {
  public var gpu: String
  public var kernel: String
}
