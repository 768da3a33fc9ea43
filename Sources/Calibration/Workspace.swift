import Kernels

/// Memory that kernels are measured on.
///
/// Weights and their gradients lie cold when a step comes to them, other layers having been there in between; so each
/// call takes the next piece of a pool larger than the caches. Activations were just made.
final class Workspace {
  /// Floats of the pool: 128 MiB, four times the last-level cache of a large server's core complex.
  private let poolCount = 32 << 20
  private let pool: UnsafeMutablePointer<Float>
  /// Three buffers of activations.
  let activations: [UnsafeMutablePointer<Float>]
  /// Numbers that are not negative, as second moments are.
  let positives: UnsafeMutablePointer<Float>
  /// Floats of each of the activations.
  static let activationCount = 8 << 20

  init() {
    func buffer(_ count: Int) -> UnsafeMutablePointer<Float> {
      // Aligned as the buffers of `Execution` are: the speed depends on it.
      let buffer = UnsafeMutableRawPointer.allocate(byteCount: 4 * count, alignment: 64)
        .bindMemory(to: Float.self, capacity: count)
      // Numbers of both signs and of moderate size: zeros or denormals would have speeds of their own.
      for index in 0..<count { buffer[index] = Float((index &* 2_654_435_761) & 0xffff) / 32768 - 1 }
      return buffer
    }
    pool = buffer(poolCount)
    activations = (0..<3).map { _ in buffer(Self.activationCount) }
    positives = UnsafeMutablePointer<Float>.allocate(capacity: Self.activationCount)
    positives.initialize(repeating: 1, count: Self.activationCount)
  }

  deinit {
    pool.deallocate()
    positives.deallocate()
    for buffer in activations { buffer.deallocate() }
  }

  /// A piece of the pool that the last calls did not touch.
  ///
  /// - Precondition: `count` is at most that of the pool.
  func cold(_ count: Int, call: Int) -> UnsafeMutablePointer<Float> {
    precondition(count <= poolCount, "a piece larger than the pool")
    return pool + call % (poolCount / count) * count
  }
}
