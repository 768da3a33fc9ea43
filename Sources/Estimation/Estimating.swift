import Clusters
import Economics
import Models
import Operators
import Plans
import Programs
import Reports
import Timelines
import Units

/// Runs a request through the whole chain.
///
/// - Throws: Whatever ``diagnostic(for:)`` turns into a `Diagnostic`.
public func estimate(_ request: EstimateRequest) throws -> (estimate: Estimate, step: SimulatedStep) {
  let inputs = try EstimateInputs(request)
  let step = try SimulatedStep(inputs.plan, seed: inputs.seed)
  return (try Estimate(inputs, step), step)
}

extension Estimate {
  /// The report of a simulated step.
  public init(_ inputs: EstimateInputs, _ step: SimulatedStep) throws {
    let run = RunCost(
      step: step.timeline.makespan, tokensPerStep: inputs.plan.tokensPerStep, tokens: inputs.tokens.value,
      gpus: inputs.cluster.gpus, price: inputs.price)
    self.init(
      model: ModelSummary(inputs.model, sequence: inputs.plan.plan.sequence),
      cluster: ClusterSummary(
        name: inputs.cluster.name, gpus: inputs.cluster.gpus, nodes: inputs.cluster.nodes.value,
        gpu: inputs.cluster.gpu.name),
      plan: PlanSummary(inputs.plan),
      step: Step(step),
      experts: try inputs.experts(step),
      throughput: Throughput(step),
      memory: Memory(Plans.memory(of: inputs.plan, inFlight: step.inFlight(), reserve: inputs.reserve)),
      run: Run(
        tokens: Int(inputs.tokens.value.value), days: run.days.value, gpuHours: run.gpuHours,
        gpuHoursPerTrillionTokens: run.gpuHoursPerTrillionTokens),
      cost: run.rent.map { Cost(total: $0.dollars, price: $0.price) },
      comparisons: try inputs.comparisons(step, run: run),
      assumptions: inputs.assumptions,
      provenance: inputs.provenance,
      picture: step.picture())
  }
}

extension Estimate.ModelSummary {
  init(_ model: Model, sequence: Int) {
    let parameters = model.parameters
    self.init(
      name: model.name, source: model.source, parametersTotal: parameters.total,
      parametersActive: parameters.active,
      parametersWithMultiTokenPrediction: parameters.withMultiTokenPrediction,
      flopsPerTokenCausal: model.flopsPerToken(sequence: sequence, causal: true),
      flopsPerTokenFull: model.flopsPerToken(sequence: sequence, causal: false))
  }
}

extension Estimate.PlanSummary {
  init(_ valid: ValidPlan) {
    let plan = valid.plan
    let formats = plan.precision
    var precision =
      "\(formats.operators.linear.title) products, \(formats.operators.attention.title) attention"
    if valid.model.mixture != nil, plan.expert > 1 {
      precision += ", \(formats.dispatch.title) dispatch, \(formats.combine.title) combine"
    }
    self.init(
      name: plan.name, schedule: plan.schedule.rawValue, tensor: plan.tensor,
      sequenceParallel: plan.sequenceParallel, context: plan.context, pipeline: plan.pipeline,
      virtualStages: plan.virtualStages, expert: plan.expert, expertTensor: plan.expertTensor,
      data: valid.dataParallel, zeroStage: plan.zeroStage, microBatch: plan.microBatch,
      globalBatch: plan.globalBatch, microBatches: valid.microBatches, sequence: plan.sequence,
      recompute: plan.recompute.text.split(separator: ",").joined(separator: " + "), precision: precision,
      communicationSMs: plan.communicationSMs)
  }
}

extension Format {
  /// As written in running text: `BF16`.
  var title: String { rawValue.uppercased() }
}

extension Estimate.Parts {
  init(_ parts: StepParts) {
    self.init(
      forward: parts.forward, backwardInput: parts.backwardInput, backwardWeight: parts.backwardWeight,
      overlapped: parts.overlapped, bubble: parts.bubble, optimizer: parts.optimizer)
  }
}

extension Estimate.Step {
  init(_ step: SimulatedStep) {
    let timeline = step.timeline
    self.init(
      length: timeline.makespan, tokens: step.plan.tokensPerStep, parts: Estimate.Parts(timeline.meanParts()),
      ranks: (0..<step.order.ranks).map { Estimate.Parts(step.meanParts(ofPipelineRank: $0)) },
      exposedCommunication: timeline.communicationTimes().map {
        Estimate.Contribution(kind: $0.kind.title, time: $0.exposed)
      },
      criticalPath: step.criticalPathByKind())
  }
}

