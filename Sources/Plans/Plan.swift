import Models
import Operators

/// How a model is trained on a cluster: every choice, before anyone has checked that the choices go together.
///
/// Numbers of a plan are choices, not measurements, so ``source`` stands for the plan as a whole and
/// ``assumed`` lists what the source does not state. ``validate(_:model:cluster:file:)`` turns a plan into a
/// ``ValidPlan``.
public struct Plan: Hashable, Sendable {
  public var name: String
  public var description: String?
  /// The publication that the choices come from, or who made them.
  public var source: String
  /// Choices that the source does not state, one sentence each.
  public var assumed: [String] = []
  /// The model and the cluster the plan was written for, by name; a command may pair it with others.
  public var model: String?
  public var cluster: String?

  // MARK: Parallel degrees

  /// Tensor-parallel degree of attention, dense layers, embedding and head.
  public var tensor = 1
  /// Norms and residuals cut along the sequence by ``tensor``. Source: arXiv 2205.05198.
  public var sequenceParallel = false
  /// Context-parallel degree: each GPU holds a share of every sequence.
  public var context = 1
  /// Pipeline ranks.
  public var pipeline = 1
  /// Stages on each pipeline rank of an interleaved schedule (Megatron's virtual pipeline).
  public var virtualStages = 1
  /// Expert-parallel degree.
  public var expert = 1
  /// Tensor-parallel degree within an expert.
  public var expertTensor = 1
  /// Data-parallel degree; nil: what the GPUs leave.
  public var data: Int?
  /// What data-parallel ranks share out: 0 nothing, 1 optimizer states, 2 gradients too, 3 parameters too.
  /// Source: ZeRO, arXiv 1910.02054; Megatron's distributed optimizer is stage 1.
  public var zeroStage = 1

  // MARK: Experts

  /// Which experts tokens choose.
  public var routing = ExpertRouting.balanced
  /// Which experts each expert-parallel rank holds.
  public var expertPlacement = ExpertPlacementName.contiguous
  /// Copies of busy experts that the ranks of an expert group hold together, besides each expert once.
  public var redundantExperts = 0

  // MARK: Batch

  /// Sequences of one micro-batch.
  public var microBatch = 1
  /// Sequences of one step, over all pipelines.
  public var globalBatch: Int
  /// Tokens of one sequence.
  public var sequence: Int

  // MARK: Execution

  public var schedule = ScheduleName.oneForwardOneBackward
  /// Which layers are on which stage; nil: divided evenly.
  public var layout: StageLayout?
  public var recompute = Recompute.none
  public var precision = PlanPrecision()
  public var optimizer = OptimizerName.adamW
  /// Streaming multiprocessors that communication kernels keep from computation.
  public var communicationSMs = 0
  public var overlap = Overlap()
  public var allToAll = AllToAllForm.direct
  public var operators = OperatorOptions()

  public init(name: String, source: String, globalBatch: Int, sequence: Int) {
    self.name = name
    self.source = source
    self.globalBatch = globalBatch
    self.sequence = sequence
  }
}

/// The formats of what is computed, sent and stored.
public struct PlanPrecision: Hashable, Sendable {
  /// Matrix products by operator class.
  public var operators = Precision(
    linear: .bfloat16, attention: .bfloat16, head: .bfloat16, router: .bfloat16)
  /// The residual stream, messages between stages, and whatever else passes between kernels.
  public var residual: Format {
    get { operators.residual }
    set { operators.residual = newValue }
  }
  /// Tokens on their way to experts.
  public var dispatch = Format.bfloat16
  /// Experts' outputs on their way back.
  public var combine = Format.bfloat16
  /// The parameters that kernels read.
  public var parameters = Format.bfloat16
  /// Gradients as micro-batches accumulate them.
  public var gradients = Format.float32
  /// Gradients on the wire between data-parallel ranks.
  public var gradientReduction = Format.float32
  /// Each of the optimizer's moments.
  public var optimizerMoments = Format.float32
  /// The copy of the parameters that the optimizer updates; none where ``parameters`` is `fp32` itself.
  public var master = Format.float32

  public init() {}
}

/// The optimizers a plan may name.
public enum OptimizerName: String, CaseIterable, Codable, Sendable {
  /// Two moments a parameter. Source: arXiv 1711.05101.
  case adamW = "adamw"

  /// States of a parameter's size, besides the master copy.
  public var moments: Int { 2 }
}

/// The way that tokens take to the experts' ranks and back.
///
/// A program's bytes and an executed step follow it. Times on GPUs are those of kernels that take two hops where a
/// group spans nodes (DeepEP), whatever is chosen here.
public enum AllToAllForm: String, CaseIterable, Codable, Sendable {
  /// Straight to every rank, once a token.
  case direct
  /// Once to every node, to the rank of the sender's own place there, and on from it to the node's other ranks; back
  /// the same way, summed where copies land. Source: DeepSeek-V3, arXiv 2412.19437, section 3.2.2.
  case twoHop = "two_hop"
}

/// Tensor-parallel collectives that do not hold up computation.
public enum TensorOverlap: String, CaseIterable, Codable, Sendable {
  case none
  /// Those of the backward, beside the weight gradient. Source: arXiv 2205.05198, section 4.2.2.
  case backward
  /// All, cut into pieces that follow the matrix product before or after them (Transformer Engine's
  /// userbuffers).
  case all
}

/// Which communication runs beside computation instead of after it.
public struct Overlap: Hashable, Sendable {
  /// Gradients of a layer are reduced while earlier layers' backward runs.
  public var gradientReduction = true
  /// Parameters are gathered while the next step's forward runs.
  public var parameterGather = true
  /// Which tensor-parallel collectives run beside matrix products.
  public var tensorCollectives = TensorOverlap.none
  /// Pipeline sends and receives do not hold up the next chunk.
  public var pipelineTransfers = true

  public init(
    gradientReduction: Bool = true, parameterGather: Bool = true, tensorCollectives: TensorOverlap = .none,
    pipelineTransfers: Bool = true
  ) {
    self.gradientReduction = gradientReduction
    self.parameterGather = parameterGather
    self.tensorCollectives = tensorCollectives
    self.pipelineTransfers = pipelineTransfers
  }

  public static let none = Overlap(
    gradientReduction: false, parameterGather: false, tensorCollectives: .none, pipelineTransfers: false)
}

extension Plan {
  /// Model stages that the layers are divided into.
  public var stages: Int { schedule.stages(pipeline: pipeline, virtualStages: virtualStages) }

  /// Tokens of one step.
  public var tokensPerStep: Int { globalBatch.multipliedReportingOverflow(by: sequence).partialValue }
}
