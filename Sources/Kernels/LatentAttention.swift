import CKernels

/// Multi-head latent attention in its training form: keys and values of all heads are expanded.
///
/// Source: DeepSeek-V2, arXiv 2405.04434, section 2.1; norms and order of a head's parts as Hugging Face's
/// `modeling_deepseek_v3`.
struct LatentAttention: LayerBlock {
  let parameters: ParameterLayout
  let savedCount: Int
  let scratchCount: Int

  private let hidden: Int
  private let sequences: Int
  private let length: Int
  private let heads: Int
  private let queryRank: Int?
  private let rank: Int
  private let content: Int
  private let rotary: RotaryTable
  private let valueWidth: Int

  private let core: CausalAttention
  private let norm: RMSNorm
  private let queryNorm: RMSNorm
  private let keyValueNorm: RMSNorm
  private let weights: Weights
  private let saving: Saving

  /// Offsets in `parameters`; the input norm is the first tensor.
  private struct Weights: Hashable, Sendable {
    var down = 0
    var queryNorm = 0
    var query = 0
    var keyValueNorm = 0
    var keyValue = 0
    var output = 0
  }

  /// Offsets in `saved`.
  private struct Saving: Hashable, Sendable {
    /// `[tokens, hidden]` and `[tokens]`; the input and its norm's inverses.
    var input = 0
    var inverse = 0
    /// `[tokens, downWidth]`; queries (compressed or not), compressed keys and values, the shared rotated key; and
    /// the gradient of all.
    var down = 0
    var downGradient = 0
    /// `[tokens]` each.
    var queryInverse = 0
    var keyValueInverse = 0
    /// `[tokens, heads, queryKey]` where queries are compressed; their gradient takes its place.
    var query = 0
    /// `[tokens, heads, content + value]`; its gradient takes its place.
    var keyValue = 0
    /// `[tokens, heads, value]`; what the heads hand to the output projection.
    var attended = 0
    /// `[tokens, heads]`; logarithms of the softmax sums.
    var logSums = 0
    /// `[tokens, hidden]`.
    var outputGradient = 0
    /// `[hidden]`, `[queryRank]`, `[rank]`; gradients of the norms' weights.
    var normGradient = 0
    var queryNormGradient = 0
    var keyValueNormGradient = 0
  }

  private var tokens: Int { sequences * length }
  private var queryKey: Int { content + rotary.dimension }
  private var queryWidth: Int { heads * queryKey }
  /// Width of what the first projection gives for the queries.
  private var firstWidth: Int { queryRank ?? queryWidth }
  private var downWidth: Int { firstWidth + rank + rotary.dimension }
  private var keyValueWidth: Int { heads * (content + valueWidth) }
  private var attendedWidth: Int { heads * valueWidth }

  /// The eps of the norms inside, whatever `rms_norm_eps` says: the default of `DeepseekV3RMSNorm`.
  static let innerEpsilon: Float = 1e-6

