import Kernels

/// A whole DeepSeek-like or dense model on one process, one micro-batch after the other: the yardstick for the same
/// model spread over ranks.
///
/// Parameters have the names of the golden files: `embed_tokens.weight`, `layers.3.mlp.gate.weight`, `norm.weight`,
/// `lm_head.weight`, `mtp.eh_proj.weight`, `mtp.block.` and a layer's tensor, `mtp.norm.weight`; with several
/// prediction modules `mtp.0.`, `mtp.1.`.
public final class ReferenceModel {
  public struct Shape {
    public var vocabulary: Int
    public var hidden: Int
    public var layers: Int
    /// Width of the dense layers' feed-forward half.
    public var intermediate: Int
    public var attention: AttentionConfiguration
    public var rotary: RotaryTable
    public var epsilon: Float
    /// Nil for a dense model.
    public var mixture: Mixture?
    /// Multi-token-prediction modules.
    public var predictionDepth: Int
    /// Sequences of a micro-batch, and tokens of one.
    public var sequences: Int
    public var length: Int

    public struct Mixture {
      public var router: Router
      public var intermediate: Int
      /// Of all shared experts together; 0 for none.
      public var sharedIntermediate: Int
      public var firstDenseLayers: Int
      public var balanceLoss: Float

      public init(
        router: Router, intermediate: Int, sharedIntermediate: Int, firstDenseLayers: Int, balanceLoss: Float
      ) {
        self.router = router
        self.intermediate = intermediate
        self.sharedIntermediate = sharedIntermediate
        self.firstDenseLayers = firstDenseLayers
        self.balanceLoss = balanceLoss
      }
    }

    public init(
      vocabulary: Int, hidden: Int, layers: Int, intermediate: Int, attention: AttentionConfiguration,
      rotary: RotaryTable, epsilon: Float, mixture: Mixture?, predictionDepth: Int, sequences: Int,
      length: Int
    ) {
      self.vocabulary = vocabulary
      self.hidden = hidden
      self.layers = layers
      self.intermediate = intermediate
      self.attention = attention
      self.rotary = rotary
      self.epsilon = epsilon
      self.mixture = mixture
      self.predictionDepth = predictionDepth
      self.sequences = sequences
      self.length = length
    }

    public var tokens: Int { sequences * length }
  }

  /// Losses of one micro-batch, each a mean over its tokens or sequences and not weighted.
  public struct Losses: Hashable, Sendable {
    public var crossEntropy = 0.0
    /// Of each prediction module.
    public var predictions: [Double] = []
    /// Balance loss of all mixtures together.
    public var balance = 0.0
  }

  public let shape: Shape
  /// Hidden rows after the embedding and after each layer, of the last micro-batch; and their gradients.
  public private(set) var hidden: [[Float]] = []
  public private(set) var hiddenGradients: [[Float]] = []

  let embedding: Held<EmbeddingBlock>
  let layers: [ReferenceLayer]
  let head: Held<HeadBlock>
  let predictions: [Prediction]

  /// One multi-token-prediction module; embedding and projection are the model's.
  struct Prediction {
    var entry: Held<PredictionBlock>
    var layer: ReferenceLayer
    var head: Held<HeadBlock>
  }

  public init(_ shape: Shape) {
    self.shape = shape
    embedding = Held(
      EmbeddingBlock(hidden: shape.hidden, vocabulary: shape.vocabulary, tokens: shape.tokens), prefix: "")
    layers = (0..<shape.layers).map {
      ReferenceLayer(
        shape, prefix: "layers.\($0).",
        mixture: shape.mixture.flatMap { [layer = $0] in layer < $0.firstDenseLayers ? nil : $0 })
    }
    func head(_ prefix: String, ownsProjection: Bool) -> Held<HeadBlock> {
      Held(
        HeadBlock(
          hidden: shape.hidden, vocabulary: shape.vocabulary, tokens: shape.tokens, epsilon: shape.epsilon,
          ownsProjection: ownsProjection), prefix: prefix)
    }
    self.head = head("", ownsProjection: true)
    predictions = (0..<shape.predictionDepth).map { depth in
      let prefix = shape.predictionDepth == 1 ? "mtp." : "mtp.\(depth)."
      return Prediction(
        entry: Held(
          PredictionBlock(hidden: shape.hidden, tokens: shape.tokens, epsilon: shape.epsilon), prefix: prefix),
        layer: ReferenceLayer(shape, prefix: prefix + "block.", mixture: shape.mixture),
        head: head(prefix, ownsProjection: false))
    }
  }

  // MARK: Parameters

  var holders: [any Holding] {
    [embedding] + layers.flatMap(\.holders) + [head]
      + predictions.flatMap { [$0.entry] + $0.layer.holders + [$0.head] }
  }

  /// Names and shapes of all parameters.
  public var parameters: [(name: String, shape: [Int])] {
    holders.flatMap { holder in holder.layout.entries.map { (holder.prefix + $0.name, $0.shape) } }
  }

  /// Sets every parameter from a source of values by name and shape.
  public func setParameters(_ values: (_ name: String, _ shape: [Int]) throws -> [Float]) rethrows {
    for holder in holders {
      for entry in holder.layout.entries {
        let tensor = try values(holder.prefix + entry.name, entry.shape)
        precondition(
          tensor.count == entry.count, "\(holder.prefix + entry.name) has \(tensor.count) elements")
        holder.weights.set(tensor, at: entry.offset)
      }
    }
  }

  public func parameter(_ name: String) -> [Float]? { tensor(name) { $0.weights } }

  /// The sum of the gradients of all micro-batches since they were cleared.
  public func gradient(_ name: String) -> [Float]? { tensor(name) { $0.gradients } }

