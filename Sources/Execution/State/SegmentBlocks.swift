import Kernels
import Models
import Plans

/// The kernels of one segment for a micro-batch of one rank.
enum SegmentBlocks {
  case embedding(EmbeddingBlock)
  case layer(LayerBlocks)
  case head(HeadBlock)
  case prediction(PredictionBlock)
}

/// A decoder layer: attention, and one of the two second halves.
struct LayerBlocks {
  enum SecondHalf {
    case dense(FeedForwardBlock)
    case mixture(MixtureBlocks)
  }

  var attention: AttentionBlock
  var second: SecondHalf

  var mixture: MixtureBlocks? {
    if case .mixture(let blocks) = second { blocks } else { nil }
  }
}

/// Router, shared experts and this rank's routed experts.
struct MixtureBlocks {
  var router: RouterBlock
  var shared: SharedExpertBlock?
  var experts: ExpertsBlock
  /// Numbers of this rank's experts among all.
  var local: Range<Int>
  /// Where the router's and the shared experts' parameters begin in the layer's dense bucket; attention's are first.
  var routerOffset: Int
  var sharedOffset: Int
}

/// Makes the kernels of a plan's segments.
struct BlockFactory {
  let plan: ValidPlan
  let expertMember: Int
  private let rotary: RotaryTable

  private var model: Model { plan.model }
  private var sequences: Int { plan.plan.microBatch }
  private var length: Int { plan.plan.sequence }
  private var tokens: Int { sequences * length }
  private var epsilon: Float { Float(model.numerics.normEpsilon) }

  /// - Parameter expertMember: This rank's place in its expert group.
  init(_ plan: ValidPlan, expertMember: Int) {
    self.plan = plan
    self.expertMember = expertMember
    rotary = RotaryTable(plan.model, length: plan.plan.sequence)
  }

  func blocks(of segment: StageSegment) -> SegmentBlocks {
    switch segment {
    case .embedding:
      .embedding(EmbeddingBlock(hidden: model.hidden, vocabulary: model.vocabulary, tokens: tokens))
    case .layer(let index): .layer(layer(index))
    case .head: .head(head(ownsProjection: !model.tiedEmbeddings))
    case .prediction:
      .prediction(PredictionBlock(hidden: model.hidden, tokens: tokens, epsilon: epsilon))
    case .predictionHead: .head(head(ownsProjection: false))
    }
  }

  private func head(ownsProjection: Bool) -> HeadBlock {
    HeadBlock(
      hidden: model.hidden, vocabulary: model.vocabulary, tokens: tokens, epsilon: epsilon,
      ownsProjection: ownsProjection)
  }

  private func layer(_ index: Int) -> LayerBlocks {
    let attention = AttentionBlock(
      AttentionConfiguration(model.attention), hidden: model.hidden, sequences: sequences, length: length,
      epsilon: epsilon, rotary: rotary)
    guard let mixture = model.mixture, model.isMixtureLayer(index) else {
      return LayerBlocks(
        attention: attention,
        second: .dense(
          FeedForwardBlock(
            hidden: model.hidden, intermediate: model.feedForward.intermediate, tokens: tokens,
            epsilon: epsilon)))
    }
    let numerics = model.numerics
    let router = RouterBlock(
      router: Router(mixture, numerics),
      balance: BalanceLoss(coefficient: Float(numerics.balanceLoss)), hidden: model.hidden,
      sequences: sequences,
      length: length, epsilon: epsilon)
    let shared =
      mixture.sharedExperts > 0
      ? SharedExpertBlock(hidden: model.hidden, intermediate: mixture.sharedIntermediate, tokens: tokens)
      : nil
    let count = mixture.routedExperts / plan.plan.expert
    let routerOffset = attention.parameters.count
    return LayerBlocks(
      attention: attention,
      second: .mixture(
        MixtureBlocks(
          router: router, shared: shared,
          experts: ExpertsBlock(
            experts: count, hidden: model.hidden, intermediate: mixture.expertIntermediate),
          local: expertMember * count..<(expertMember + 1) * count, routerOffset: routerOffset,
          sharedOffset: routerOffset + router.parameters.count)))
  }
}

extension AttentionConfiguration {
  init(_ shape: AttentionShape) {
    switch shape {
    case .latent(let latent):
      self = .latent(
        heads: latent.heads, queryRank: latent.queryRank, keyValueRank: latent.keyValueRank,
        contentDimension: latent.contentDimension, rotaryDimension: latent.rotaryDimension,
        valueDimension: latent.valueDimension)
    case .grouped(let grouped):
      self = .grouped(
        queryHeads: grouped.queryHeads, keyValueHeads: grouped.keyValueHeads,
        headDimension: grouped.headDimension, hasProjectionBias: grouped.hasProjectionBias,
        hasOutputBias: grouped.hasOutputBias, normalizesQueryKey: grouped.normalizesQueryKey)
    }
  }
}

extension SegmentBlocks {
  /// Floats that the segment's kernels need for one call at most.
  var scratchCount: Int {
    switch self {
    case .embedding: 0
    case .head(let block): block.scratchCount
    case .prediction(let block): block.scratchCount
    case .layer(let blocks):
      switch blocks.second {
      case .dense(let block): max(blocks.attention.scratchCount, block.scratchCount)
      case .mixture(let mixture):
        max(blocks.attention.scratchCount, mixture.router.scratchCount, mixture.shared?.scratchCount ?? 0)
      }
    }
  }
}

extension Router {
  /// Models with a selection bias judge a group by its two best experts, others by the best one.
  init(_ mixture: Mixture, _ numerics: Numerics) {
    self.init(
      experts: mixture.routedExperts, topK: mixture.topK, groups: mixture.groups,
      limitedGroups: mixture.limitedGroups, scoring: mixture.scoring == .sigmoid ? .sigmoid : .softmax,
      groupScore: mixture.hasSelectionBias ? .topTwo : .largest, normalizes: numerics.normalizesTopK,
      scaling: Float(numerics.routedScaling))
  }
}

extension RotaryTable {
  /// The rotation that a model's attention uses, for sequences of `length` tokens.
  init(_ model: Model, length: Int) {
    let (theta, scaling) = (model.numerics.ropeTheta, Scaling(model.numerics.ropeScaling))
    switch model.attention {
    case .latent(let latent):
      self.init(
        dimension: latent.rotaryDimension, length: length, theta: theta, pairing: .interleaved,
        scaling: scaling)
    case .grouped(let grouped):
      self.init(
        dimension: grouped.headDimension, length: length, theta: theta, pairing: .halves, scaling: scaling)
    }
  }
}

extension RotaryTable.Scaling {
  /// A kind that no kernel knows counts as none; ``requireExecutable(_:ranks:)`` refuses it before.
  init(_ scaling: RopeScaling) {
    switch scaling {
    case .none, .other: self = .none
    case .linear(let factor): self = .linear(factor: factor)
    case .yarn(let yarn):
      self = .yarn(
        RotaryTable.Yarn(
          factor: yarn.factor, originalLength: yarn.originalLength, betaFast: yarn.betaFast,
          betaSlow: yarn.betaSlow, mscale: yarn.mscale, mscaleAllDimensions: yarn.mscaleAllDimensions))
    case .llama3(let llama):
      self = .llama3(
        RotaryTable.Llama3(
          factor: llama.factor, lowFrequencyFactor: llama.lowFrequencyFactor,
          highFrequencyFactor: llama.highFrequencyFactor, originalLength: llama.originalLength))
    }
  }
}
