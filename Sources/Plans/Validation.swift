import Clusters
import Documents
import Models
import Operators

/// Proves that a plan's choices go together: with each other, with the model, and with the cluster.
///
/// - Parameter file: The plan's file, for errors.
/// - Throws: A ``Documents/Diagnostic`` for the first rule that is broken, with the path of the choice to
///   change.
public func validate(_ plan: Plan, model: Model, cluster: Cluster, file: String? = nil) throws -> ValidPlan {
  let rules = PlanRules(plan: plan, model: model, cluster: cluster, file: file)
  try rules.checkRanges()
  try rules.checkDivision()
  try rules.checkMixture()
  try rules.checkRouting()
  let data = try rules.dataParallel()
  let expertData = try rules.expertDataParallel(data: data)
  try rules.checkSequence()
  try rules.checkFormats()
  let microBatches = try rules.microBatches(data: data)
  try rules.checkSchedule(microBatches: microBatches)
  try rules.checkSize(microBatches: microBatches)
  let layout = try rules.layout()
  let grid = RankGrid(
    tensor: plan.tensor, context: plan.context, data: data, pipeline: plan.pipeline,
    expertTensor: plan.expertTensor, expert: plan.expert, expertData: expertData)
  return ValidPlan(
    plan: plan, model: model, cluster: cluster, grid: grid, layout: layout, microBatches: microBatches,
    notes: rules.notes(layout: layout, grid: grid) + rules.expertNotes(grid: grid))
}

/// The rules, grouped by what they speak of; each throws at the first that is broken.
struct PlanRules {
  let plan: Plan
  let model: Model
  let cluster: Cluster
  let file: String?

  func refuse(_ problem: String, at path: String, found: String, allowed: String, hint: String? = nil)
    -> Diagnostic
  {
    Diagnostic(.data, problem, file: file, path: path, found: found, allowed: allowed, hint: hint)
  }

  // MARK: Ranges

  /// Every number within limits that keep later products within 64 bits.
  func checkRanges() throws {
    let degrees = [
      ("parallel.tensor", plan.tensor), ("parallel.context", plan.context),
      ("parallel.pipeline", plan.pipeline),
      ("parallel.virtual_stages", plan.virtualStages), ("parallel.expert", plan.expert),
      ("parallel.expert_tensor", plan.expertTensor), ("parallel.data", plan.data ?? 1),
      ("batch.micro", plan.microBatch), ("batch.global", plan.globalBatch), ("batch.sequence", plan.sequence),
    ]
    for (path, value) in degrees where !(1...degreeLimit).contains(value) {
      throw refuse("the number is out of range", at: path, found: "\(value)", allowed: "1 to \(degreeLimit)")
    }
    guard (0...3).contains(plan.zeroStage) else {
      throw refuse(
        "there is no such ZeRO stage", at: "parallel.zero", found: "\(plan.zeroStage)", allowed: "0 to 3")
    }
    let multiprocessors = cluster.gpu.streamingMultiprocessors.value
    guard (0..<max(1, multiprocessors)).contains(plan.communicationSMs) else {
      throw refuse(
        "communication leaves nothing to compute with", at: "communication_sms",
        found: "\(plan.communicationSMs)",
        allowed: "0 to \(multiprocessors - 1)", hint: "\(cluster.gpu.name) has \(multiprocessors) SMs")
    }
  }

  // MARK: Ranks

  /// The data-parallel degree that the GPUs leave.
  func dataParallel() throws -> Int {
    let gpus = cluster.gpus
    guard gpus <= degreeLimit else {
      throw refuse(
        "the cluster is too large", at: "parallel", found: "\(gpus) GPUs", allowed: "at most \(degreeLimit)")
    }
    let (partial, overflowed) = plan.tensor.multipliedReportingOverflow(by: plan.context)
    let (model, overflowedAgain) = partial.multipliedReportingOverflow(by: plan.pipeline)
    let product = "tensor \(plan.tensor) x context \(plan.context) x pipeline \(plan.pipeline)"
    guard !overflowed, !overflowedAgain, model <= gpus else {
      throw refuse(
        "the plan needs more GPUs than the cluster has", at: "parallel", found: product,
        allowed: "\(gpus) GPUs",
        hint: "lower a degree, or choose a larger cluster")
    }
    guard gpus % model == 0 else {
      throw refuse(
        "the ranks do not multiply up", at: "parallel", found: "\(product) = \(model)",
        allowed: "a divisor of the cluster's \(gpus) GPUs")
    }
    guard plan.data == nil || plan.data == gpus / model else {
      throw refuse(
        "the ranks do not multiply up", at: "parallel.data", found: "\(plan.data ?? 0)",
        allowed: "\(gpus / model): \(gpus) GPUs / (\(product))",
        hint: "leave data out to have it derived, or choose another number of GPUs")
    }
    return gpus / model
  }

