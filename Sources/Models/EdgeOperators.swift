import Operators

extension Model {
  /// The input embedding, cut by vocabulary; with learned positions and dropout for GPT.
  public func embeddingOperators(
    batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions
  ) -> [Operator] {
    let builder = OperatorBuilder(
      model: self, batch: batch, slice: slice, precision: precision, options: options)
    return builder.embedding()
  }

  /// Final norm, output projection cut by vocabulary, cross-entropy. Also the end of each module of
  /// multi-token prediction, whose norm is its own and whose projection is shared.
  ///
  /// - Parameter sharesProjection: Whether this GPU already counts the projection's parameters: as its
  ///   embedding, where the model ties them, or as the main head, for multi-token prediction.
  public func headOperators(
    batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions, sharesProjection: Bool = false
  ) -> [Operator] {
    let builder = OperatorBuilder(
      model: self, batch: batch, slice: slice, precision: precision, options: options)
    return builder.head(sharesProjection: sharesProjection)
  }

  /// What a module of multi-token prediction adds before its layer: two norms and a projection from twice the
  /// width.
  ///
  /// The rest of a module is ``embeddingOperators(batch:slice:precision:options:)``, both halves of layer
  /// ``layers`` and ``headOperators(batch:slice:precision:options:sharesProjection:)``.
  ///
  /// Source: DeepSeek-V3, arXiv 2412.19437, section 2.2.
  public func multiTokenPredictionOperators(
    batch: Batch, slice: Slice, precision: Precision, options: OperatorOptions
  ) -> [Operator] {
    let builder = OperatorBuilder(
      model: self, batch: batch, slice: slice, precision: precision, options: options)
    return builder.multiTokenPrediction()
  }
}

extension OperatorBuilder {
  /// This GPU's rows of embedding and head; the vocabulary is padded where it does not divide.
  private var vocabularyRows: Int { (model.vocabulary + slice.tensor - 1) / slice.tensor }

  func embedding() -> [Operator] {
    let elements = tokens * Double(model.hidden)
    let positions = model.family.learnsPositions
    let gradient = Format.float32.bytesPerElement
    var operators = [
      Operator(
        name: "embed_tokens", component: .embedding,
        forward: [pass(elements, .embedding, read: element * (positions ? 2 : 1), write: element)],
        inputGradient: [],
        weightGradient: [pass(elements, .embedding, read: element + gradient, write: gradient)],
        parameters: vocabularyRows * model.hidden
          + (positions ? model.maximumSequence * model.hidden : 0))
    ]
    if options.dropout {
      let kept = residualTokens * Double(model.hidden)
      operators.append(
        Operator(
          name: "embed_tokens.dropout", component: .embedding,
          forward: [pass(kept, read: element, write: element + 1)],
          inputGradient: [pass(kept, read: element + 1, write: element)], savedBytes: kept))
    }
    return operators
  }

  func head(sharesProjection: Bool) -> [Operator] {
    let columns = vocabularyRows
    let normed = norm("norm", .head, rows: residualTokens, width: model.hidden, keeps: precision.head)
    let product = { (kind: MatrixProduct.Kind, rows: Double, columns: Int, depth: Double) in
      Kernel.matrixProduct(
        MatrixProduct(kind, rows: rows, columns: columns, depth: depth, format: precision.head))
    }
    let projection = Operator(
      name: "lm_head", component: .head,
      forward: [product(.dense, tokens, columns, Double(model.hidden))],
      inputGradient: [product(.dense, tokens, model.hidden, Double(columns))],
      weightGradient: [product(.weightGradient, Double(columns), model.hidden, tokens)],
      parameters: sharesProjection ? 0 : columns * model.hidden,
      savedBytes: options.fusedCrossEntropy ? tokens * Double(columns) * element : 0)
    return [normed, projection, crossEntropy(logits: tokens * Double(columns))]
  }

  /// Fused: one pass over bfloat16 logits keeps two float32 for each token (as Liger-Kernel and Transformer
  /// Engine do), and backward turns the logits into their gradient in place. Otherwise logits become float32,
  /// and maximum, difference, exponential, sum and division are passes over them (as Megatron's
  /// vocabulary-parallel loss).
  private func crossEntropy(logits: Double) -> Operator {
    let long = Format.float32.bytesPerElement
    if options.fusedCrossEntropy {
      return Operator(
        name: "cross_entropy", component: .head, forward: [pass(logits, .loss, read: element, write: 0)],
        inputGradient: [pass(logits, .loss, read: element, write: element)], savedBytes: tokens * 2 * long)
    }
    return Operator(
      name: "cross_entropy", component: .head,
      forward: [
        pass(logits, .loss, read: element, write: long), pass(logits, .loss, read: long, write: 0),
        pass(logits, .loss, read: long, write: long), pass(logits, .loss, read: long, write: long),
        pass(logits, .loss, read: long, write: 0), pass(logits, .loss, read: long, write: long),
      ],
      inputGradient: [
        pass(logits, .loss, read: long, write: long), pass(logits, .loss, read: long, write: element),
      ],
      savedBytes: logits * long)
  }

  func multiTokenPrediction() -> [Operator] {
    let hidden = model.hidden
    let elements = residualTokens * Double(hidden)
    let join = pass(2 * elements, read: element, write: element)
    return [
      norm("enorm", .multiTokenPrediction, rows: residualTokens, width: hidden),
      norm("hnorm", .multiTokenPrediction, rows: residualTokens, width: hidden),
      Operator(name: "concat", component: .multiTokenPrediction, forward: [join], inputGradient: [join]),
      projection(
        "eh_proj", .multiTokenPrediction, rows: residualTokens, input: 2 * hidden, output: hidden,
        saved: elements * element),
    ]
  }
}
