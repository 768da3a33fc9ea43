import Kernels
import Models
import Plans

/// The named tensors of a segment's dense and expert part, in the order of their flat buffers.
struct SegmentTensors {
  var dense: [TensorPlace] = []
  var expert: [TensorPlace] = []

  init(_ segment: StageSegment, _ blocks: SegmentBlocks, layers: Int) {
    switch blocks {
    case .embedding(let block): dense = block.parameters.places(prefix: "model.", offset: 0)
    case .prediction(let block):
      guard case .prediction(let depth) = segment else { preconditionFailure("a projection of no module") }
      dense = block.parameters.places(prefix: "model.layers.\(layers + depth).", offset: 0)
    case .head(let block): dense = Self.head(block, segment, layers: layers)
    case .layer(let blocks):
      guard case .layer(let index) = segment else { preconditionFailure("a layer without a number") }
      let prefix = "model.layers.\(index)."
      dense = blocks.attention.parameters.places(prefix: prefix, offset: 0)
      let end = blocks.attention.parameters.count
      switch blocks.second {
      case .dense(let block): dense += block.parameters.places(prefix: prefix, offset: end)
      case .mixture(let mixture):
        dense += mixture.router.parameters.places(prefix: prefix, offset: mixture.routerOffset)
        dense += mixture.shared?.parameters.places(prefix: prefix, offset: mixture.sharedOffset) ?? []
        expert = mixture.experts.parameters.expertPlaces(prefix: prefix, experts: mixture.local)
      }
    }
  }

  /// The model's own head is `model.norm` and `lm_head`, a module's norm its `shared_head.norm`.
  private static func head(_ block: HeadBlock, _ segment: StageSegment, layers: Int) -> [TensorPlace] {
    if case .predictionHead(let depth) = segment {
      return block.parameters.places(prefix: "model.layers.\(layers + depth).shared_head.", offset: 0)
    }
    return block.parameters.places(prefix: "", offset: 0).map { place in
      var place = place
      if place.name == "norm.weight" { place.name = "model.norm.weight" }
      return place
    }
  }

  mutating func addEmbeddingCopy(of model: Model) {
    dense.append(
      TensorPlace(
        name: Self.embeddingName, shape: [model.vocabulary, model.hidden],
        offset: dense.last?.range.upperBound ?? 0, isCopy: true))
  }

  static let embeddingName = "model.embed_tokens.weight"
}
