import Clusters
import Documents
import Estimation
import Execution
import Models
import Operators
import Plans
import Programs
import Schedules
import Units

/// A request with its files read and its plan proved, ready for so many ranks.
public struct ExecutionInputs: Sendable {
  public let request: ExecutionRequest
  public let model: Model
  public let plan: ValidPlan
  public let order: PipelineOrder
  public let program: VerifiedProgram

  /// - Parameter ranks: Of the world that is to execute it.
  /// - Throws: A `Diagnostic`; where the plan needs another number of ranks, it says which.
  public init(_ request: ExecutionRequest, ranks: Int) throws {
    self.request = request
    let named = try request.plan.map(resolvePlan)
    let model = try resolveModel(request.model ?? named?.plan.model ?? ExecutionRequest.defaultModel).model
    self.model = model
    let base = named?.plan ?? executionPlan(for: model, ranks: ranks)
    var chosen = base.applying(request.overrides)
    // The kernels of processors multiply an expert's gate and up matrices one after the other.
    chosen.operators.fusedExpertGate = false
    try Self.require(ranks: ranks, for: chosen)
    plan = try validate(
      chosen, model: model, cluster: .ranks(ranks, perNode: request.ranksPerNode ?? ranks), file: request.plan
    )
    order = try .published(
      chosen.schedule.rawValue, ranks: chosen.pipeline, microBatches: plan.microBatches,
      virtualStages: chosen.virtualStages == 1 ? nil : chosen.virtualStages)
    program = try VerifiedProgram(lower(plan, order: order, seed: request.seed, tellsRanksApart: true))
  }

  /// The plan's degrees say how many ranks it needs at least, or exactly.
  private static func require(ranks: Int, for plan: Plan) throws {
    let stage = plan.tensor * plan.context * plan.pipeline
    let least = stage * max(plan.data ?? 1, (plan.expert * plan.expertTensor + plan.tensor - 1) / plan.tensor)
    let isRight = plan.data == nil ? ranks >= least && ranks % stage == 0 : ranks == least
    guard isRight else {
      throw Diagnostic(
        .usage, "the plan needs another number of ranks", found: "\(ranks) rank\(ranks == 1 ? "" : "s")",
        allowed: "\(least)" + (plan.data == nil ? ", or a multiple" : ""),
        hint: "mpirun -n \(least) rehearse execute ...")
    }
  }
}

/// A plan for ranks that are processes on one machine: everything in fp32, and as many kinds of parallelism as
/// the ranks allow.
///
/// Two directions (DualPipe) over 2 pipeline ranks, over 4 from 8 ranks on; what is left are expert-parallel ranks.
/// One rank runs 1F1B, and so does a number of ranks that does not divide like this.
public func executionPlan(for model: Model, ranks: Int) -> Plan {
  let sequence = min(128, model.maximumSequence)
  var plan = Plan(
    name: "execution default", source: "this program's default for execution", globalBatch: 1,
    sequence: sequence)
  plan.model = model.name
  let pipeline =
    ranks % 4 == 0 && ranks >= 8 && model.layers >= 4 ? 4 : ranks % 2 == 0 && model.layers >= 2 ? 2 : 1
  plan.pipeline = pipeline
  plan.schedule = pipeline > 1 ? .dualPipe : .oneForwardOneBackward
  let data = ranks / pipeline
  if let mixture = model.mixture {
    plan.expert = (1...data).last { data % $0 == 0 && mixture.routedExperts % $0 == 0 } ?? 1
  }
  plan.microBatch = 2
  plan.globalBatch = plan.microBatch * data * max(8, 2 * pipeline)
  plan.precision.operators = Precision(
    linear: .float32, attention: .float32, head: .float32, router: .float32)
  plan.precision.residual = .float32
  plan.precision.dispatch = .float32
  plan.precision.combine = .float32
  plan.precision.parameters = .float32
  plan.assumed = ["every choice: no plan was given for \(model.name) on \(ranks) ranks"]
  return plan
}

extension Cluster {
  /// A stand-in with so many ranks, for the plan's rules: execution takes no times from it.
  static func ranks(_ count: Int, perNode: Int) throws -> Cluster {
    guard perNode > 0, count % perNode == 0 else {
      throw Diagnostic(
        .usage, "the ranks do not fill their nodes", path: "--ranks-per-node", found: "\(perNode)",
        allowed: "a divisor of the \(count) ranks")
    }
    var cluster = try resolveCluster("small").cluster
    cluster.name = "this machine"
    cluster.gpusPerNode = Sourced(perNode, tag: .assumed, source: "the ranks of this run")
    cluster.nodes = Sourced(count / perNode, tag: .assumed, source: "the ranks of this run")
    return cluster
  }
}