  private func tensor(_ name: String, in buffer: (any Holding) -> Buffer) -> [Float]? {
    for holder in holders where name.hasPrefix(holder.prefix) {
      let rest = name.dropFirst(holder.prefix.count)
      if let entry = holder.layout.entries.first(where: { $0.name == rest }) {
        return buffer(holder).values(entry.offset..<entry.offset + entry.count)
      }
    }
    return nil
  }

  /// The mixtures, those of prediction modules last: selection biases and counts of tokens.
  public var mixtures: [ReferenceMixture] {
    (layers + predictions.map(\.layer)).compactMap(\.mixture)
  }

  /// Clears gradients and counts: the beginning of a step.
  public func beginStep() {
    for holder in holders { holder.gradients.fill(0) }
    for mixture in mixtures { mixture.counts = mixture.counts.map { _ in 0 } }
  }

  // MARK: A micro-batch

  /// Forward and backward of one micro-batch; adds to gradients and counts.
  ///
  /// - Parameters:
  ///   - ids: `[tokens]`.
  ///   - labels: `[1 + predictionDepth][tokens]`: the next tokens, those after them, ...
  ///   - scale: What the step's loss takes of this micro-batch's: 1 over the number of micro-batches.
  ///   - predictionWeight: What it takes of the mean loss of the prediction modules.
  public func run(ids: [Int32], labels: [[Int32]], scale: Double, predictionWeight: Double = 0) -> Losses {
    let count = shape.tokens * shape.hidden
    precondition(ids.count == shape.tokens && labels.count == 1 + predictions.count)
    let rows = Buffer(count)
    let scratch = Buffer(holders.map(\.scratchCount).max() ?? 0)
    let perToken = scale / Double(shape.tokens)
    var losses = Losses()

    embedding.block.forward(ids: ids, parameters: embedding.weights.base, output: rows.base)
    hidden = [rows.values()]
    for layer in layers {
      losses.balance += layer.forward(rows, scratch: scratch)
      hidden.append(rows.values())
    }
    losses.crossEntropy =
      head.block.forward(
        input: rows.base, labels: labels[0], scale: perToken, norm: head.weights.base, projection: projection,
        saved: head.saved.base, scratch: scratch.base) / scale

    let predictionScale = predictionWeight / Double(max(1, predictions.count))
    let embedded = Buffer(count)
    var previous = head
    for (depth, prediction) in predictions.enumerated() {
      embedding.block.forward(ids: labels[depth], parameters: embedding.weights.base, output: embedded.base)
      prediction.entry.block.forward(
        normed: previous.block.normedRows(saved: previous.saved.base), embedded: embedded.base,
        parameters: prediction.entry.weights.base, saved: prediction.entry.saved.base, scratch: scratch.base,
        output: rows.base)
      losses.balance += prediction.layer.forward(rows, scratch: scratch)
      let loss = prediction.head.block.forward(
        input: rows.base, labels: labels[depth + 1], scale: perToken * predictionScale,
        norm: prediction.head.weights.base, projection: projection, saved: prediction.head.saved.base,
        scratch: scratch.base)
      losses.predictions.append(predictionScale == 0 ? 0 : loss / (scale * predictionScale))
      previous = prediction.head
    }
    backward(ids: ids, labels: labels, scale: scale, rows: rows, embedded: embedded, scratch: scratch)
    return losses
  }

  private var projection: UnsafePointer<Float> { UnsafePointer(head.weights.base + projectionOffset) }
  private var projectionOffset: Int { head.block.projectionOffset ?? 0 }

  private func backward(
    ids: [Int32], labels: [[Int32]], scale: Double, rows: Buffer, embedded: Buffer, scratch: Buffer
  ) {
    // What the module after found for the normed rows of the head before it.
    let normedGradient = Buffer(rows.count)
    var further: UnsafePointer<Float>?
    for (depth, prediction) in predictions.enumerated().reversed() {
      backward(prediction.head, normedGradient: further, into: rows, scratch: scratch)
      prediction.layer.backward(rows, balanceScale: Float(scale), scratch: scratch)
      prediction.entry.block.inputGradient(
        outputGradient: rows.base, parameters: prediction.entry.weights.base,
        saved: prediction.entry.saved.base, scratch: scratch.base, normedGradient: normedGradient.base,
        embeddedGradient: embedded.base)
      prediction.entry.block.weightGradient(
        parameters: prediction.entry.weights.base, saved: prediction.entry.saved.base, scratch: scratch.base,
        gradients: prediction.entry.gradients.base)
      embedding.block.weightGradient(
        ids: labels[depth], outputGradient: embedded.base, gradients: embedding.gradients.base)
      further = UnsafePointer(normedGradient.base)
    }
    backward(head, normedGradient: further, into: rows, scratch: scratch)
    var gradients = [rows.values()]
    for layer in layers.reversed() {
      layer.backward(rows, balanceScale: Float(scale), scratch: scratch)
      gradients.append(rows.values())
    }
    hiddenGradients = gradients.reversed()
    embedding.block.weightGradient(ids: ids, outputGradient: rows.base, gradients: embedding.gradients.base)
  }

  private func backward(
    _ holder: Held<HeadBlock>, normedGradient: UnsafePointer<Float>?, into rows: Buffer, scratch: Buffer
  ) {
    holder.block.inputGradient(
      normedGradient: normedGradient, norm: holder.weights.base, projection: projection,
      saved: holder.saved.base, scratch: scratch.base, inputGradient: rows.base)
    holder.block.weightGradient(
      saved: holder.saved.base, scratch: scratch.base, normGradient: holder.gradients.base,
      projectionGradient: head.gradients.base + projectionOffset)
  }
}
