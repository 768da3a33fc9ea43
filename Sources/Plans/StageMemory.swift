import Models
import Operators

/// What one model stage keeps on one GPU, embedding and output matrices aside.
public struct StageMemory: Hashable, Sendable {
  /// Parameters that data × context ranks hold copies of.
  public var denseParameters = 0
  /// Parameters of routed experts.
  public var expertParameters = 0
  /// Bytes kept for one micro-batch from forward to backward under the plan's recomputation.
  public var savedBytes = 0.0
  /// Bytes that come back for one layer while its backward recomputes, at most.
  public var recomputedBytes = 0.0
  /// Parameters of the largest layer: what ZeRO stage 3 gathers at a time.
  public var largestLayer = 0

  /// Adds a layer's, or another unit's, operators.
  ///
  /// - Parameter checkpoint: Bytes of the unit's input where the whole unit is recomputed from it; nil where
  ///   the
  ///   recomputation policy looks at single operators or does not reach the unit.
  mutating func add(_ operators: [Operator], recompute: Recompute, checkpoint: Double?) {
    var parameters = 0
    var kept = 0.0
    var recomputed = 0.0
    for operation in operators {
      if operation.component == .routedExperts {
        expertParameters += operation.parameters
      } else {
        denseParameters += operation.parameters
      }
      parameters += operation.parameters
      if checkpoint != nil || recompute.recomputes(operation) {
        recomputed += operation.savedBytes
      } else {
        kept += operation.savedBytes
      }
    }
    savedBytes += kept + (checkpoint ?? 0)
    recomputedBytes = max(recomputedBytes, recomputed)
    largestLayer = max(largestLayer, parameters)
  }
}

/// The operators of a plan's stages, made once for each kind of layer.
struct StageOperators {
  let plan: ValidPlan
  private let dense: [Operator]
  /// Balanced, or where experts are not, empty: then stages differ.
  private let mixture: [Operator]
  let embedding: [Operator]
  let head: [Operator]
  private let multiTokenPrediction: [Operator]

  init(_ plan: ValidPlan) {
    self.plan = plan
    let model = plan.model
    let (batch, slice, options) = (plan.batch, plan.slice, plan.plan.operators)
    let precision = plan.plan.precision.operators
    func layer(_ index: Int?) -> [Operator] {
      index.map { Self.layer($0, of: plan, slice: slice) } ?? []
    }
    let layers = 0..<model.layers + model.multiTokenPredictionDepth
    dense = layer(layers.first { !model.isMixtureLayer($0) })
    mixture = plan.expertLoads == nil ? layer(layers.first { model.isMixtureLayer($0) }) : []
    embedding = model.embeddingOperators(batch: batch, slice: slice, precision: precision, options: options)
    head = model.headOperators(batch: batch, slice: slice, precision: precision, options: options)
    multiTokenPrediction = model.multiTokenPredictionOperators(
      batch: batch, slice: slice, precision: precision, options: options)
  }

  private static func layer(_ index: Int, of plan: ValidPlan, slice: Slice) -> [Operator] {
    let (precision, options) = (plan.plan.precision.operators, plan.plan.operators)
    return plan.model.attentionOperators(
      layer: index, batch: plan.batch, slice: slice, precision: precision, options: options)
      + plan.model.feedForwardOperators(
        layer: index, batch: plan.batch, slice: slice, precision: precision, options: options)
  }

  /// A layer's operators; those of a mixture with the rows of the stage's fullest rank.
  private func layer(_ index: Int, member: Int?) -> [Operator] {
    guard plan.model.isMixtureLayer(index) else { return dense }
    guard let member else { return mixture }
    return Self.layer(index, of: plan, slice: plan.slice(ofLayer: index, member: member))
  }

  /// Parameters of the input embedding on one GPU, learned positions included.
  var embeddingParameters: Int { embedding.reduce(0) { $0 + $1.parameters } }

  /// Parameters of the output projection on one GPU, where it is not the embedding itself.
  var projectionParameters: Int { head.reduce(0) { $0 + ($1.name == projectionName ? $1.parameters : 0) } }

  /// Bytes of a layer's input on one GPU.
  var residualBytes: Double {
    Double(plan.residualTokens) * Double(plan.model.hidden) * plan.plan.precision.residual.bytesPerElement
  }

  func memory(of stage: StageContents) -> StageMemory {
    let recompute = plan.plan.recompute
    let checkpoint = recompute == .full ? residualBytes : nil
    // The two vocabulary matrices are counted by rank, since its stages may share them.
    let edge = { (operators: [Operator]) in
      operators.map { operation in
        var bare = operation
        if [embeddingName, projectionName].contains(operation.name) { bare.parameters = 0 }
        return bare
      }
    }
    var memory = StageMemory()
    let modules = (0..<stage.multiTokenPrediction).map { plan.model.layers + $0 }
    let member = plan.expertLoads?.fullest(of: Array(stage.layers) + modules)
    // A layer is recomputed whole; embedding and head are not.
    let partial = recompute == .full ? Recompute.none : recompute
    if stage.embedding { memory.add(edge(embedding), recompute: partial, checkpoint: nil) }
    for index in stage.layers {
      memory.add(layer(index, member: member), recompute: recompute, checkpoint: checkpoint)
    }
    for module in 0..<stage.multiTokenPrediction {
      memory.add(edge(embedding) + multiTokenPrediction, recompute: partial, checkpoint: nil)
      memory.add(
        layer(plan.model.layers + module, member: member), recompute: recompute, checkpoint: checkpoint)
      memory.add(edge(head), recompute: partial, checkpoint: nil)
    }
    if stage.head { memory.add(edge(head), recompute: partial, checkpoint: nil) }
    return memory
  }
}

/// Names of the operators that hold the two vocabulary matrices.
private let embeddingName = "embed_tokens"
private let projectionName = "lm_head"