  /// Parallel folding: the experts factor the same ranks of a stage in their own way.
  func expertDataParallel(data: Int) throws -> Int {
    let ranks = plan.tensor * plan.context * data
    let (experts, overflowed) = plan.expertTensor.multipliedReportingOverflow(by: plan.expert)
    guard !overflowed, experts <= ranks, ranks % experts == 0 else {
      throw refuse(
        "the experts' ranks do not multiply up", at: "parallel.expert",
        found: "expert \(plan.expert) x expert_tensor \(plan.expertTensor)",
        allowed: "a divisor of the \(ranks) ranks of a pipeline stage",
        hint: "expert_tensor x expert x expert data = tensor x context x data")
    }
    return ranks / experts
  }

  // MARK: Division of the model

  /// Tensor parallelism cuts heads and widths into equal parts.
  func checkDivision() throws {
    let attention = model.attention
    var cuts = [("attention heads", attention.queryHeads), ("hidden width", model.hidden)]
    if (0..<model.layers).contains(where: { !model.isMixtureLayer($0) }) {
      cuts.append(("dense intermediate width", model.feedForward.intermediate))
    }
    if let mixture = model.mixture, mixture.sharedIntermediate > 0 {
      cuts.append(("shared experts' width", mixture.sharedIntermediate))
    }
    for (name, size) in cuts where size % plan.tensor != 0 {
      throw refuse(
        "tensor parallelism does not divide the model", at: "parallel.tensor", found: "\(plan.tensor)",
        allowed: "a divisor of the \(size) \(name) of \(model.name)")
    }
    guard attention.keyValueHeads % plan.tensor == 0 else {
      throw refuse(
        "tensor parallelism does not divide the key/value heads", at: "parallel.tensor",
        found: "\(plan.tensor)",
        allowed: "a divisor of the \(attention.keyValueHeads) key/value heads of \(model.name)",
        hint: "replicated key/value heads are not simulated; Megatron refuses them too")
    }
  }

  func checkMixture() throws {
    guard let mixture = model.mixture else {
      for (path, degree) in [("parallel.expert", plan.expert), ("parallel.expert_tensor", plan.expertTensor)]
      where degree != 1 {
        throw refuse(
          "the model has no experts", at: path, found: "\(degree)", allowed: "1",
          hint: "\(model.name) is dense")
      }
      return
    }
    guard mixture.routedExperts % plan.expert == 0 else {
      throw refuse(
        "expert parallelism does not divide the experts", at: "parallel.expert", found: "\(plan.expert)",
        allowed: "a divisor of the \(mixture.routedExperts) routed experts of \(model.name)")
    }
    guard mixture.expertIntermediate % plan.expertTensor == 0 else {
      throw refuse(
        "expert tensor parallelism does not divide an expert", at: "parallel.expert_tensor",
        found: "\(plan.expertTensor)", allowed: "a divisor of an expert's width \(mixture.expertIntermediate)"
      )
    }
    let perNode = cluster.gpusPerNode.value
    guard
      plan.allToAll == .direct
        || plan.expertTensor <= perNode && perNode % plan.expertTensor == 0
          && (plan.expert * plan.expertTensor % perNode == 0
            || perNode % (plan.expert * plan.expertTensor) == 0)
    else {
      throw refuse(
        "exchanges in two hops need nodes with as many of an expert group's ranks each", at: "all_to_all",
        found: "expert \(plan.expert) x expert_tensor \(plan.expertTensor) on \(perNode) GPUs a node",
        allowed: "a multiple or a divisor of \(perNode)", hint: "all_to_all: direct")
    }
  }

  // MARK: Batch

