import Kernels
import Plans

/// Which experts tokens go to, where the router is not to choose: recorded or drawn.
public protocol ExpertChoices: Sendable {
  /// - Parameters:
  ///   - layer: Of the model; those of multi-token prediction follow the decoder's.
  ///   - token: Number among all tokens that were ever read: sequence × length + position.
  ///   - experts: `[topK]`, receives distinct experts.
  func choose(layer: Int, token: Int, into experts: UnsafeMutableBufferPointer<Int32>)
}

/// Given choices for the micro-batches of one rank.
final class GivenChoices {
  private let source: any ExpertChoices
  private let topK: Int
  private let length: Int
  private let buffer: Buffer<Int32>
  /// The number of a sequence of this rank among all that were ever read, by micro-batch and slot.
  var sequence: (_ batch: Int, _ slot: Int) -> Int = { _, _ in 0 }

  init(_ source: any ExpertChoices, plan: ValidPlan) {
    self.source = source
    topK = plan.model.mixture?.topK ?? 0
    length = plan.plan.sequence
    buffer = Buffer<Int32>(count: plan.plan.microBatch * length * topK)
  }

  /// `[tokens, topK]`, valid until the next call.
  func choices(of segment: SegmentState, batch: Int) -> UnsafePointer<Int32>? {
    guard case .layer(let layer) = segment.kind, topK > 0 else { return nil }
    for index in 0..<buffer.count / topK {
      let token = sequence(batch, index / length) * length + index % length
      let row = UnsafeMutableBufferPointer(start: buffer.pointer + index * topK, count: topK)
      source.choose(layer: layer, token: token, into: row)
    }
    return UnsafePointer(buffer.pointer)
  }
}
