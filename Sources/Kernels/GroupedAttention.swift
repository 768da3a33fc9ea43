import CKernels

/// Grouped-query attention: some query heads share a key and value head.
///
/// Source: arXiv 2305.13245; tensors and order of norm and rotation as Hugging Face's Llama, Mixtral, Qwen2 and
/// Qwen3 models.
struct GroupedAttention: LayerBlock {
  let parameters: ParameterLayout
  let savedCount: Int
  let scratchCount: Int

  private let hidden: Int
  private let sequences: Int
  private let length: Int
  private let queryHeads: Int
  private let keyValueHeads: Int
  private let headWidth: Int
  private let hasProjectionBias: Bool
  private let hasOutputBias: Bool
  private let normalizes: Bool
  private let rotary: RotaryTable

  private let core: CausalAttention
  private let norm: RMSNorm
  private let headNorm: RMSNorm
  private let weights: Weights
  private let saving: Saving

  /// Offsets in `parameters`; the input norm is the first tensor.
  private struct Weights: Hashable, Sendable {
    var projection = 0
    var projectionBias = 0
    /// `[2, headWidth]`; of queries and of keys.
    var headNorms = 0
    var output = 0
    var outputBias = 0
  }

  /// Offsets in `saved`.
  private struct Saving: Hashable, Sendable {
    /// `[tokens, hidden]` and `[tokens]`; the input and its norm's inverses.
    var input = 0
    var inverse = 0
    /// `[tokens, projectionWidth]`; queries, keys and values, rotated unless norms need them as they were; and the
    /// gradient of what the projection gave.
    var projected = 0
    var projectedGradient = 0
    /// `[queryHeads + keyValueHeads, tokens]` where heads are normalised.
    var headInverses = 0
    /// `[tokens, queryHeads, headWidth]`.
    var attended = 0
    /// `[tokens, queryHeads]`; logarithms of the softmax sums.
    var logSums = 0
    /// `[tokens, hidden]`.
    var outputGradient = 0
    /// `[hidden]` and `[2, headWidth]`; gradients of the norms' weights.
    var normGradient = 0
    var headNormGradients = 0
  }

  private var tokens: Int { sequences * length }
  private var rotatedHeads: Int { queryHeads + keyValueHeads }
  private var rotatedWidth: Int { rotatedHeads * headWidth }
  private var projectionWidth: Int { rotatedWidth + keyValueHeads * headWidth }
  private var attendedWidth: Int { queryHeads * headWidth }

  init(
    queryHeads: Int, keyValueHeads: Int, headWidth: Int, hasProjectionBias: Bool, hasOutputBias: Bool,
    normalizes: Bool, hidden: Int, sequences: Int, length: Int, epsilon: Float, rotary: RotaryTable
  ) {
    precondition(queryHeads % keyValueHeads == 0, "\(keyValueHeads) key heads for \(queryHeads) query heads")
    self.hidden = hidden
    self.sequences = sequences
    self.length = length
    self.queryHeads = queryHeads
    self.keyValueHeads = keyValueHeads
    self.headWidth = headWidth
    self.hasProjectionBias = hasProjectionBias
    self.hasOutputBias = hasOutputBias
    self.normalizes = normalizes
    self.rotary = rotary
    core = CausalAttention(
      length: length, queryKeyWidth: headWidth, valueWidth: headWidth,
      scale: Float(1 / Double(headWidth).squareRoot()))
    norm = RMSNorm(width: hidden, epsilon: epsilon)
    headNorm = RMSNorm(width: headWidth, epsilon: epsilon)

    var layout = ParameterLayout()
    var weights = Weights()
    let names = ["q", "k", "v"]
    let widths = [queryHeads, keyValueHeads, keyValueHeads].map { $0 * headWidth }
    layout.append("input_layernorm.weight", [hidden])
    // Queries, keys and values lie one after the other, so that one product reads all.
    weights.projection = layout.count
    for (name, width) in zip(names, widths) {
      layout.append("self_attn.\(name)_proj.weight", [width, hidden])
    }
    weights.projectionBias = layout.count
    if hasProjectionBias {
      for (name, width) in zip(names, widths) { layout.append("self_attn.\(name)_proj.bias", [width]) }
    }
    weights.headNorms = layout.count
    if normalizes {
      layout.append("self_attn.q_norm.weight", [headWidth])
      layout.append("self_attn.k_norm.weight", [headWidth])
    }
    weights.output = layout.append("self_attn.o_proj.weight", [hidden, queryHeads * headWidth])
    if hasOutputBias { weights.outputBias = layout.append("self_attn.o_proj.bias", [hidden]) }
    parameters = layout
    self.weights = weights

    let tokens = sequences * length
    let rotatedWidth = (queryHeads + keyValueHeads) * headWidth
    let projectionWidth = rotatedWidth + keyValueHeads * headWidth
    var saving = Saving()
    var cursor = Cursor()
    saving.input = cursor.take(tokens * hidden)
    saving.inverse = cursor.take(tokens)
    saving.projected = cursor.take(tokens * projectionWidth)
    saving.projectedGradient = cursor.take(tokens * projectionWidth)
    saving.headInverses = cursor.take(normalizes ? tokens * (queryHeads + keyValueHeads) : 0)
    saving.attended = cursor.take(tokens * queryHeads * headWidth)
    saving.logSums = cursor.take(tokens * queryHeads)
    saving.outputGradient = cursor.take(tokens * hidden)
    saving.normGradient = cursor.take(hidden)
    saving.headNormGradients = cursor.take(normalizes ? 2 * headWidth : 0)
    self.saving = saving
    savedCount = cursor.count
    let whole = tokens * (queryHeads * headWidth + (normalizes ? rotatedWidth : 0)) + core.scratchCount
    scratchCount = max(tokens * hidden, whole)
  }

