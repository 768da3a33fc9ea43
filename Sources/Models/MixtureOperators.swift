import Operators

/// Launches of tiny kernels, too short to be limited by anything but being launched.
///
/// Source: counted in the recorded DeepSeek-V3 training step (profile-data, one layer).
private enum Launches {
  static let routerForward = 45
  static let routerBackward = 30
  static let expertMapping = 4
}

extension OperatorBuilder {
  func mixtureHalf(_ mixture: Mixture) -> [Operator] {
    [norm("post_attention_layernorm", .router, rows: residualTokens, width: model.hidden)]
      + [router(mixture)]
      + (mixture.sharedExperts > 0
        ? gatedNetwork(
          "mlp.shared_experts", .sharedExpert, intermediate: mixture.sharedIntermediate / slice.tensor) : [])
      + routedExperts(mixture)
      + [residual("mlp.residual_add", .routedExperts)]
  }

  private func router(_ mixture: Mixture) -> Operator {
    let experts = mixture.routedExperts
    let scores = residualTokens * Double(experts)
    let product = { (kind: MatrixProduct.Kind, rows: Double, columns: Int, depth: Double) in
      Kernel.matrixProduct(
        MatrixProduct(kind, rows: rows, columns: columns, depth: depth, format: precision.router))
    }
    let score = Format.float32.bytesPerElement
    return Operator(
      name: "mlp.gate", component: .router,
      forward: [
        product(.dense, residualTokens, experts, Double(model.hidden)),
        // A few of the tiny passes touch a whole score matrix, the others less.
        pass(scores, .router, read: score * 4, write: score * 4, launches: Launches.routerForward),
      ],
      inputGradient: [
        pass(scores, .router, read: score * 3, write: score * 3, launches: Launches.routerBackward),
        product(.dense, residualTokens, model.hidden, Double(experts)),
        // The router's, the shared expert's and the routed experts' gradients of one input are added.
        pass(residualTokens * Double(model.hidden), read: 2 * element, write: element, launches: 1),
      ],
      weightGradient: [product(.weightGradient, Double(experts), model.hidden, residualTokens)],
      parameters: experts * model.hidden + (mixture.hasSelectionBias ? experts : 0),
      savedBytes: scores * score)
  }

  // MARK: Routed experts

  /// Rows that this GPU's experts compute: what was drawn, or an equal share of all.
  private func expertRows(_ mixture: Mixture) -> Double {
    slice.expertRows ?? residualTokens * Double(mixture.topK * slice.expertTensor)
  }

  private func routedExperts(_ mixture: Mixture) -> [Operator] {
    let rows = expertRows(mixture)
    let local = mixture.routedExperts / slice.expert
    let intermediate = mixture.expertIntermediate / slice.expertTensor
    // A token travels once to each GPU that has any of its experts; there its row is copied for each of them.
    let received = rows * mixture.distinctRanks(of: slice.expert) / Double(mixture.topK)
    let sent = isFloat8 ? [dispatchCast(), combineCast()] : []
    return sent + [
      permutation(rows: rows, received: received),
      expertProjection(
        "gate_up_proj", rows: rows, experts: local, input: model.hidden, output: 2 * intermediate,
        keepsOutput: true),
      expertActivation(rows: rows, intermediate: intermediate),
      expertProjection(
        "down_proj", rows: rows, experts: local, input: intermediate, output: model.hidden, keepsOutput: false
      ),
      reduction(rows: rows, received: received),
    ]
  }

  /// What is sent is cast before it leaves: tokens forward, the gradient of the combined output backward.
  private func dispatchCast() -> Operator {
    Operator(
      name: "mlp.dispatch_cast", component: .routedExperts,
      forward: cast(residualTokens * Double(model.hidden)), inputGradient: [])
  }

  private func combineCast() -> Operator {
    Operator(
      name: "mlp.combine_cast", component: .routedExperts, forward: [],
      inputGradient: cast(residualTokens * Double(model.hidden)))
  }

  /// Received tokens to one row for each chosen expert, in the format they were sent in. Keeps the rows.
  private func permutation(rows: Double, received: Double) -> Operator {
    let width = Double(model.hidden)
    return Operator(
      name: "mlp.experts.permute", component: .routedExperts,
      forward: [
        pass(rows, read: 8, write: 8, launches: Launches.expertMapping),
        copy(from: received * width, to: rows * width, linear.bytesPerElement),
      ],
      // The gradients of one token's rows are summed before they are sent home.
      inputGradient: [copy(from: rows * width, to: received * width, element, .rowSum)],
      savedBytes: rows * width * linear.bytesPerElement)
  }

  /// Sums each token's rows. Backward, the gradient arrives as tokens did and is copied to rows.
  private func reduction(rows: Double, received: Double) -> Operator {
    let width = Double(model.hidden)
    return Operator(
      name: "mlp.experts.unpermute", component: .routedExperts,
      forward: [copy(from: rows * width, to: received * width, element, .rowSum)],
      inputGradient: [copy(from: received * width, to: rows * width, linear.bytesPerElement)],
      // The gradient's rows wait for the weight gradient, but only from one pass to the next.
      savedBytes: 0)
  }

  /// One grouped product over the local experts. Rows arrive in the product's format, so forward casts
  /// nothing; FP8 weights are held as the input gradient reads them and transposed for the forward. The
  /// weight gradient recasts both operands along the tokens.
  private func expertProjection(
    _ name: String, rows: Double, experts: Int, input: Int, output: Int, keepsOutput: Bool
  ) -> Operator {
    let perExpert = rows / Double(experts)
    // Gate and up projection are the only ones that keep their output.
    let parts = keepsOutput && !options.fusedExpertGate ? 2 : 1
    let product = { (kind: MatrixProduct.Kind, rows: Double, columns: Int, depth: Double) in
      Kernel.matrixProduct(
        MatrixProduct(
          kind, rows: rows, columns: columns, depth: depth, count: parts * experts, format: linear))
    }
    let width = output / parts
    // The incoming gradient of the down projection arrives in FP8; the activation's has to be cast.
    let castsGradient = keepsOutput
    return Operator(
      name: "mlp.experts.\(name)", component: .routedExperts,
      forward: transposedWeights(experts * input * output)
        + [product(.grouped, perExpert, width, Double(input))],
      inputGradient: (castsGradient ? cast(rows * Double(output)) : [])
        + [product(.grouped, perExpert, input, Double(width))],
      weightGradient: castTransposed(rows * Double(input), from: castsGradient ? linear : precision.residual)
        + castTransposed(rows * Double(output), from: castsGradient ? precision.residual : linear)
        + [product(.weightGradient, Double(width), input, perExpert)],
      parameters: experts * input * output,
      savedBytes: keepsOutput ? rows * Double(output) * linear.bytesPerElement : 0)
  }

  /// SwiGLU times the router's weight; backward also that weight's gradient, read from the recomputed output.
  private func expertActivation(rows: Double, intermediate: Int) -> Operator {
    var activation = gatedActivation(
      "mlp.experts.swiglu", .routedExperts, rows: rows, intermediate: intermediate)
    activation.inputGradient.append(
      pass(rows * Double(intermediate), .activation, read: 2 * element, write: 0))
    return activation
  }
}