  init(
    heads: Int, queryRank: Int?, keyValueRank: Int, content: Int, valueWidth: Int, hidden: Int,
    sequences: Int, length: Int, epsilon: Float, rotary: RotaryTable
  ) {
    self.hidden = hidden
    self.sequences = sequences
    self.length = length
    self.heads = heads
    self.queryRank = queryRank
    rank = keyValueRank
    self.content = content
    self.rotary = rotary
    self.valueWidth = valueWidth
    let queryKey = content + rotary.dimension
    core = CausalAttention(
      length: length, queryKeyWidth: queryKey, valueWidth: valueWidth,
      scale: Float(rotary.softmaxFactor / Double(queryKey).squareRoot()))
    norm = RMSNorm(width: hidden, epsilon: epsilon)
    queryNorm = RMSNorm(width: queryRank ?? 0, epsilon: Self.innerEpsilon)
    keyValueNorm = RMSNorm(width: keyValueRank, epsilon: Self.innerEpsilon)

    var layout = ParameterLayout()
    var weights = Weights()
    layout.append("input_layernorm.weight", [hidden])
    // The two that read the normed input lie one after the other, so that one product reads both.
    if let queryRank {
      weights.down = layout.append("self_attn.q_a_proj.weight", [queryRank, hidden])
    } else {
      weights.down = layout.append("self_attn.q_proj.weight", [heads * queryKey, hidden])
    }
    layout.append("self_attn.kv_a_proj_with_mqa.weight", [keyValueRank + rotary.dimension, hidden])
    if let queryRank {
      weights.queryNorm = layout.append("self_attn.q_a_layernorm.weight", [queryRank])
      weights.query = layout.append("self_attn.q_b_proj.weight", [heads * queryKey, queryRank])
    }
    weights.keyValueNorm = layout.append("self_attn.kv_a_layernorm.weight", [keyValueRank])
    weights.keyValue = layout.append(
      "self_attn.kv_b_proj.weight", [heads * (content + valueWidth), keyValueRank])
    weights.output = layout.append("self_attn.o_proj.weight", [hidden, heads * valueWidth])
    parameters = layout
    self.weights = weights

    let tokens = sequences * length
    let downWidth = (queryRank ?? heads * queryKey) + keyValueRank + rotary.dimension
    var saving = Saving()
    var cursor = Cursor()
    saving.input = cursor.take(tokens * hidden)
    saving.inverse = cursor.take(tokens)
    saving.down = cursor.take(tokens * downWidth)
    saving.downGradient = cursor.take(tokens * downWidth)
    saving.queryInverse = cursor.take(queryRank == nil ? 0 : tokens)
    saving.keyValueInverse = cursor.take(tokens)
    saving.query = cursor.take(queryRank == nil ? 0 : tokens * heads * queryKey)
    saving.keyValue = cursor.take(tokens * heads * (content + valueWidth))
    saving.attended = cursor.take(tokens * heads * valueWidth)
    saving.logSums = cursor.take(tokens * heads)
    saving.outputGradient = cursor.take(tokens * hidden)
    saving.normGradient = cursor.take(hidden)
    saving.queryNormGradient = cursor.take(queryRank ?? 0)
    saving.keyValueNormGradient = cursor.take(keyValueRank)
    self.saving = saving
    savedCount = cursor.count
    let wholeCore = tokens * heads * valueWidth + core.scratchCount + length * (2 * queryKey + valueWidth)
    scratchCount = max(tokens * max(hidden, queryRank ?? 0, keyValueRank), wholeCore)
  }