  func checkSequence() throws {
    guard model.mixture == nil || plan.tensor == 1 || plan.sequenceParallel else {
      throw refuse(
        "a mixture with tensor parallelism needs sequence parallelism", at: "parallel.sequence_parallel",
        found: "false with tensor \(plan.tensor)", allowed: "true",
        hint: "without it each tensor rank would send the same tokens to the experts; Megatron refuses it too"
      )
    }
    let pieces = plan.context == 1 ? 1 : 2 * plan.context
    guard plan.sequence % pieces == 0 else {
      throw refuse(
        "context parallelism does not divide the sequence", at: "batch.sequence", found: "\(plan.sequence)",
        allowed: "a multiple of \(pieces)",
        hint: "each rank takes one early and one late piece, so that causal work is balanced")
    }
    guard !plan.sequenceParallel || plan.sequence / plan.context % plan.tensor == 0 else {
      throw refuse(
        "sequence parallelism does not divide the sequence", at: "batch.sequence", found: "\(plan.sequence)",
        allowed: "a multiple of context x tensor = \(plan.context * plan.tensor)")
    }
    guard !model.family.learnsPositions || plan.sequence <= model.maximumSequence else {
      throw refuse(
        "the sequence is longer than the model's learned positions", at: "batch.sequence",
        found: "\(plan.sequence)",
        allowed: "at most \(model.maximumSequence)")
    }
  }

  func microBatches(data: Int) throws -> Int {
    let (step, overflowed) = data.multipliedReportingOverflow(by: plan.microBatch)
    guard !overflowed, plan.globalBatch >= step, plan.globalBatch % step == 0 else {
      throw refuse(
        "the global batch does not divide into micro-batches", at: "batch.global",
        found: "\(plan.globalBatch)",
        allowed: "a multiple of data x micro = \(data) x \(plan.microBatch)")
    }
    return plan.globalBatch / step
  }

  // MARK: Formats

  func checkFormats() throws {
    let classes = [
      ("linear", plan.precision.operators.linear), ("attention", plan.precision.operators.attention),
      ("head", plan.precision.operators.head), ("router", plan.precision.operators.router),
    ]
    for (name, format) in classes where cluster.gpu.peak(format) == nil {
      throw refuse(
        "the GPU cannot compute in this format", at: "precision.\(name)", found: format.rawValue,
        allowed: cluster.gpu.peaks.map(\.format.rawValue).joined(separator: ", "),
        hint: "\(cluster.gpu.name) states no peak for it")
    }
    for (name, format) in [
      ("gradients", plan.precision.gradients), ("master", plan.precision.master),
      ("residual", plan.precision.residual),
    ]
    where format == .float8 {
      throw refuse(
        "the format is too coarse to accumulate in", at: "precision.\(name)", found: format.rawValue,
        allowed: "fp32, bf16, fp16")
    }
  }

  // MARK: Schedule

  func checkSchedule(microBatches: Int) throws {
    let name = plan.schedule.rawValue
    func refusePipeline(_ allowed: String, _ hint: String) -> Diagnostic {
      refuse(
        "the schedule needs other pipeline ranks", at: "parallel.pipeline",
        found: "\(plan.pipeline) with \(name)",
        allowed: allowed, hint: hint)
    }
    func refuseMicroBatches(_ allowed: String) -> Diagnostic {
      refuse(
        "the schedule needs another number of micro-batches", at: "batch.global",
        found: "\(microBatches) micro-batches in a pipeline with \(name)", allowed: allowed,
        hint: "a pipeline's micro-batches are global / (data x micro)")
    }
    guard plan.virtualStages == 1 || plan.schedule == .interleaved else {
      throw refuse(
        "the schedule has no virtual stages", at: "parallel.virtual_stages",
        found: "\(plan.virtualStages) with \(name)",
        allowed: "1", hint: "interleaved-1f1b has them")
    }
    switch plan.schedule {
    case .gpipe, .oneForwardOneBackward, .zeroBubble: break
    case .interleaved:
      guard plan.virtualStages > 1 else {
        throw refuse(
          "an interleaved schedule needs virtual stages", at: "parallel.virtual_stages", found: "1",
          allowed: "2 or more", hint: "with one, use 1f1b")
      }
      guard plan.pipeline > 1 else {
        throw refusePipeline("2 or more", "one rank has nobody to interleave with")
      }
      guard microBatches % plan.pipeline == 0 else {
        throw refuseMicroBatches("a multiple of the \(plan.pipeline) pipeline ranks")
      }
    case .dualPipe:
      guard plan.pipeline % 2 == 0 else {
        throw refusePipeline("an even number", "the two directions meet between the middle ranks")
      }
      guard microBatches % 2 == 0, microBatches >= 2 * plan.pipeline else {
        throw refuseMicroBatches("an even number, at least \(2 * plan.pipeline)")
      }
    case .dualPipeV:
      guard plan.pipeline > 1 else { throw refusePipeline("2 or more", "one rank has no pipeline to fold") }
      guard microBatches >= 2 * plan.pipeline else {
        throw refuseMicroBatches("at least \(2 * plan.pipeline)")
      }
    }
  }

