import Kernels
import Plans

/// What one micro-batch keeps of one segment.
final class SegmentBuffers {
  /// What the first half keeps for its later passes: attention, head or projection.
  let saved: FloatBuffer
  /// What the dense feed-forward keeps.
  let secondSaved: FloatBuffer
  /// Rows between the two halves of a layer.
  let middle: FloatBuffer
  /// Rows after the segment; empty for a head.
  let output: FloatBuffer
  /// Embeddings of the labels, and later their gradient; prediction modules alone.
  let embedded: FloatBuffer
  /// The gradient of the normed rows that a prediction module starts from.
  let normedGradient: FloatBuffer
  let mixture: MixtureBuffers?

  init(_ segment: SegmentState, rows: Int, tokens: Int, plan: ValidPlan) {
    var (saved, secondSaved, middle, output, module) = (0, 0, 0, rows, 0)
    var mixture: MixtureBuffers?
    switch segment.blocks {
    case .embedding: break
    case .head(let block): (saved, output) = (block.savedCount, 0)
    case .prediction(let block): (saved, module) = (block.savedCount, rows)
    case .layer(let blocks):
      (saved, middle) = (blocks.attention.savedCount, rows)
      switch blocks.second {
      case .dense(let block): secondSaved = block.savedCount
      case .mixture(let blocks):
        mixture = MixtureBuffers(blocks, rows: rows, tokens: tokens, ranks: plan.plan.expert)
      }
    }
    self.saved = FloatBuffer(count: saved)
    self.secondSaved = FloatBuffer(count: secondSaved)
    self.middle = FloatBuffer(count: middle)
    self.output = FloatBuffer(count: output)
    embedded = FloatBuffer(count: module)
    normedGradient = FloatBuffer(count: module)
    self.mixture = mixture
  }
}
