import Operators

/// What the operators of one layer half are built from: the model, its share on this GPU and the row counts.
struct OperatorBuilder {
  let model: Model
  let batch: Batch
  let slice: Slice
  let precision: Precision
  let options: OperatorOptions

  /// Rows of what tensor parallelism cuts by heads or columns: this GPU's queries.
  var tokens: Double { Double(batch.tokens) / Double(slice.context) }
  /// Rows of norms, residuals and router: cut once more under sequence parallelism.
  var residualTokens: Double { tokens / (slice.sequenceParallel ? Double(slice.tensor) : 1) }

  /// Bytes of an element of the residual stream and of whatever passes between kernels.
  var element: Double { precision.residual.bytesPerElement }
  var linear: Format { precision.linear }
  var isFloat8: Bool { linear == .float8 }

  /// The pass that turns activations into FP8 with tile scales; nothing in other precisions.
  func cast(_ elements: Double) -> [Kernel] {
    isFloat8 ? [pass(elements, read: element, write: Format.float8.bytesPerElement)] : []
  }

  /// The pass that turns kept FP8 back; nothing in other precisions.
  func castBack(_ elements: Double) -> [Kernel] {
    isFloat8 ? [pass(elements, read: Format.float8.bytesPerElement, write: element)] : []
  }

  /// The pass that transposes FP8 weights (the tensor cores read FP8 operands with the summed dimension
  /// contiguous); nothing in other precisions.
  func transposedWeights(_ elements: Int) -> [Kernel] {
    isFloat8 ? [pass(Double(elements), read: 1, write: 1)] : []
  }

  /// The pass that gives a weight gradient's operand its scales along the tokens and transposes it; nothing
  /// in other precisions.
  func castTransposed(_ elements: Double, from source: Format) -> [Kernel] {
    guard isFloat8 else { return [] }
    return [pass(elements, read: source.bytesPerElement, write: Format.float8.bytesPerElement)]
  }
}

/// A pass over `elements`, with the bytes it reads and writes for each.
func pass(
  _ elements: Double, _ kind: MemoryPass.Kind = .copy, read: Double, write: Double, launches: Int = 1
) -> Kernel {
  .memoryPass(
    MemoryPass(kind, bytesRead: elements * read, bytesWritten: elements * write, launches: launches))
}

/// A pass that reads and writes different numbers of elements of one size.
func copy(
  from source: Double, to destination: Double, _ bytes: Double, _ kind: MemoryPass.Kind = .copy
) -> Kernel {
  .memoryPass(MemoryPass(kind, bytesRead: source * bytes, bytesWritten: destination * bytes))
}

// MARK: Operators that every family has

extension OperatorBuilder {
  /// `[rows, input]` by `[input, output]`.
  ///
  /// - Parameters:
  ///   - castsInput: Whether the input arrives in the residual stream's format and FP8 needs a cast; false
  ///     behind a fused cast.
  ///   - castsOperandsEarly: Whether the weight gradient's operands are cast with the input gradient, while
  ///     they are still there uncast, instead of with the weight gradient.
  ///   - saved: Bytes kept that no operator of a recompute unit could give back.
  func projection(
    _ name: String, _ component: Component, rows: Double, input: Int, output: Int, hasBias: Bool = false,
    castsInput: Bool = true, castsOperandsEarly: Bool = true, saved: Double = 0, unit: String? = nil
  ) -> Operator {
    let product = { (kind: MatrixProduct.Kind, rows: Double, columns: Int, depth: Double) in
      Kernel.matrixProduct(MatrixProduct(kind, rows: rows, columns: columns, depth: depth, format: linear))
    }
    let inputs = rows * Double(input)
    let outputs = rows * Double(output)
    let residual = precision.residual
    let operandCasts = castTransposed(inputs, from: residual) + castTransposed(outputs, from: residual)
    let biasGradient = hasBias ? [pass(outputs, read: element, write: 0)] : []
    return Operator(
      name: name, component: component,
      forward: (castsInput ? cast(inputs) : []) + [product(.dense, rows, output, Double(input))],
      inputGradient: cast(outputs) + transposedWeights(input * output)
        + [product(.dense, rows, input, Double(output))]
        + (castsOperandsEarly ? operandCasts : []),
      weightGradient: (castsOperandsEarly ? [] : operandCasts)
        + [product(.weightGradient, Double(output), input, rows)] + biasGradient,
      parameters: input * output + (hasBias ? output : 0), savedBytes: saved, recomputeUnit: unit)
  }

  /// RMSNorm or LayerNorm over rows of a width. Its output is kept for the product that reads it, in that
  /// product's format, and belongs to the unit `norm`.
  func norm(_ name: String, _ component: Component, rows: Double, width: Int, keeps format: Format? = nil)
    -> Operator
  {
    let elements = rows * Double(width)
    return Operator(
      name: name, component: component,
      forward: [pass(elements, .norm, read: element, write: element)],
      inputGradient: [pass(elements, .norm, read: 2 * element, write: element)],
      parameters: width * model.family.normParameters,
      savedBytes: elements * (format ?? linear).bytesPerElement, recomputeUnit: "norm")
  }

  /// The addition that ends a half. In both directions it runs in one launch with the norm after it, which
  /// counts that launch: here are the bytes it adds, and the residual stream that the norm's backward reads.
  func residual(_ name: String, _ component: Component) -> Operator {
    let elements = residualTokens * Double(model.hidden)
    let addition = pass(elements, read: element, write: element, launches: 0)
    return Operator(
      name: name, component: component, forward: [addition], inputGradient: [addition],
      savedBytes: elements * element)
  }

  /// Bias, dropout and residual addition in one pass (Megatron). Keeps the mask, one byte each, and the sum.
  func biasDropoutAdd(_ name: String, _ component: Component) -> Operator {
    let elements = residualTokens * Double(model.hidden)
    let mask: Double = options.dropout ? 1 : 0
    return Operator(
      name: name, component: component,
      forward: [pass(elements, read: 2 * element, write: element + mask)],
      inputGradient: (options.dropout ? [pass(elements, read: element + mask, write: element)] : [])
        + [pass(elements, read: 2 * element, write: element)],
      savedBytes: elements * (element + mask))
  }
}