  /// A slip in a batch or a layer count would otherwise be simulated for hours.
  func checkSize(microBatches: Int) throws {
    let layers = max(model.layers + model.multiTokenPredictionDepth, plan.stages)
    guard microBatches <= layerPassLimit / layers else {
      throw refuse(
        "the step is too large to be simulated", at: "batch.global",
        found: "\(microBatches) micro-batches x \(layers) layers or stages in a pipeline",
        allowed: "at most \(layerPassLimit) together",
        hint: "larger micro-batches, a smaller global batch, or more data-parallel ranks")
    }
  }

  func layout() throws -> StageLayout {
    let stages = plan.stages
    if let layout = plan.layout {
      try layout.check(
        layers: model.layers, stages: stages, multiTokenPrediction: model.multiTokenPredictionDepth,
        file: file)
      return layout
    }
    let path = plan.schedule == .interleaved ? "parallel.virtual_stages" : "parallel.pipeline"
    guard stages <= model.layers else {
      throw refuse(
        "there are more stages than layers", at: path, found: "\(stages) stages",
        allowed: "at most \(model.layers)",
        hint: "\(model.name) has \(model.layers) layers; a layout may have stages without layers")
    }
    guard plan.schedule != .interleaved || model.layers % stages == 0 else {
      throw refuse(
        "the virtual stages do not divide the layers", at: path,
        found: "pipeline \(plan.pipeline) x virtual_stages \(plan.virtualStages) = \(stages)",
        allowed: "a divisor of \(model.layers) layers", hint: "or state which layers are where with layout")
    }
    return .uniform(
      layers: model.layers, stages: stages, multiTokenPrediction: model.multiTokenPredictionDepth)
  }

  // MARK: Notes

  /// What is allowed, but costs something that a reader may not expect.
  func notes(layout: StageLayout, grid: RankGrid) -> [String] {
    var notes: [String] = []
    let perNode = cluster.gpusPerNode.value
    if plan.layout == nil, model.layers % layout.stages.count != 0 {
      notes.append(
        "\(model.layers) layers do not divide into \(layout.stages.count) stages: \(layout.text) is taken"
      )
    }
    if plan.tensor > perNode {
      notes.append("tensor parallelism of \(plan.tensor) leaves the node of \(perNode) GPUs")
    }
    if plan.sequenceParallel, plan.tensor == 1 {
      notes.append("sequence parallelism does nothing without tensor parallelism")
    }
    if plan.zeroStage >= 2, plan.pipeline > 1 {
      let cost =
        plan.zeroStage == 2 ? "gradients are reduced" : "gradients are reduced and parameters gathered"
      notes.append("ZeRO stage \(plan.zeroStage) with a pipeline: \(cost) for every micro-batch")
    }
    if model.vocabulary % plan.tensor != 0 {
      notes.append(
        "\(plan.tensor) does not divide the vocabulary of \(model.vocabulary): its rows are padded")
    }
    if plan.sequence > model.maximumSequence {
      notes.append(
        "the sequence exceeds the \(model.maximumSequence) positions that \(model.name) was made for")
    }
    if let mixture = model.mixture, plan.expert > 1, mixture.limitedGroups < mixture.groups {
      let nodes = grid.span(of: grid.group(.expert, containing: 0), gpusPerNode: perNode).nodes
      if nodes > 1, mixture.groups % nodes != 0 && nodes % mixture.groups != 0 {
        notes.append(
          "the \(mixture.groups) expert groups do not divide among \(nodes) nodes: the limit of "
            + "\(mixture.limitedGroups) groups a token does not limit its nodes")
      }
    }
    return notes
  }
}