extension SimulatedStep {
  /// Where the time of a pipeline rank goes, mean over the GPUs that run it.
  func meanParts(ofPipelineRank rank: Int) -> StepParts {
    let roles = roles(ofPipelineRank: rank)
    guard roles.count > 1 else { return roles.first.map { timeline.parts(ofRole: $0.role) } ?? StepParts() }
    let all = Double(roles.reduce(0) { $0 + $1.ranks })
    var mean = StepParts()
    for (role, ranks) in roles {
      let parts = timeline.parts(ofRole: role)
      let weight = Double(ranks) / all
      mean.forward += parts.forward.scaled(by: weight)
      mean.backwardInput += parts.backwardInput.scaled(by: weight)
      mean.backwardWeight += parts.backwardWeight.scaled(by: weight)
      mean.overlapped += parts.overlapped.scaled(by: weight)
      mean.optimizer += parts.optimizer.scaled(by: weight)
    }
    mean.bubble = timeline.makespan - mean.total
    return mean
  }

  /// The critical path summed by kind of work, the longest first, ties by name; what is below a hundredth of
  /// it is taken together at the end.
  func criticalPathByKind() -> [Estimate.Contribution] {
    var sums: [String: Span] = [:]
    for entry in timeline.criticalPath() {
      let code = program.code(ofRole: entry.role)
      let communication = CommunicationKind(
        code, task: entry.task, communicators: program.program.communicators)
      let kind = communication?.title ?? program.program.works[Int(code.work[entry.task])].name
      sums[kind, default: .zero] += entry.time
    }
    let sorted = sums.map { Estimate.Contribution(kind: $0.key, time: $0.value) }.filter { $0.time > .zero }
      .sorted {
        ($1.time, $0.kind) < ($0.time, $1.kind)
      }
    let least = sorted.reduce(Span.zero) { $0 + $1.time }.scaled(by: 0.01)
    let rest = sorted.lazy.filter { $0.time < least }.reduce(Span.zero) { $0 + $1.time }
    return sorted.filter { $0.time >= least }
      + (rest > .zero ? [Estimate.Contribution(kind: "everything else", time: rest)] : [])
  }
}

extension CommunicationKind {
  /// As reports write it.
  var title: String {
    switch self {
    case .dispatch: "dispatch"
    case .combine: "combine"
    case .tensorParallel: "tensor-parallel collectives"
    case .contextParallel: "context-parallel collectives"
    case .pipeline: "pipeline transfer"
    case .gradients: "gradient reduction"
    case .parameters: "parameter gather"
    case .other: "other communication"
    }
  }
}

extension Estimate.Throughput {
  init(_ step: SimulatedStep) {
    let plan = step.plan
    let rate = Double(plan.tokensPerStep) / step.timeline.makespan.seconds
    let perGPU = rate / Double(plan.cluster.gpus)
    let causal = plan.model.flopsPerToken(sequence: plan.plan.sequence, causal: true) * perGPU
    let full = plan.model.flopsPerToken(sequence: plan.plan.sequence, causal: false) * perGPU
    let (format, peak) = plan.cluster.gpu.utilisationPeak
    self.init(
      tokensPerSecond: rate, tokensPerSecondPerGPU: perGPU, tokensPerDay: rate * 86_400,
      perGPUCausal: FLOPsPerSecond(causal.value), perGPUFull: FLOPsPerSecond(full.value),
      utilisationCausal: Ratio(causal.value / peak.value), utilisationFull: Ratio(full.value / peak.value),
      numerator:
        "model FLOPs: forward and backward, no recomputation, no multi-token prediction, no input embedding",
      denominator: "\(format.title) dense peak of the \(plan.cluster.gpu.name), \(peak.shown)")
  }
}

extension GPU {
  /// The peak that utilisation is measured against: BF16, whatever the plan computes in, else the first that
  /// is stated.
  var utilisationPeak: (format: Format, rate: FLOPsPerSecond) {
    for format in [Format.bfloat16, .float16, .float32] {
      if let peak = peak(format) { return (format, peak.value) }
    }
    return (peaks[0].format, peaks[0].rate.value)
  }
}

extension Estimate.Memory {
  init(_ report: MemoryReport) {
    self.init(
      capacity: report.capacity.value,
      ranks: report.ranks.map { rank in
        Rank(
          pipelineRank: rank.pipelineRank, parameters: rank[.parameters], gradients: rank[.gradients],
          optimizer: rank[.optimizerMoments] + rank[.master],
          activations: rank[.activations] + rank[.temporary],
          buffers: rank[.expertBuffers] + rank[.pipelineBuffers], reserve: rank[.reserve])
      })
  }
}
