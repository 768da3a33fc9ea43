import CKernels

/// Rows grouped by expert: which rows belong to which expert, and where they come from.
public struct ExpertRows {
  /// `[experts + 1]`: the rows of expert e are `offsets[e] ..< offsets[e + 1]`.
  public var offsets: UnsafePointer<Int32>
  /// `[rows]`: row r is row `sources[r]` of what is handed in; none where the rows are in order already.
  public var sources: UnsafePointer<Int32>?
  /// `[rows]`: the output of row r counts this much; none for ones.
  public var weights: UnsafePointer<Float>?

  public init(
    offsets: UnsafePointer<Int32>, sources: UnsafePointer<Int32>? = nil, weights: UnsafePointer<Float>? = nil
  ) {
    self.offsets = offsets
    self.sources = sources
    self.weights = weights
  }
}

/// The routed experts of one rank: `y = down(silu(gate(x)) * up(x))`, each over its own rows.
///
/// How many rows there are is known after dispatch alone, so the buffers are sized by `savedCount(rows:)` and
/// `scratchCount(rows:)`. `saved` holds gate, up and activations, `[rows, intermediate]` each, and after the input
/// gradient the gradients of gate and up in their place.
public struct ExpertsBlock: Sendable {
  public let experts: Int
  public let hidden: Int
  public let intermediate: Int
  /// `mlp.experts.gate_proj` and `up_proj` `[experts, intermediate, hidden]`, `down_proj`
  /// `[experts, hidden, intermediate]`.
  public let parameters: ParameterLayout

  private let upOffset: Int
  private let downOffset: Int

  public init(experts: Int, hidden: Int, intermediate: Int) {
    self.experts = experts
    self.hidden = hidden
    self.intermediate = intermediate
    var layout = ParameterLayout()
    layout.append("mlp.experts.gate_proj", [experts, intermediate, hidden])
    upOffset = layout.append("mlp.experts.up_proj", [experts, intermediate, hidden])
    downOffset = layout.append("mlp.experts.down_proj", [experts, hidden, intermediate])
    parameters = layout
  }

  public func savedCount(rows: Int) -> Int { 3 * rows * intermediate }
  public func scratchCount(rows: Int) -> Int { rows * (hidden + intermediate) }

  /// The weights or gradients of one expert.
  private struct Matrices<Pointer> { var gate, up, down: Pointer }

  private func matrices(_ base: UnsafePointer<Float>, _ expert: Int) -> Matrices<UnsafePointer<Float>> {
    let each = expert * intermediate * hidden
    return Matrices(gate: base + each, up: base + upOffset + each, down: base + downOffset + each)
  }

  private func matrices(
    _ base: UnsafeMutablePointer<Float>, _ expert: Int
  ) -> Matrices<UnsafeMutablePointer<Float>> {
    let each = expert * intermediate * hidden
    return Matrices(gate: base + each, up: base + upOffset + each, down: base + downOffset + each)
  }

  /// The rows of one expert in one piece: where they lie, or a copy in `scratch`.
  private func gathered(
    _ input: UnsafePointer<Float>, _ rows: ExpertRows, _ range: Range<Int>, _ scratch: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    guard let sources = rows.sources else { return input + range.lowerBound * hidden }
    ck_gather_rows(input, sources + range.lowerBound, range.count, hidden, scratch)
    return UnsafePointer(scratch)
  }

  /// Calls `body` for each expert that has rows, with their range.
  private func forEachExpert(_ rows: ExpertRows, _ body: (Int, Range<Int>) -> Void) {
    for expert in 0..<experts where rows.offsets[expert] < rows.offsets[expert + 1] {
      body(expert, Int(rows.offsets[expert])..<Int(rows.offsets[expert + 1]))
    }
  }

