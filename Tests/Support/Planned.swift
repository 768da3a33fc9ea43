import Clusters
import Models
import Operators
import Plans
import Schedules
import Units

/// A tiny GPT, or a tiny mixture of experts, on as many GPUs as the plan asks for.
public struct Planned: Sendable {
  public var schedule = ScheduleName.oneForwardOneBackward
  public var pipeline = 1
  public var virtualStages = 1
  public var microBatches = 1
  public var layersPerStage = 2
  public var data = 1
  public var isMixture = false
  public var isTied = false
  public var predictionDepth = 0
  public var hasSelectionBias = false
  public var gpusPerNode = 1
  public var change: @Sendable (inout Plan) -> Void = { _ in }

  public init(
    schedule: ScheduleName = .oneForwardOneBackward, pipeline: Int = 1, virtualStages: Int = 1,
    microBatches: Int = 1, layersPerStage: Int = 2, data: Int = 1, isMixture: Bool = false,
    change: @escaping @Sendable (inout Plan) -> Void = { _ in }
  ) {
    self.schedule = schedule
    self.pipeline = pipeline
    self.virtualStages = virtualStages
    self.microBatches = microBatches
    self.layersPerStage = layersPerStage
    self.data = data
    self.isMixture = isMixture
    self.change = change
  }

  public static let hidden = 256
  public static let sequence = 128

  private var stages: Int { schedule.stages(pipeline: pipeline, virtualStages: virtualStages) }

  public var model: Model {
    Model(
      name: "tiny", source: "test", family: isMixture ? .mixtral : .gpt, hidden: Self.hidden,
      layers: layersPerStage * stages, vocabulary: 1024, maximumSequence: 2048, tiedEmbeddings: isTied,
      attention: .grouped(
        GroupedAttention(
          queryHeads: 8, keyValueHeads: 8, headDimension: 32, hasProjectionBias: false, hasOutputBias: false)),
      feedForward: FeedForward(intermediate: 1024, isGated: isMixture),
      mixture: isMixture
        ? Mixture(
          routedExperts: 8, sharedExperts: 0, topK: 2, expertIntermediate: 128, groups: 1, limitedGroups: 1,
          scoring: .softmax, hasSelectionBias: hasSelectionBias, firstDenseLayers: 0) : nil,
      multiTokenPredictionDepth: predictionDepth)
  }

  public func lowered() throws -> (plan: ValidPlan, order: PipelineOrder) {
    var plan = Plan(name: "tiny", source: "test", globalBatch: microBatches * data, sequence: Self.sequence)
    plan.schedule = schedule
    plan.pipeline = pipeline
    plan.virtualStages = virtualStages
    change(&plan)
    var cluster = try resolveCluster("small").cluster
    let gpus = plan.tensor * plan.context * data * pipeline
    cluster.gpusPerNode = Sourced(gpusPerNode, tag: .assumed, source: "test")
    cluster.nodes = Sourced(gpus / gpusPerNode, tag: .assumed, source: "test")
    let valid = try validate(plan, model: model, cluster: cluster)
    let order = try PipelineOrder.published(
      schedule.rawValue, ranks: pipeline, microBatches: valid.microBatches,
      virtualStages: schedule == .interleaved ? virtualStages : nil)
    return (valid, order)
  }
}
