/// The three products of a linear layer with both operands in E4M3, as FP8 training computes them.
///
/// Operands are quantised on the way in: activations and gradients in tiles of 128 along the dimension that is summed
/// over, weights in blocks of 128 x 128. Sums are float32, each operand a code times its scale in float32; that is
/// within rounding of adding each block's exact sum times both scales.
/// Source: DeepSeek-V3, arXiv 2412.19437, section 3.3.2 and figure 7; DeepGEMM.
public struct Float8Product: Hashable, Sendable {
  /// Columns of the input.
  public var inputs: Int
  /// Columns of the output.
  public var outputs: Int
  public var scaling: Float8.Scaling

  public init(inputs: Int, outputs: Int, scaling: Float8.Scaling = .reciprocal) {
    self.inputs = inputs
    self.outputs = outputs
    self.scaling = scaling
  }

  /// Floats of scratch that each of the products needs at most.
  public func scratchCount(rows: Int) -> Int {
    max(rows * max(inputs, outputs) + inputs * outputs, rows * (inputs + outputs))
  }

  /// `y = x Wᵀ`.
  ///
  /// - Parameters:
  ///   - x: `[rows, inputs]`.
  ///   - weight: `[outputs, inputs]`.
  ///   - y: `[rows, outputs]`, replaced.
  public func forward(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, rows: Int, into y: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    let roundedWeight = scratch + rows * inputs
    Float8.roundRows(x, rows: rows, width: inputs, scaling: scaling, into: scratch)
    Float8.roundBlocks(weight, rows: outputs, width: inputs, scaling: scaling, into: roundedWeight)
    MatrixProduct.multiply(
      scratch, roundedWeight, bTransposed: true, into: y, rows: rows, columns: outputs, depth: inputs)
  }

  /// `dx = dy W`, or that added to what `dx` holds.
  public func inputGradient(
    _ dy: UnsafePointer<Float>, weight: UnsafePointer<Float>, rows: Int,
    into dx: UnsafeMutablePointer<Float>,
    accumulate: Bool = false, scratch: UnsafeMutablePointer<Float>
  ) {
    let roundedWeight = scratch + rows * outputs
    Float8.roundRows(dy, rows: rows, width: outputs, scaling: scaling, into: scratch)
    Float8.roundBlocks(weight, rows: outputs, width: inputs, scaling: scaling, into: roundedWeight)
    MatrixProduct.multiply(
      scratch, roundedWeight, into: dx, rows: rows, columns: inputs, depth: outputs, accumulate: accumulate)
  }

  /// `dW += dyᵀ x`, or in its place; both operands in tiles along the rows.
  public func weightGradient(
    _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, rows: Int,
    into weightGradient: UnsafeMutablePointer<Float>,
    accumulate: Bool = true, scratch: UnsafeMutablePointer<Float>
  ) {
    let roundedInput = scratch + rows * outputs
    Float8.roundColumns(dy, rows: rows, width: outputs, scaling: scaling, into: scratch)
    Float8.roundColumns(x, rows: rows, width: inputs, scaling: scaling, into: roundedInput)
    MatrixProduct.multiply(
      scratch, aTransposed: true, roundedInput, into: weightGradient, rows: outputs, columns: inputs,
      depth: rows, accumulate: accumulate)
  }
}
