import Units

/// A GPT model as the Megatron papers describe one: learned positions, an inner size of four times the hidden
/// size.
public struct GPTShape: Hashable, Sendable {
  public let hidden: Int
  public let layers: Int
  public let heads: Int
  public let vocabulary: Int
  /// Tokens of one sequence.
  public let sequence: Int
  /// Whether input embedding and output projection share their weights.
  public let tiedEmbeddings: Bool

  public init(
    hidden: Int, layers: Int, heads: Int, vocabulary: Int, sequence: Int, tiedEmbeddings: Bool = true
  ) {
    self.hidden = hidden
    self.layers = layers
    self.heads = heads
    self.vocabulary = vocabulary
    self.sequence = sequence
    self.tiedEmbeddings = tiedEmbeddings
  }

  /// Source: arXiv 2104.04473, equation 2, which ties the embeddings.
  public var parameters: Double {
    let (h, l) = (Double(hidden), Double(layers))
    let tied = 12 * l * h * h * (1 + 13 / (12 * h) + Double(vocabulary + sequence) / (12 * l * h))
    return tiedEmbeddings ? tied : tied + Double(vocabulary) * h
  }

  /// One forward's matrix products of the layers, attention over the full square, without the head.
  private func layerForward(sequences: Int) -> Double {
    let (h, s) = (Double(hidden), Double(sequence))
    return Double(sequences) * s * Double(layers) * h * h * (24 + 4 * s / h)
  }

  /// Forward and backward of the head's product.
  private func head(sequences: Int) -> Double {
    6 * Double(sequences) * Double(sequence) * Double(hidden) * Double(vocabulary)
  }

  /// Forward and backward of one step, nothing computed twice. Source: arXiv 2205.05198, equation 7.
  public func modelFLOPs(sequences: Int) -> FLOPs {
    FLOPs(3 * layerForward(sequences: sequences) + head(sequences: sequences))
  }

  /// The same with every layer's forward computed twice. Source: arXiv 2104.04473, equation 3.
  public func fullRecomputeFLOPs(sequences: Int) -> FLOPs {
    FLOPs(4 * layerForward(sequences: sequences) + head(sequences: sequences))
  }
}
