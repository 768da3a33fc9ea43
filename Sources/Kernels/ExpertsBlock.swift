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

  public let precision: Precision

  /// What the products of the experts are computed in.
  public enum Precision: Hashable, Sendable {
    case float32
    /// Both operands of every product in E4M3, see `Float8Product`; sums and everything between are float32.
    case float8
  }

  private let upOffset: Int
  private let downOffset: Int

  public init(experts: Int, hidden: Int, intermediate: Int, precision: Precision = .float32) {
    self.precision = precision
    self.experts = experts
    self.hidden = hidden
    self.intermediate = intermediate
    var layout = ParameterLayout()
    layout.append("mlp.experts.gate_proj", [experts, intermediate, hidden])
    upOffset = layout.append("mlp.experts.up_proj", [experts, intermediate, hidden])
    downOffset = layout.append("mlp.experts.down_proj", [experts, hidden, intermediate])
    parameters = layout
  }

  /// Floats kept from forward to weight gradient; eight-bit experts keep their outputs too, which their weights'
  /// gradients are made of.
  public func savedCount(rows: Int) -> Int {
    rows * (3 * intermediate + (precision == .float8 ? hidden : 0))
  }

  public func scratchCount(rows: Int) -> Int {
    let product =
      precision == .float8 ? Float8Product(inputs: hidden, outputs: intermediate).scratchCount(rows: rows) : 0
    return rows * (hidden + intermediate) + product
  }

  /// The weights or gradients of one expert.
  struct Matrices<Pointer> { var gate, up, down: Pointer }

  func matrices(_ base: UnsafePointer<Float>, _ expert: Int) -> Matrices<UnsafePointer<Float>> {
    let each = expert * intermediate * hidden
    return Matrices(gate: base + each, up: base + upOffset + each, down: base + downOffset + each)
  }

  func matrices(
    _ base: UnsafeMutablePointer<Float>, _ expert: Int
  ) -> Matrices<UnsafeMutablePointer<Float>> {
    let each = expert * intermediate * hidden
    return Matrices(gate: base + each, up: base + upOffset + each, down: base + downOffset + each)
  }

  /// The rows of one expert in one piece: where they lie, or a copy in `scratch`.
  func gathered(
    _ input: UnsafePointer<Float>, _ rows: ExpertRows, _ range: Range<Int>,
    _ scratch: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    guard let sources = rows.sources else { return input + range.lowerBound * hidden }
    ck_gather_rows(input, sources + range.lowerBound, range.count, hidden, scratch)
    return UnsafePointer(scratch)
  }

  /// The gradients of one expert's outputs in one piece: where they lie, or gathered and weighted in `scratch`.
  func weighted(
    _ gradient: UnsafePointer<Float>, _ rows: ExpertRows, _ range: Range<Int>,
    _ scratch: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    let dy = gathered(gradient, rows, range, scratch)
    guard let weights = rows.weights else { return dy }
    for row in 0..<range.count {
      ck_scale(weights[range.lowerBound + row], dy + row * hidden, scratch + row * hidden, hidden)
    }
    return UnsafePointer(scratch)
  }

  /// Calls `body` for each expert with the range of its rows.
  func forEachExpert(_ rows: ExpertRows, _ body: (Int, Range<Int>) -> Void) {
    for expert in 0..<experts { body(expert, Int(rows.offsets[expert])..<Int(rows.offsets[expert + 1])) }
  }

  /// The same on several threads, one expert on each, unless one of them has so much to do that the others would wait:
  /// then its products are shared.
  private func shareExperts(_ rows: ExpertRows, _ body: (Int, Range<Int>) -> Void) {
    var most: Int32 = 0
    for expert in 0..<experts { most = max(most, rows.offsets[expert + 1] - rows.offsets[expert]) }
    if ck_may_share() != 0, most * ck_threads() <= rows.offsets[experts] {
      share(experts) { body($0, Int(rows.offsets[$0])..<Int(rows.offsets[$0 + 1])) }
    } else {
      forEachExpert(rows, body)
    }
  }

  /// - Parameters:
  ///   - input: `[sources, hidden]`.
  ///   - output: `[rows, hidden]`, not weighted.
  public func forward(
    rows: ExpertRows, input: UnsafePointer<Float>, parameters: UnsafePointer<Float>,
    saved: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>,
    output: UnsafeMutablePointer<Float>
  ) {
    guard precision == .float32 else {
      return forwardFloat8(
        rows: rows, input: input, parameters: parameters, saved: saved, scratch: scratch, output: output)
    }
    let all = Int(rows.offsets[experts]) * intermediate
    shareExperts(rows) { expert, range in
      guard !range.isEmpty else { return }
      let x = gathered(input, rows, range, scratch + range.lowerBound * hidden)
      let weights = matrices(parameters, expert)
      let gate = saved + range.lowerBound * intermediate
      let up = gate + all
      let activations = up + all
      MatrixProduct.multiply(
        x, weights.gate, bTransposed: true, into: gate, rows: range.count, columns: intermediate,
        depth: hidden)
      MatrixProduct.multiply(
        x, weights.up, bTransposed: true, into: up, rows: range.count, columns: intermediate, depth: hidden)
      ck_swiglu(gate, up, activations, range.count * intermediate)
      MatrixProduct.multiply(
        activations, weights.down, bTransposed: true, into: output + range.lowerBound * hidden,
        rows: range.count,
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
    guard precision == .float32 else {
      return inputGradientFloat8(
        rows: rows, outputGradient: outputGradient, parameters: parameters, saved: saved, scratch: scratch,
        weightGradients: weightGradients, inputGradient: inputGradient)
    }
    let all = Int(rows.offsets[experts]) * intermediate
    let hiddenGradient = scratch + Int(rows.offsets[experts]) * hidden
    shareExperts(rows) { expert, range in
      guard !range.isEmpty else { return }
      let dy = gathered(outputGradient, rows, range, scratch + range.lowerBound * hidden)
      let weights = matrices(parameters, expert)
      let gate = saved + range.lowerBound * intermediate
      let up = gate + all
      let activations = up + all
      let dh = hiddenGradient + range.lowerBound * intermediate
      MatrixProduct.multiply(
        dy, weights.down, into: dh, rows: range.count, columns: intermediate, depth: hidden)
      for row in 0..<range.count {
        // <dy, down(h)> = <down'(dy), h>: the narrower of the two, and the output need not be kept.
        let gradient = dh + row * intermediate
        weightGradients?[range.lowerBound + row] = ck_dot(
          gradient, activations + row * intermediate, intermediate)
        if let factor = rows.weights?[range.lowerBound + row] {
          ck_scale(factor, gradient, gradient, intermediate)
        }
      }
      ck_swiglu_gradient(gate, up, dh, gate, up, range.count * intermediate)
      let dx = inputGradient + range.lowerBound * hidden
      MatrixProduct.multiply(
        gate, weights.gate, into: dx, rows: range.count, columns: hidden, depth: intermediate)
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
    guard precision == .float32 else {
      return weightGradientFloat8(
        rows: rows, input: input, outputGradient: outputGradient, saved: saved, scratch: scratch,
        gradients: gradients, accumulate: accumulate)
    }
    let all = Int(rows.offsets[experts]) * intermediate
    shareExperts(rows) { expert, range in
      let own = scratch + range.lowerBound * hidden
      let results = matrices(gradients, expert)
      let x = gathered(input, rows, range, own)
      let gate = saved + range.lowerBound * intermediate
      MatrixProduct.multiply(
        gate, aTransposed: true, x, into: results.gate, rows: intermediate, columns: hidden,
        depth: range.count,
        accumulate: accumulate)
      MatrixProduct.multiply(
        gate + all, aTransposed: true, x, into: results.up, rows: intermediate, columns: hidden,
        depth: range.count,
        accumulate: accumulate)
      let dy = weighted(outputGradient, rows, range, own)
      MatrixProduct.multiply(
        dy, aTransposed: true, gate + 2 * all, into: results.down, rows: hidden, columns: intermediate,
        depth: range.count, accumulate: accumulate)
    }
  }
}
