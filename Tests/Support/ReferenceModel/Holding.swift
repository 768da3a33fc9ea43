import Kernels

/// Floats that live as long as this; they hold no number at first.
public final class Buffer {
  let base: UnsafeMutablePointer<Float>
  let count: Int

  init(_ count: Int) {
    self.count = count
    base = .allocate(capacity: max(1, count))
    fill(.nan)
  }

  deinit { base.deallocate() }

  func fill(_ value: Float) { base.update(repeating: value, count: count) }

  func set(_ values: [Float], at offset: Int) {
    values.withUnsafeBufferPointer { source in
      guard let start = source.baseAddress else { return }
      (base + offset).update(from: start, count: source.count)
    }
  }

  func values(_ range: Range<Int>? = nil) -> [Float] {
    let range = range ?? 0..<count
    return Array(UnsafeBufferPointer(start: base + range.lowerBound, count: range.count))
  }
}

/// A block's memory, whatever its kind.
protocol Holding {
  var prefix: String { get }
  var layout: ParameterLayout { get }
  var weights: Buffer { get }
  var gradients: Buffer { get }
  var scratchCount: Int { get }
}

/// A block with its parameters, their gradients and what one micro-batch saves.
struct Held<Kind: Block>: Holding {
  let block: Kind
  let prefix: String
  let weights: Buffer
  let gradients: Buffer
  let saved: Buffer

  init(_ block: Kind, prefix: String) {
    self.block = block
    self.prefix = prefix
    weights = Buffer(block.parameters.count)
    gradients = Buffer(block.parameters.count)
    saved = Buffer(block.savedCount)
  }

  var layout: ParameterLayout { block.parameters }
  var scratchCount: Int { block.scratchCount }
}
