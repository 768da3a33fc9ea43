import Operators

extension OperatorBuilder {
  /// Bytes of an element of the attention output as it is kept: FP8 with a longer significand (E5M6) and its
  /// scales.
  ///
  /// Source: DeepSeek-V3, arXiv 2412.19437, section 3.3.3: inputs of the linear layer after attention.
  private var keptOutputBytes: Double { isFloat8 ? 1.5 + 4.0 / 128 : element }

  /// Heads are cut by tensor parallelism; the projections down to the ranks are whole on every GPU and, under
  /// sequence parallelism, run on its part of the sequence.
  ///
  /// Unit `norm`: the three norms. Unit `mla_up`: the projections up from the ranks, rotary embedding and the
  /// copies that assemble queries, keys and values.
  func latentAttention(_ shape: LatentAttention) -> [Operator] {
    let heads = shape.heads / slice.tensor
    let valueColumns = heads * shape.valueDimension
    var operators = [norm("input_layernorm", .attentionProjection, rows: residualTokens, width: model.hidden)]
    operators += queryProjections(shape, heads: heads)
    operators += keyValueProjections(shape, heads: heads)
    operators.append(assembly(shape, heads: heads))
    operators += attentionCore()

    var output = projection(
      "self_attn.o_proj", .attentionProjection, rows: tokens, input: valueColumns, output: model.hidden,
      saved: tokens * Double(valueColumns) * keptOutputBytes)
    if isFloat8 {
      let outputs = tokens * Double(valueColumns)
      output.forward.insert(pass(outputs, read: element, write: keptOutputBytes), at: 0)
      output.inputGradient.insert(pass(outputs, read: keptOutputBytes, write: element), at: 0)
    }
    operators.append(output)

    // The output is scaled in a pass of its own before it is added.
    var sum = residual("self_attn.residual_add", .attentionProjection)
    let scaling = pass(residualTokens * Double(model.hidden), read: element, write: element)
    sum.forward.insert(scaling, at: 0)
    sum.inputGradient.append(scaling)
    operators.append(sum)
    return operators
  }

  private func queryProjections(_ shape: LatentAttention, heads: Int) -> [Operator] {
    let columns = heads * shape.queryKeyDimension
    let saved = tokens * Double(columns) * element
    guard let rank = shape.queryRank else {
      return [
        projection(
          "self_attn.q_proj", .attentionProjection, rows: tokens, input: model.hidden, output: columns,
          saved: saved)
      ]
    }
    return [
      projection(
        "self_attn.q_a_proj", .attentionProjection, rows: residualTokens, input: model.hidden, output: rank,
        saved: residualTokens * Double(rank) * element),
      norm("self_attn.q_a_layernorm", .attentionProjection, rows: residualTokens, width: rank),
      projection(
        "self_attn.q_b_proj", .attentionProjection, rows: tokens, input: rank, output: columns, saved: saved,
        unit: "mla_up"),
    ]
  }

  private func keyValueProjections(_ shape: LatentAttention, heads: Int) -> [Operator] {
    let compressed = shape.keyValueRank + shape.rotaryDimension
    var down = projection(
      "self_attn.kv_a_proj_with_mqa", .attentionProjection, rows: residualTokens, input: model.hidden,
      output: compressed, saved: residualTokens * Double(compressed) * element)
    let split = pass(residualTokens * Double(compressed), read: element, write: element, launches: 2)
    down.forward.append(split)
    down.inputGradient.insert(split, at: 0)
    if shape.queryRank != nil {
      // Queries and keys both came from the normed input: their gradients are added.
      down.inputGradient.append(
        pass(residualTokens * Double(model.hidden), read: 2 * element, write: element))
    }
    return [
      down,
      norm("self_attn.kv_a_layernorm", .attentionProjection, rows: residualTokens, width: shape.keyValueRank),
      projection(
        "self_attn.kv_b_proj", .attentionProjection, rows: tokens, input: shape.keyValueRank,
        output: heads * (shape.contentDimension + shape.valueDimension), unit: "mla_up"),
    ]
  }

  /// Rotary embedding of the shared key and of the queries, and the copies that give every head a whole key
  /// and value.
  private func assembly(_ shape: LatentAttention, heads: Int) -> Operator {
    let perHead = tokens * Double(heads)
    let content = perHead * Double(shape.contentDimension)
    let key = perHead * Double(shape.queryKeyDimension)
    let value = perHead * Double(shape.valueDimension)
    let sharedKey = tokens * Double(shape.rotaryDimension)
    // Only the rotary part of a query turns, but whole queries pass through the kernel.
    let rotation = pass(key, .rotary, read: element, write: element)
    let sharedRotation = pass(sharedKey, .rotary, read: element, write: element)
    let valueCopy = pass(value, .rotary, read: element, write: element)
    return Operator(
      name: "self_attn.rotary", component: .attentionProjection,
      forward: [
        sharedRotation, copy(from: content + sharedKey, to: key, element, .rotary), valueCopy, rotation,
      ],
      // Every head's gradient of the shared key is summed; the rest goes back to where the product left it.
      inputGradient: [
        rotation, copy(from: perHead * Double(shape.rotaryDimension), to: sharedKey, element, .rotary),
        sharedRotation,
        pass(content, .rotary, read: element, write: element), valueCopy,
      ],
      savedBytes: (key + value) * element, recomputeUnit: "mla_up")
  }
}