  func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    (saved + saving.input).update(from: input, count: tokens * hidden)
    norm.forward(
      input: input, pitch: hidden, rows: tokens, weight: parameters, inverse: saved + saving.inverse,
      output: scratch, outputPitch: hidden)
    let down = saved + saving.down
    MatrixProduct.multiply(
      scratch, parameters + weights.down, bTransposed: true, into: down, rows: tokens, columns: downWidth,
      depth: hidden)
    if let queryRank {
      queryNorm.forward(
        input: down, pitch: downWidth, rows: tokens, weight: parameters + weights.queryNorm,
        inverse: saved + saving.queryInverse, output: scratch, outputPitch: queryRank)
      MatrixProduct.multiply(
        scratch, parameters + weights.query, bTransposed: true, into: saved + saving.query, rows: tokens,
        columns: queryWidth, depth: queryRank)
    }
    keyValueNorm.forward(
      input: down + firstWidth, pitch: downWidth, rows: tokens, weight: parameters + weights.keyValueNorm,
      inverse: saved + saving.keyValueInverse, output: scratch, outputPitch: rank)
    MatrixProduct.multiply(
      scratch, parameters + weights.keyValue, bTransposed: true, into: saved + saving.keyValue, rows: tokens,
      columns: keyValueWidth, depth: rank)
    rotate(queries: queries(saved), keys: down + firstWidth + rank)
    attend(saved: saved, scratch: scratch)
    output.update(from: input, count: tokens * hidden)
    MatrixProduct.multiply(
      saved + saving.attended, parameters + weights.output, bTransposed: true, into: output, rows: tokens,
      columns: hidden, depth: attendedWidth, accumulate: true)
  }

  func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>
  ) {
    (saved + saving.outputGradient).update(from: outputGradient, count: tokens * hidden)
    (saved + saving.normGradient).update(repeating: 0, count: savedCount - saving.normGradient)
    MatrixProduct.multiply(
      outputGradient, parameters + weights.output, into: scratch, rows: tokens, columns: attendedWidth,
      depth: hidden)
    attendGradient(saved: saved, scratch: scratch)
    let down = saved + saving.down
    let downGradient = saved + saving.downGradient
    rotate(queries: queryGradients(saved), keys: downGradient + firstWidth + rank, backwards: true)
    MatrixProduct.multiply(
      saved + saving.keyValue, parameters + weights.keyValue, into: scratch, rows: tokens, columns: rank,
      depth: keyValueWidth)
    keyValueNorm.gradient(
      outputGradient: scratch, gradientPitch: rank, input: down + firstWidth, pitch: downWidth, rows: tokens,
      weight: parameters + weights.keyValueNorm, inverse: saved + saving.keyValueInverse,
      inputGradient: downGradient + firstWidth, inputGradientPitch: downWidth,
      weightGradient: saved + saving.keyValueNormGradient)
    if let queryRank {
      MatrixProduct.multiply(
        saved + saving.query, parameters + weights.query, into: scratch, rows: tokens, columns: queryRank,
        depth: queryWidth)
      queryNorm.gradient(
        outputGradient: scratch, gradientPitch: queryRank, input: down, pitch: downWidth, rows: tokens,
        weight: parameters + weights.queryNorm, inverse: saved + saving.queryInverse,
        inputGradient: downGradient, inputGradientPitch: downWidth,
        weightGradient: saved + saving.queryNormGradient)
    }
    MatrixProduct.multiply(
      downGradient, parameters + weights.down, into: scratch, rows: tokens, columns: hidden, depth: downWidth)
    norm.gradient(
      outputGradient: scratch, gradientPitch: hidden, input: saved + saving.input, pitch: hidden,
      rows: tokens, weight: parameters, inverse: saved + saving.inverse,
      residual: saved + saving.outputGradient, inputGradient: inputGradient, inputGradientPitch: hidden,
      weightGradient: saved + saving.normGradient)
  }

  func weightGradient(
    parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>
  ) {
    MatrixProduct.multiply(
      saved + saving.outputGradient, aTransposed: true, saved + saving.attended,
      into: gradients + weights.output, rows: hidden, columns: attendedWidth, depth: tokens, accumulate: true)
    norm.again(
      input: saved + saving.input, pitch: hidden, rows: tokens, weight: parameters,
      inverse: saved + saving.inverse, output: scratch, outputPitch: hidden)
    MatrixProduct.multiply(
      saved + saving.downGradient, aTransposed: true, scratch, into: gradients + weights.down,
      rows: downWidth, columns: hidden, depth: tokens, accumulate: true)
    ck_axpy(1, saved + saving.normGradient, gradients, hidden)
    keyValueNorm.again(
      input: saved + saving.down + firstWidth, pitch: downWidth, rows: tokens,
      weight: parameters + weights.keyValueNorm, inverse: saved + saving.keyValueInverse, output: scratch,
      outputPitch: rank)
    MatrixProduct.multiply(
      saved + saving.keyValue, aTransposed: true, scratch, into: gradients + weights.keyValue,
      rows: keyValueWidth, columns: rank, depth: tokens, accumulate: true)
    let keyValueNormGradient = gradients + weights.keyValueNorm
    ck_axpy(1, saved + saving.keyValueNormGradient, keyValueNormGradient, rank)
    guard let queryRank else { return }
    queryNorm.again(
      input: saved + saving.down, pitch: downWidth, rows: tokens, weight: parameters + weights.queryNorm,
      inverse: saved + saving.queryInverse, output: scratch, outputPitch: queryRank)
    MatrixProduct.multiply(
      saved + saving.query, aTransposed: true, scratch, into: gradients + weights.query, rows: queryWidth,
      columns: queryRank, depth: tokens, accumulate: true)
    let queryNormGradient = gradients + weights.queryNorm
    ck_axpy(1, saved + saving.queryNormGradient, queryNormGradient, queryRank)
  }

  // MARK: Heads

  private func queries(_ saved: UnsafeMutablePointer<Float>) -> Rows {
    queryRank == nil
      ? Rows(saved + saving.down, pitch: downWidth) : Rows(saved + saving.query, pitch: queryWidth)
  }

  /// Compressed queries keep what leads to them, and their gradient takes their own place.
  private func queryGradients(_ saved: UnsafeMutablePointer<Float>) -> Rows {
    queryRank == nil
      ? Rows(saved + saving.downGradient, pitch: downWidth) : Rows(saved + saving.query, pitch: queryWidth)
  }

  private func rotate(queries: Rows, keys: UnsafeMutablePointer<Float>, backwards: Bool = false) {
    rotary.rotate(
      queries.base + content, pitch: queries.pitch, tokens: tokens, heads: heads, headPitch: queryKey,
      sequenceLength: length, backwards: backwards)
    rotary.rotate(
      keys, pitch: downWidth, tokens: tokens, heads: 1, headPitch: 0, sequenceLength: length,
      backwards: backwards)
  }

  /// A head's keys, its own part and the shared rotated one side by side.
  private func packKeys(
    saved: UnsafeMutablePointer<Float>, first: Int, head: Int, into keys: UnsafeMutablePointer<Float>
  ) {
    let own = saved + saving.keyValue + head * (content + valueWidth)
    let shared = saved + saving.down + firstWidth + rank
    for position in 0..<length {
      let token = first + position
      (keys + position * queryKey).update(from: own + token * keyValueWidth, count: content)
      (keys + position * queryKey + content).update(from: shared + token * downWidth, count: rotary.dimension)
    }
  }

  private func values(_ saved: UnsafeMutablePointer<Float>, first: Int, head: Int) -> Rows {
    let offset = head * (content + valueWidth) + content
    return Rows(saved + saving.keyValue + first * keyValueWidth + offset, pitch: keyValueWidth)
  }

  private func attend(saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>) {
    let keys = scratch + core.scratchCount
    let queries = queries(saved)
    for first in stride(from: 0, to: tokens, by: length) {
      for head in 0..<heads {
        packKeys(saved: saved, first: first, head: head, into: keys)
        core.forward(
          query: Rows(queries[first] + head * queryKey, pitch: queries.pitch),
          key: Rows(keys, pitch: queryKey), value: values(saved, first: first, head: head),
          output: Rows(
            saved + saving.attended + first * attendedWidth + head * valueWidth, pitch: attendedWidth),
          logSum: saved + saving.logSums + first * heads + head, logPitch: heads, scratch: scratch)
      }
    }
  }

  /// `scratch` begins with the gradient of what the heads attended to, `[tokens, heads, value]`.
  private func attendGradient(saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>) {
    let coreScratch = scratch + tokens * attendedWidth
    let keys = coreScratch + core.scratchCount
    let keyGradients = keys + length * queryKey
    let valueGradients = keyGradients + length * queryKey
    let queries = queries(saved)
    let queryGradients = queryGradients(saved)
    let shared = saved + saving.downGradient + firstWidth + rank
    for token in 0..<tokens { (shared + token * downWidth).update(repeating: 0, count: rotary.dimension) }
    for first in stride(from: 0, to: tokens, by: length) {
      for head in 0..<heads {
        packKeys(saved: saved, first: first, head: head, into: keys)
        keyGradients.update(repeating: 0, count: length * (queryKey + valueWidth))
        let attended = first * attendedWidth + head * valueWidth
        core.gradient(
          query: Rows(queries[first] + head * queryKey, pitch: queries.pitch),
          key: Rows(keys, pitch: queryKey), value: values(saved, first: first, head: head),
          output: Rows(saved + saving.attended + attended, pitch: attendedWidth),
          outputGradient: Rows(scratch + attended, pitch: attendedWidth),
          logSum: saved + saving.logSums + first * heads + head, logPitch: heads,
          queryGradient: Rows(queryGradients[first] + head * queryKey, pitch: queryGradients.pitch),
          keyGradient: Rows(keyGradients, pitch: queryKey),
          valueGradient: Rows(valueGradients, pitch: valueWidth), scratch: coreScratch)
        // The head is done with its keys and values: their gradients take their place.
        let own = saved + saving.keyValue + head * (content + valueWidth)
        for position in 0..<length {
          let token = first + position
          let gradient = keyGradients + position * queryKey
          (own + token * keyValueWidth).update(from: gradient, count: content)
          (own + token * keyValueWidth + content).update(
            from: valueGradients + position * valueWidth, count: valueWidth)
          let sum = shared + token * downWidth
          ck_axpy(1, gradient + content, sum, rotary.dimension)
        }
      }
    }
  }
}
