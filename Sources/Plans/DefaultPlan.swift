import Clusters
import Documents
import Foundation
import Models
import Operators

/// A plan for a model and a cluster that nobody wrote a plan for.
///
/// The rule: the fewest GPUs for one copy of the model (tensor × pipeline) that fit in memory, recomputing
/// nothing or only what is cheap (norms, activation functions, latent attention's up-projections), and whole
/// layers where nothing else fits; among equals a dense model takes tensor parallelism within the node first,
/// a mixture pipeline ranks first. Experts stay within a node where that fits, else they are spread over as
/// many ranks as divide them, eight nodes at most.
/// 1F1B, ZeRO stage 1, bfloat16, micro-batches of one sequence; sequences of 4,096 tokens or what the model
/// allows; the step has at least 4 Mi tokens, and four micro-batches for each pipeline rank. Where nothing
/// fits, the plan that is nearest to fitting.
///
/// - Parameter overrides: Choices that are already made; the rule makes the others around them.
/// - Throws: The ``Documents/Diagnostic`` of the first candidate, where none is valid.
/// - Complexity: O(candidates × layers); some tens of candidates.
public func defaultPlan(
  for model: Model, cluster: Cluster, overrides: PlanOverrides = PlanOverrides(), reserve: MemoryReserve
) throws -> ResolvedPlan {
  let rule = DefaultRule(
    model: model, cluster: cluster, sequence: overrides.sequence ?? min(4096, model.maximumSequence),
    overrides: overrides)
  var refusal: (any Error)?
  var nearest: (plan: Plan, excess: Int64)?
  for plan in rule.plans() {
    do {
      let report = memory(of: try validate(plan, model: model, cluster: cluster), reserve: reserve)
      let excess = report.peak.count - report.capacity.value.count
      if nearest.map({ excess < $0.excess }) ?? true { nearest = (plan, excess) }
      if excess <= 0 { break }
    } catch {
      refusal = refusal ?? error
    }
  }
  guard let plan = nearest?.plan else {
    throw refusal
      ?? Diagnostic(.data, "no default plan", hint: "write a plan for \(model.name) on \(cluster.name)")
  }
  return ResolvedPlan(plan: plan, hash: sha256(Data(plan.json.utf8)), origin: "default rule")
}

/// The shipped plan that was written for a model, where it goes together with the cluster; else
/// ``defaultPlan(for:cluster:overrides:reserve:)``.
///
/// A shipped plan counts as written for the model of its `model` key, whatever cluster it names: fewer GPUs
/// give it fewer data-parallel ranks.
public func proposedPlan(for model: Model, cluster: Cluster, reserve: MemoryReserve) throws -> ResolvedPlan {
  for name in shippedPlanNames {
    let shipped = try shippedPlan(named: name)
    if shipped.plan.model == model.name, (try? validate(shipped.plan, model: model, cluster: cluster)) != nil
    {
      return shipped
    }
  }
  return try defaultPlan(for: model, cluster: cluster, reserve: reserve)
}

private struct DefaultRule {
  struct Degrees {
    var tensor: Int
    var pipeline: Int
  }

  let model: Model
  let cluster: Cluster
  let sequence: Int
  let overrides: PlanOverrides

  private var context: Int { overrides.context ?? 1 }

  /// Tokens that a step should have at least.
  private let tokensPerStep = 4 << 20
  /// Nodes that an expert group may span, the preferred first; a dense model has no such choice.
  private var expertNodes: [Int] { model.mixture == nil ? [1] : [1, 8] }

  /// Every plan the rule considers, the preferred first.
  func plans() -> [Plan] {
    let degrees = candidates()
    let cheap = Recompute.units(["norm", "mla_up", "swiglu", "gelu"])
    func plans(_ degrees: Degrees, _ recomputes: [Recompute]) -> [Plan] {
      expertNodes.flatMap { nodes in recomputes.map { plan(degrees, recompute: $0, expertNodes: nodes) } }
    }
    if let recompute = overrides.recompute { return degrees.flatMap { plans($0, [recompute]) } }
    return degrees.flatMap { plans($0, [.none, cheap]) } + degrees.flatMap { plans($0, [.full]) }
  }

  /// Tensor and pipeline degrees that divide GPUs and layers, by their product.
  func candidates() -> [Degrees] {
    let gpus = cluster.gpus
    let tensors = (1...max(1, cluster.gpusPerNode.value)).filter {
      gpus % $0 == 0 && model.attention.keyValueHeads % $0 == 0 && model.attention.queryHeads % $0 == 0
    }
    let pipelines = (1...max(1, model.layers)).filter {
      gpus % $0 == 0 && (model.layers % $0 == 0 || $0.nonzeroBitCount == 1)
    }
    let all = (overrides.tensor.map { [$0] } ?? tensors).flatMap { tensor in
      (overrides.pipeline.map { [$0] } ?? pipelines).map { Degrees(tensor: tensor, pipeline: $0) }
    }.filter { gpus.isMultiple(of: $0.tensor * $0.pipeline * context) }
    // Where nothing divides the GPUs, one candidate says so when it is refused.
    guard !all.isEmpty else {
      return [Degrees(tensor: overrides.tensor ?? 1, pipeline: overrides.pipeline ?? 1)]
    }
    return all.sorted { a, b in
      let (sizeA, sizeB) = (a.tensor * a.pipeline, b.tensor * b.pipeline)
      if sizeA != sizeB { return sizeA < sizeB }
      return model.mixture == nil ? a.tensor > b.tensor : a.tensor < b.tensor
    }
  }

  func plan(_ degrees: Degrees, recompute: Recompute, expertNodes: Int) -> Plan {
    let data = max(1, cluster.gpus / (degrees.tensor * degrees.pipeline * context))
    // A schedule that was asked for may need as many micro-batches as ranks, or a multiple.
    let step = data * (overrides.microBatch ?? 1) * (overrides.schedule == nil ? 1 : degrees.pipeline)
    let needed = max((tokensPerStep + sequence - 1) / max(1, sequence), 4 * degrees.pipeline * data)
    let microBatches = layerPassLimit / (model.layers + model.multiTokenPredictionDepth)
    let most = min(degreeLimit, microBatches * data * (overrides.microBatch ?? 1))
    var plan = Plan(
      name: "default",
      source: "this program's default rule: the smallest tensor x pipeline that fits in memory",
      globalBatch: max(1, min((needed + step - 1) / step, most / step)) * step, sequence: sequence)
    plan.assumed = ["every choice: no plan was given for \(model.name) on \(cluster.name)"]
    plan.model = model.name
    plan.cluster = cluster.name
    plan.tensor = degrees.tensor
    plan.sequenceParallel = degrees.tensor > 1 && sequence / context % degrees.tensor == 0
    plan.pipeline = degrees.pipeline
    plan.recompute = recompute
    if let mixture = model.mixture {
      let ranks = degrees.tensor * context * data / (overrides.expertTensor ?? 1)
      let most = min(mixture.routedExperts, ranks, expertNodes * cluster.gpusPerNode.value)
      plan.expert = (1...max(1, most)).last { mixture.routedExperts % $0 == 0 && ranks % $0 == 0 } ?? 1
      plan.communicationSMs = plan.expert > 1 ? 20 : 0
    }
    return plan.applying(overrides)
  }
}
