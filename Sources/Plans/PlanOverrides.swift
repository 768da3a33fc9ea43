import Models
import Operators

/// Changes to a plan, as the command line's flags give them; nil leaves the plan's own choice.
public struct PlanOverrides: Hashable, Sendable {
  public var tensor: Int?
  public var sequenceParallel: Bool?
  public var context: Int?
  public var pipeline: Int?
  public var virtualStages: Int?
  public var expert: Int?
  public var expertTensor: Int?
  public var data: Int?
  public var zeroStage: Int?
  public var routing: ExpertRouting?
  public var expertPlacement: ExpertPlacementName?
  public var redundantExperts: Int?
  public var microBatch: Int?
  public var globalBatch: Int?
  public var sequence: Int?
  public var schedule: ScheduleName?
  public var layout: StageLayout?
  public var recompute: Recompute?
  public var linear: Format?
  public var attention: Format?
  public var head: Format?
  public var router: Format?
  public var residual: Format?
  public var dispatch: Format?
  public var combine: Format?
  public var parameters: Format?
  public var gradients: Format?
  public var gradientReduction: Format?
  public var optimizerMoments: Format?
  public var master: Format?
  public var communicationSMs: Int?
  public var overlapGradientReduction: Bool?
  public var overlapParameterGather: Bool?
  public var overlapTensorCollectives: TensorOverlap?
  public var overlapPipelineTransfers: Bool?
  public var allToAll: AllToAllForm?
  public var fusedAttention: Bool?
  public var dropout: Bool?
  public var fusedCrossEntropy: Bool?

  public init() {}

  public var isEmpty: Bool { self == PlanOverrides() }
}

extension Plan {
  /// This plan with changes.
  ///
  /// What no longer follows is given up rather than kept wrong: the data-parallel degree is derived again
  /// when another degree changes, the layout is uniform again when the number of stages changes (a schedule
  /// of as many stages keeps it), and virtual stages fall back to one with a schedule that has none. A stated
  /// override is never given up.
  public func applying(_ overrides: PlanOverrides) -> Plan {
    var plan = self
    func change<Value>(_ path: WritableKeyPath<Plan, Value>, _ value: Value?) {
      if let value { plan[keyPath: path] = value }
    }
    change(\.tensor, overrides.tensor)
    change(\.sequenceParallel, overrides.sequenceParallel)
    change(\.context, overrides.context)
    change(\.pipeline, overrides.pipeline)
    change(\.virtualStages, overrides.virtualStages)
    change(\.expert, overrides.expert)
    change(\.expertTensor, overrides.expertTensor)
    change(\.zeroStage, overrides.zeroStage)
    change(\.routing, overrides.routing)
    change(\.expertPlacement, overrides.expertPlacement)
    change(\.redundantExperts, overrides.redundantExperts)
    change(\.microBatch, overrides.microBatch)
    change(\.globalBatch, overrides.globalBatch)
    change(\.sequence, overrides.sequence)
    change(\.schedule, overrides.schedule)
    change(\.recompute, overrides.recompute)
    change(\.communicationSMs, overrides.communicationSMs)
    change(\.precision.operators.linear, overrides.linear)
    change(\.precision.operators.attention, overrides.attention)
    change(\.precision.operators.head, overrides.head)
    change(\.precision.operators.router, overrides.router)
    change(\.precision.residual, overrides.residual)
    change(\.precision.dispatch, overrides.dispatch)
    change(\.precision.combine, overrides.combine)
    change(\.precision.parameters, overrides.parameters)
    change(\.precision.gradients, overrides.gradients)
    change(\.precision.gradientReduction, overrides.gradientReduction)
    change(\.precision.optimizerMoments, overrides.optimizerMoments)
    change(\.precision.master, overrides.master)
    change(\.overlap.gradientReduction, overrides.overlapGradientReduction)
    change(\.overlap.parameterGather, overrides.overlapParameterGather)
    change(\.overlap.tensorCollectives, overrides.overlapTensorCollectives)
    change(\.overlap.pipelineTransfers, overrides.overlapPipelineTransfers)
    change(\.allToAll, overrides.allToAll)
    change(\.operators.fusedAttention, overrides.fusedAttention)
    change(\.operators.dropout, overrides.dropout)
    change(\.operators.fusedCrossEntropy, overrides.fusedCrossEntropy)

    if plan.schedule != .interleaved, overrides.virtualStages == nil { plan.virtualStages = 1 }
    let degreesChanged = (plan.tensor, plan.context, plan.pipeline) != (tensor, context, pipeline)
    plan.data = overrides.data ?? (degreesChanged ? nil : data)
    plan.layout = overrides.layout ?? (plan.stages == stages ? layout : nil)
    return plan
  }
}