  func forward(
    input: UnsafePointer<Float>, parameters: UnsafePointer<Float>, saved: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    (saved + saving.input).update(from: input, count: tokens * hidden)
    norm.forward(
      input: input, pitch: hidden, rows: tokens, weight: parameters, inverse: saved + saving.inverse,
      output: scratch, outputPitch: hidden)
    let projected = saved + saving.projected
    MatrixProduct.multiply(
      scratch, parameters + weights.projection, bTransposed: true, into: projected, rows: tokens,
      columns: projectionWidth, depth: hidden)
    if hasProjectionBias {
      ck_add_bias(projected, projectionWidth, tokens, projectionWidth, parameters + weights.projectionBias)
    }
    let rotated = rotated(saved, scratch: scratch)
    if normalizes {
      for head in 0..<rotatedHeads {
        headNorm.forward(
          input: projected + head * headWidth, pitch: projectionWidth, rows: tokens,
          weight: parameters + headNormOffset(head), inverse: saved + saving.headInverses + head * tokens,
          output: rotated.base + head * headWidth, outputPitch: rotated.pitch)
      }
    }
    rotate(rotated)
    attend(saved: saved, rotated: rotated, scratch: scratch + (normalizes ? tokens * rotatedWidth : 0))
    output.update(from: input, count: tokens * hidden)
    MatrixProduct.multiply(
      saved + saving.attended, parameters + weights.output, bTransposed: true, into: output, rows: tokens,
      columns: hidden, depth: attendedWidth, accumulate: true)
    if hasOutputBias { ck_add_bias(output, hidden, tokens, hidden, parameters + weights.outputBias) }
  }

  func inputGradient(
    outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>
  ) {
    (saved + saving.outputGradient).update(from: outputGradient, count: tokens * hidden)
    (saved + saving.normGradient).update(repeating: 0, count: savedCount - saving.normGradient)
    let projected = saved + saving.projected
    let gradient = saved + saving.projectedGradient
    let rotated = rotated(saved, scratch: scratch)
    if normalizes {
      for head in 0..<rotatedHeads {
        headNorm.again(
          input: projected + head * headWidth, pitch: projectionWidth, rows: tokens,
          weight: parameters + headNormOffset(head), inverse: saved + saving.headInverses + head * tokens,
          output: rotated.base + head * headWidth, outputPitch: rotated.pitch)
      }
      rotate(rotated)
    }
    let attendedGradient = scratch + (normalizes ? tokens * rotatedWidth : 0)
    MatrixProduct.multiply(
      outputGradient, parameters + weights.output, into: attendedGradient, rows: tokens,
      columns: attendedWidth, depth: hidden)
    gradient.update(repeating: 0, count: tokens * projectionWidth)
    attendGradient(
      saved: saved, rotated: rotated, attendedGradient: attendedGradient,
      scratch: attendedGradient + tokens * attendedWidth)
    rotate(Rows(gradient, pitch: projectionWidth), backwards: true)
    if normalizes {
      for head in 0..<rotatedHeads {
        let part = gradient + head * headWidth
        headNorm.gradient(
          outputGradient: part, gradientPitch: projectionWidth, input: projected + head * headWidth,
          pitch: projectionWidth, rows: tokens, weight: parameters + headNormOffset(head),
          inverse: saved + saving.headInverses + head * tokens, inputGradient: part,
          inputGradientPitch: projectionWidth,
          weightGradient: saved + saving.headNormGradients + (head < queryHeads ? 0 : headWidth))
      }
    }
    MatrixProduct.multiply(
      gradient, parameters + weights.projection, into: scratch, rows: tokens, columns: hidden,
      depth: projectionWidth)
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
    let gradient = saved + saving.projectedGradient
    MatrixProduct.multiply(
      saved + saving.outputGradient, aTransposed: true, saved + saving.attended,
      into: gradients + weights.output, rows: hidden, columns: attendedWidth, depth: tokens, accumulate: true)
    if hasOutputBias {
      ck_column_sums(saved + saving.outputGradient, hidden, tokens, hidden, gradients + weights.outputBias)
    }
    norm.again(
      input: saved + saving.input, pitch: hidden, rows: tokens, weight: parameters,
      inverse: saved + saving.inverse, output: scratch, outputPitch: hidden)
    MatrixProduct.multiply(
      gradient, aTransposed: true, scratch, into: gradients + weights.projection, rows: projectionWidth,
      columns: hidden, depth: tokens, accumulate: true)
    if hasProjectionBias {
      ck_column_sums(gradient, projectionWidth, tokens, projectionWidth, gradients + weights.projectionBias)
    }
    if normalizes {
      let headNorms = gradients + weights.headNorms
      ck_axpy(1, saved + saving.headNormGradients, headNorms, 2 * headWidth)
    }
    ck_axpy(1, saved + saving.normGradient, gradients, hidden)
  }

