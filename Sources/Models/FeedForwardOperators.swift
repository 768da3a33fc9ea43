import Operators

extension Model {
  /// Operators of a layer's feed-forward half on one GPU: dense, or router, shared expert and routed experts.
  ///
  /// Of routed experts, the kernels between dispatch and combine are listed, and the rows kept from dispatch;
  /// the transfers themselves are no operators.
  ///
  /// - Parameter layer: From 0; layers of multi-token prediction follow the decoder's.
  public func feedForwardOperators(
    layer: Int, batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions
  ) -> [Operator] {
    let builder = OperatorBuilder(
      model: self, batch: batch, slice: slice, precision: precision, options: options)
    if let mixture, isMixtureLayer(layer) { return builder.mixtureHalf(mixture) }
    return builder.denseHalf()
  }
}

extension OperatorBuilder {
  func denseHalf() -> [Operator] {
    let shape = model.feedForward
    let normed = norm(
      "post_attention_layernorm", .denseFeedForward, rows: residualTokens, width: model.hidden)
    let intermediate = shape.intermediate / slice.tensor
    if shape.isGated {
      return [normed]
        + gatedNetwork("mlp", .denseFeedForward, intermediate: intermediate, hasBias: shape.hasBias)
        + [residual("mlp.residual_add", .denseFeedForward)]
    }
    let elements = tokens * Double(intermediate)
    return [
      normed,
      projection(
        "mlp.up_proj", .denseFeedForward, rows: tokens, input: model.hidden, output: intermediate,
        hasBias: shape.hasBias, saved: elements * element),
      Operator(
        name: "mlp.gelu", component: .denseFeedForward,
        forward: [pass(elements, .activation, read: element, write: element)],
        inputGradient: [pass(elements, .activation, read: 2 * element, write: element)],
        savedBytes: elements * linear.bytesPerElement, recomputeUnit: "gelu"),
      projection(
        "mlp.down_proj", .denseFeedForward, rows: tokens, input: intermediate, output: model.hidden,
        hasBias: shape.hasBias),
      biasDropoutAdd("mlp.bias_dropout_add", .denseFeedForward),
    ]
  }

  /// Gate and up projection as one product, SwiGLU, down projection: a dense half's network or a shared
  /// expert.
  func gatedNetwork(_ path: String, _ component: Component, intermediate: Int, hasBias: Bool = false)
    -> [Operator]
  {
    [
      projection(
        "\(path).gate_up_proj", component, rows: tokens, input: model.hidden, output: 2 * intermediate,
        hasBias: hasBias, castsOperandsEarly: false,
        saved: tokens * Double(2 * intermediate) * linear.bytesPerElement),
      gatedActivation("\(path).swiglu", component, rows: tokens, intermediate: intermediate),
      projection(
        "\(path).down_proj", component, rows: tokens, input: intermediate, output: model.hidden,
        hasBias: hasBias,
        castsInput: false, castsOperandsEarly: false),
    ]
  }

  /// SwiGLU, fused with the cast of its output. In FP8 its input is kept in FP8 too and the output never: the
  /// input gradient computes it again in the same pass, so there is no unit left to choose.
  ///
  /// Source: DeepSeek-V3, arXiv 2412.19437, section 3.3.3; the passes after the recorded training step.
  func gatedActivation(_ name: String, _ component: Component, rows: Double, intermediate: Int) -> Operator {
    let elements = rows * Double(intermediate)
    var forward = [pass(elements, .activation, read: 2 * element, write: linear.bytesPerElement)]
    var inputGradient = [
      pass(elements, .activation, read: 3 * element, write: 2 * element + (isFloat8 ? element : 0))
    ]
    if isFloat8 {
      forward += cast(2 * elements)
      inputGradient = castBack(2 * elements) + inputGradient
    }
    return Operator(
      name: name, component: component, forward: forward, inputGradient: inputGradient,
      savedBytes: isFloat8 ? 0 : elements * element, recomputeUnit: isFloat8 ? nil : "swiglu")
  }
}
