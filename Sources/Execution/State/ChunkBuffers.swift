import Kernels
import Plans

/// What one micro-batch keeps on one stage from its forward to its last weight gradient.
final class ChunkBuffers {
  /// Rows that came from the previous stage, `[tokens, hidden]`; unused on the first.
  let input: FloatBuffer
  /// The gradient as it passes backward through the segments, `[tokens, hidden]`.
  let gradient: FloatBuffer
  /// `[shift][token]`: inputs, labels, labels of the prediction modules; empty where the stage needs none.
  let tokens: Buffer<Int32>
  let segments: [SegmentBuffers]
  /// Which micro-batch of the step it is.
  var batch = 0
  /// Whether ``input`` and ``gradient`` have been taken over from the neighbouring stage of the same rank.
  var hasInput = false
  var hasGradient = false
  /// Tasks that still need it.
  var users = 0

  init(_ stage: StageState, plan: ValidPlan) {
    let count = plan.plan.microBatch * plan.plan.sequence
    let rows = count * plan.model.hidden
    input = FloatBuffer(count: rows)
    gradient = FloatBuffer(count: rows)
    let readsTokens = stage.segments.contains {
      switch $0.kind {
      case .embedding, .head, .prediction, .predictionHead: true
      case .layer: false
      }
    }
    tokens = Buffer<Int32>(count: readsTokens ? count * (2 + plan.model.multiTokenPredictionDepth) : 0)
    segments = stage.segments.map { SegmentBuffers($0, rows: rows, tokens: count, plan: plan) }
  }

  /// The rows that go to the next stage.
  var output: UnsafeMutablePointer<Float> { rows(before: segments.count) }

  /// What a segment starts from: the rows of the nearest segment before it that makes any.
  func rows(before segment: Int) -> UnsafeMutablePointer<Float> {
    segments[..<segment].last { $0.output.count > 0 }?.output.pointer ?? input.pointer
  }

  /// Tokens moved ahead by `shift`, `[tokens]`.
  func tokens(shift: Int, count: Int) -> UnsafeMutablePointer<Int32> { tokens.pointer + shift * count }
}
