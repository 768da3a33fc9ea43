import Kernels

/// What one micro-batch keeps of one mixture's half of a layer.
final class MixtureBuffers {
  let routerSaved: FloatBuffer
  let sharedSaved: FloatBuffer
  /// `[tokens, topK]`.
  let indices: Buffer<Int32>
  let weights: FloatBuffer
  let weightGradients: FloatBuffer
  /// `[tokens, hidden]`: outputs of the shared experts.
  let shared: FloatBuffer
  /// `[tokens, hidden]`: sums of the routed experts' outputs; in the backward the gradient of the normed rows.
  let routed: FloatBuffer
  /// `[tokens, hidden]`: the gradient of the layer's output, which weight gradients read long after it went on.
  let outputGradient: FloatBuffer
  /// Copies that came back, before they are summed.
  var returned = GrowingBuffer<Float>()
  var returnedWeightGradients = GrowingBuffer<Float>()
  let exchange: ExpertExchange

  init(_ blocks: MixtureBlocks, rows: Int, tokens: Int, ranks: Int) {
    let topK = blocks.router.router.topK
    routerSaved = FloatBuffer(count: blocks.router.savedCount)
    sharedSaved = FloatBuffer(count: blocks.shared?.savedCount ?? 0)
    indices = Buffer<Int32>(count: tokens * topK)
    weights = FloatBuffer(count: tokens * topK)
    weightGradients = FloatBuffer(count: tokens * topK)
    shared = FloatBuffer(count: rows)
    routed = FloatBuffer(count: rows)
    outputGradient = FloatBuffer(count: rows)
    exchange = ExpertExchange(
      tokens: tokens, topK: topK, width: blocks.router.hidden, experts: blocks.router.router.experts,
      ranks: ranks,
      local: blocks.local)
  }
}
