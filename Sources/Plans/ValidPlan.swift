import Clusters
import Models
import Operators

/// Who uses the embedding's matrix at the pipeline's end.
public enum EmbeddingSharing: Hashable, Sendable {
  /// Nobody.
  case none
  /// The embedding's own stage: the pipeline is one stage.
  case withinStage
  /// Another stage of the same ranks (DualPipe, DualPipeV): one matrix, whose gradient is complete after both
  /// stages' last backward.
  case withinRank
  /// Other ranks, which hold a copy: the copies' gradients are added. Source: Megatron-LM's embedding group.
  case acrossRanks
}

/// A plan that goes together with its model and its cluster; only ``validate(_:model:cluster:file:)`` makes
/// one.
public struct ValidPlan: Hashable, Sendable {
  public let plan: Plan
  public let model: Model
  public let cluster: Cluster
  public let grid: RankGrid
  /// The plan's layout, or the uniform one.
  public let layout: StageLayout
  /// Micro-batches of one pipeline in one step; DualPipe's two directions together.
  public let microBatches: Int
  /// What is allowed but worth knowing, one sentence each.
  public let notes: [String]
  /// What uneven routing, or a placement of experts, puts on ranks; nil where all experts get equal numbers of tokens.
  public internal(set) var expertLoads: ExpertLoads?

  init(
    plan: Plan, model: Model, cluster: Cluster, grid: RankGrid, layout: StageLayout, microBatches: Int,
    notes: [String]
  ) {
    self.plan = plan
    self.model = model
    self.cluster = cluster
    self.grid = grid
    self.layout = layout
    self.microBatches = microBatches
    self.notes = notes
  }

  public var ranks: Int { grid.ranks }
  public var dataParallel: Int { grid.data }
  public var expertDataParallel: Int { grid.expertData }
  /// Model stages; `layout.stages.count`.
  public var stages: Int { layout.stages.count }
  /// Stages that one pipeline rank holds.
  public var partsPerRank: Int { plan.schedule.partsPerRank(virtualStages: plan.virtualStages) }
  public var tokensPerStep: Int { plan.tokensPerStep }

  /// The model stage that is a pipeline rank's part.
  public func stage(rank: Int, part: Int) -> Int {
    plan.schedule.stage(rank: rank, part: part, pipeline: plan.pipeline)
  }

  /// What a pipeline rank's part holds.
  public func contents(rank: Int, part: Int) -> StageContents { layout.stages[stage(rank: rank, part: part)] }

  /// One GPU's share of a layer, experts balanced.
  public var slice: Slice {
    var slice = Slice(
      tensor: plan.tensor, sequenceParallel: plan.sequenceParallel, context: plan.context,
      expert: plan.expert,
      expertTensor: plan.expertTensor)
    slice.redundantExperts = plan.redundantExperts
    return slice
  }

  public var batch: Batch { Batch(sequences: plan.microBatch, sequence: plan.sequence) }

  /// Tokens of a micro-batch that one GPU's residual stream holds.
  public var residualTokens: Int {
    let tokens = plan.microBatch * plan.sequence / plan.context
    return plan.sequenceParallel ? tokens / plan.tensor : tokens
  }

  // MARK: Expert traffic

  /// Nodes of an expert group.
  public var expertNodes: Int {
    grid.span(of: grid.group(.expert, containing: 0), gpusPerNode: cluster.gpusPerNode.value).nodes
  }

  /// Consecutive members of an expert group on each node, where exchanges take two hops; nil where they go straight,
  /// also because the group lies on one node, or each of its members on another.
  public var expertMembersPerNode: Int? {
    guard plan.allToAll == .twoHop else { return nil }
    let span = grid.span(of: grid.group(.expert, containing: 0), gpusPerNode: cluster.gpusPerNode.value)
    return span.nodes > 1 && span.ranksPerNode > 1 ? span.ranksPerNode : nil
  }

  /// Nodes that one token's experts lie on at most: limited by the nodes of the group, by top-k, and by
  /// group-limited routing where expert groups and nodes divide one another.
  public var nodesPerToken: Int {
    guard let mixture = model.mixture else { return 0 }
    let nodes = expertNodes
    let most = min(nodes, mixture.topK)
    if mixture.groups % nodes == 0 { return min(most, mixture.limitedGroups) }
    if nodes % mixture.groups == 0 { return min(most, mixture.limitedGroups * (nodes / mixture.groups)) }
    return most
  }

  /// Bytes of one token of the residual stream.
  public var residualBytesPerToken: Int { model.hidden * Int(plan.precision.residual.bytesPerElement) }

  // MARK: Segments

  /// The segments of a model stage, in the order of its forward.
  public func segments(ofStage stage: Int) -> [StageSegment] { layout.stages[stage].segments }

  /// Where the embedding's matrix is used besides the embedding: by the output projection that is tied to it,
  /// or by modules of multi-token prediction.
  public var embeddingSharing: EmbeddingSharing {
    guard model.tiedEmbeddings || layout.stages.contains(where: { $0.multiTokenPrediction > 0 }) else {
      return .none
    }
    if stages == 1 { return .withinStage }
    func holders(of stage: Int) -> [Int] {
      (0..<plan.pipeline).filter { rank in
        (0..<partsPerRank).contains { self.stage(rank: rank, part: $0) == stage }
      }
    }
    return holders(of: 0) == holders(of: stages - 1) ? .withinRank : .acrossRanks
  }

  // MARK: Gradient reduction

  /// Ranks that hold copies of a dense parameter, and reduce its gradient: data × context, and DualPipe's
  /// mirror.
  public var denseCopies: Int { grid.size(of: .dataContext) * plan.schedule.copiesOfStage }

  /// Ranks that hold copies of an expert's parameter, and reduce its gradient.
  public var expertCopies: Int { grid.size(of: .expertData) * plan.schedule.copiesOfStage }

  /// The ranks that reduce a rank's dense gradients.
  public func denseGradientGroup(containing rank: Int) -> RankGroup {
    plan.schedule.copiesOfStage == 2
      ? grid.mirroredGroup(.dataContext, containing: rank) : grid.group(.dataContext, containing: rank)
  }

  /// The ranks that reduce a rank's expert gradients.
  public func expertGradientGroup(containing rank: Int) -> RankGroup {
    plan.schedule.copiesOfStage == 2
      ? grid.mirroredGroup(.expertData, containing: rank) : grid.group(.expertData, containing: rank)
  }
}
