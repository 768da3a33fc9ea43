import Kernels
import Plans

/// Which experts tokens go to, where the router is not to choose: recorded or drawn. The same in every step.
public protocol ExpertChoices: Sendable {
  /// The choices of one rank's tokens in one micro-batch: `[tokens, topK]`, each token's experts distinct.
  ///
  /// - Parameters:
  ///   - layer: Of the model; those of multi-token prediction follow the decoder's.
  ///   - batch: Micro-batch among all of the step.
  ///   - source: The rank's data index.
  func choices(layer: Int, batch: Int, source: Int, tokens: Int) -> [Int32]
}

/// Given choices for the micro-batches of one rank, each asked for once.
final class GivenChoices {
  private struct Key: Hashable {
    var layer: Int
    var batch: Int
  }

  private let choices: any ExpertChoices
  private let source: Int
  private let tokens: Int
  private let topK: Int
  private var known: [Key: Buffer<Int32>] = [:]

  init(_ choices: any ExpertChoices, plan: ValidPlan, rank: Int) {
    self.choices = choices
    source = plan.grid.coordinates(of: rank).data
    tokens = plan.plan.microBatch * plan.plan.sequence
    topK = plan.model.mixture?.topK ?? 0
  }

  /// `[tokens, topK]`.
  func choices(of segment: SegmentState, batch: Int) -> UnsafePointer<Int32>? {
    guard case .layer(let layer) = segment.kind else { return nil }
    let key = Key(layer: layer, batch: batch)
    if let buffer = known[key] { return UnsafePointer(buffer.pointer) }
    let drawn = choices.choices(layer: layer, batch: batch, source: source, tokens: tokens)
    precondition(drawn.count == tokens * topK, "as many choices as tokens have")
    let buffer = Buffer<Int32>(count: drawn.count)
    for (index, expert) in drawn.enumerated() { buffer.pointer[index] = expert }
    known[key] = buffer
    return UnsafePointer(buffer.pointer)
  }
}