  // MARK: Heads

  private func headNormOffset(_ head: Int) -> Int { weights.headNorms + (head < queryHeads ? 0 : headWidth) }

  /// Rotated queries and keys: in the place of the projected ones, or beside them where norms need those again.
  private func rotated(_ saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>) -> Rows {
    normalizes ? Rows(scratch, pitch: rotatedWidth) : Rows(saved + saving.projected, pitch: projectionWidth)
  }

  private func rotate(_ rows: Rows, backwards: Bool = false) {
    rotary.rotate(
      rows.base, pitch: rows.pitch, tokens: tokens, heads: rotatedHeads, headPitch: headWidth,
      sequenceLength: length, backwards: backwards)
  }

  /// One head's rows of a matrix of heads, from the first token of a sequence on.
  private func part(_ rows: Rows, first: Int, head: Int) -> Rows {
    Rows(rows[first] + head * headWidth, pitch: rows.pitch)
  }

  private func attend(
    saved: UnsafeMutablePointer<Float>, rotated: Rows, scratch: UnsafeMutablePointer<Float>
  ) {
    let projected = Rows(saved + saving.projected, pitch: projectionWidth)
    let attended = Rows(saved + saving.attended, pitch: attendedWidth)
    for first in stride(from: 0, to: tokens, by: length) {
      for head in 0..<queryHeads {
        let shared = head / (queryHeads / keyValueHeads)
        core.forward(
          query: part(rotated, first: first, head: head),
          key: part(rotated, first: first, head: queryHeads + shared),
          value: part(projected, first: first, head: rotatedHeads + shared),
          output: part(attended, first: first, head: head),
          logSum: saved + saving.logSums + first * queryHeads + head, logPitch: queryHeads, scratch: scratch)
      }
    }
  }

  private func attendGradient(
    saved: UnsafeMutablePointer<Float>, rotated: Rows, attendedGradient: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let projected = Rows(saved + saving.projected, pitch: projectionWidth)
    let gradient = Rows(saved + saving.projectedGradient, pitch: projectionWidth)
    let attended = Rows(saved + saving.attended, pitch: attendedWidth)
    let outputGradient = Rows(attendedGradient, pitch: attendedWidth)
    for first in stride(from: 0, to: tokens, by: length) {
      for head in 0..<queryHeads {
        let shared = head / (queryHeads / keyValueHeads)
        core.gradient(
          query: part(rotated, first: first, head: head),
          key: part(rotated, first: first, head: queryHeads + shared),
          value: part(projected, first: first, head: rotatedHeads + shared),
          output: part(attended, first: first, head: head),
          outputGradient: part(outputGradient, first: first, head: head),
          logSum: saved + saving.logSums + first * queryHeads + head, logPitch: queryHeads,
          queryGradient: part(gradient, first: first, head: head),
          keyGradient: part(gradient, first: first, head: queryHeads + shared),
          valueGradient: part(gradient, first: first, head: rotatedHeads + shared), scratch: scratch)
      }
    }
  }
}