  /// - Parameters:
  ///   - input: `[sources, hidden]`.
  ///   - output: `[rows, hidden]`, not weighted.
  public func forward(
    rows: ExpertRows, input: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    let all = Int(rows.offsets[experts]) * intermediate
    forEachExpert(rows) { expert, range in
      let x = gathered(input, rows, range, scratch)
      let weights = matrices(parameters, expert)
      let gate = saved + range.lowerBound * intermediate
      let up = gate + all
      let activations = up + all
      MatrixProduct.multiply(
        x, weights.gate, bTransposed: true, into: gate, rows: range.count, columns: intermediate, depth: hidden)
      MatrixProduct.multiply(
        x, weights.up, bTransposed: true, into: up, rows: range.count, columns: intermediate, depth: hidden)
      ck_swiglu(gate, up, activations, range.count * intermediate)
      MatrixProduct.multiply(
        activations, weights.down, bTransposed: true, into: output + range.lowerBound * hidden, rows: range.count,
        columns: hidden, depth: intermediate)
    }
  }

  /// - Parameters:
  ///   - outputGradient: `[sources, hidden]`, of the weighted outputs where rows have weights.
  ///   - weightGradients: `[rows]`, receives the gradients of the rows' weights.
  ///   - inputGradient: `[rows, hidden]`.
  public func inputGradient(
    rows: ExpertRows, outputGradient: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    weightGradients: UnsafeMutablePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>
  ) {
    let all = Int(rows.offsets[experts]) * intermediate
    let hiddenGradient = scratch + Int(rows.offsets[experts]) * hidden
    forEachExpert(rows) { expert, range in
      let dy = gathered(outputGradient, rows, range, scratch)
      let weights = matrices(parameters, expert)
      let gate = saved + range.lowerBound * intermediate
      let up = gate + all
      let activations = up + all
      let dh = hiddenGradient + range.lowerBound * intermediate
      MatrixProduct.multiply(dy, weights.down, into: dh, rows: range.count, columns: intermediate, depth: hidden)
      for row in 0..<range.count {
        // <dy, down(h)> = <down'(dy), h>: the narrower of the two, and the output need not be kept.
        let gradient = dh + row * intermediate
        weightGradients?[range.lowerBound + row] = ck_dot(gradient, activations + row * intermediate, intermediate)
        if let factor = rows.weights?[range.lowerBound + row] { ck_scale(factor, gradient, gradient, intermediate) }
      }
      ck_swiglu_gradient(gate, up, dh, gate, up, range.count * intermediate)
      let dx = inputGradient + range.lowerBound * hidden
      MatrixProduct.multiply(gate, weights.gate, into: dx, rows: range.count, columns: hidden, depth: intermediate)
      MatrixProduct.multiply(
        up, weights.up, into: dx, rows: range.count, columns: hidden, depth: intermediate, accumulate: true)
    }
  }

  /// Adds the gradients of the weights, from the input and the output's gradient of the passes before; an expert
  /// without rows gets none, or zeros where not accumulating.
  public func weightGradient(
    rows: ExpertRows, input: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
    saved: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>, gradients: UnsafeMutablePointer<Float>,
    accumulate: Bool = true
  ) {
    let all = Int(rows.offsets[experts]) * intermediate
    for expert in 0..<experts {
      let range = Int(rows.offsets[expert])..<Int(rows.offsets[expert + 1])
      let results = matrices(gradients, expert)
      let x = gathered(input, rows, range, scratch)
      let gate = saved + range.lowerBound * intermediate
      MatrixProduct.multiply(
        gate, aTransposed: true, x, into: results.gate, rows: intermediate, columns: hidden, depth: range.count,
        accumulate: accumulate)
      MatrixProduct.multiply(
        gate + all, aTransposed: true, x, into: results.up, rows: intermediate, columns: hidden, depth: range.count,
        accumulate: accumulate)
      var dy = gathered(outputGradient, rows, range, scratch)
      if let weights = rows.weights {
        for row in 0..<range.count {
          ck_scale(weights[range.lowerBound + row], dy + row * hidden, scratch + row * hidden, hidden)
        }
        dy = UnsafePointer(scratch)
      }
      MatrixProduct.multiply(
        dy, aTransposed: true, gate + 2 * all, into: results.down, rows: hidden, columns: intermediate,
        depth: range.count, accumulate: accumulate)
    }
  }
}
