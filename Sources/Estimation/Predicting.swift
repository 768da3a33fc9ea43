import Clusters
import Documents
import Economics
import Models
import Plans
import Reports
import Schedules
import Timelines
import Units
import Validation

/// Simulates a published case as its publication describes it.
///
/// - Throws: A `Diagnostic`.
public func predict(_ published: PublishedCase) throws -> Prediction {
  let cluster = try resolveCluster(published.cluster).cluster.resized(gpus: published.gpus)
  if published.figures.contains(where: { Metric.exchanges.contains($0.metric) }) {
    return try predictExchanges(published)
  }
  let model = try model(of: published)
  let plan = try plan(of: published)
  do {
    if published.figures.contains(where: { $0.metric == .overlappedPairSeconds }) {
      let pair = try OverlappedPair(model: model, cluster: cluster, plan: plan).length
      return Prediction(values: [.overlappedPairSeconds: pair.seconds])
    }
    let valid = try validate(plan, model: model, cluster: cluster, file: "\(published.family).yaml")
    let sample = try RoutingSource(valid).sample(for: valid, seed: 1)
    let step = try SimulatedStep(valid.loaded(by: sample), seed: 1)
    var values: [Metric: Double] = [:]
    if case .named = published.model {
      values = step.figures
      let run = try shippedRuns().first { $0.model == model.name && $0.cluster == cluster.name }
      if let run {
        let cost = RunCost(
          step: step.timeline.makespan, tokensPerStep: step.plan.tokensPerStep, tokens: run.tokens.value,
          gpus: cluster.gpus, price: run.price)
        values[.gpuHours] = cost.gpuHours.value
        values[.dollars] = cost.rent?.dollars.value
      }
    }
    return Prediction(step: step.timeline.makespan, values: values)
  } catch {
    throw diagnostic(for: error)
  }
}

private func model(of published: PublishedCase) throws -> Model {
  switch published.model {
  case .named(let name): return try resolveModel(name).model
  case .gpt(let shape):
    guard shape.hidden % shape.heads == 0 else {
      throw Diagnostic(
        .data, "the heads do not divide the hidden size", file: "\(published.family).yaml",
        path: published.name,
        found: "\(shape.heads)", allowed: "a divisor of \(shape.hidden)")
    }
    var model = Model.gpt(
      name: published.name, source: "\(published.family).yaml", hidden: shape.hidden, layers: shape.layers,
      heads: shape.heads, vocabulary: shape.vocabulary, sequence: shape.sequence)
    model.tiedEmbeddings = shape.tiedEmbeddings
    return model
  }
}

private func plan(of published: PublishedCase) throws -> Plan {
  switch published.plan {
  case .named(let name): try shippedPlan(named: name).plan
  case .document(let node): try Plan(node)
  }
}

extension SimulatedStep {
  /// Figures of the step that publications print besides its length, in their metrics' units.
  var figures: [Metric: Double] {
    let parts = timeline.meanParts()
    let throughput = Estimate.Throughput(self)
    return [
      .stepSeconds: timeline.makespan.seconds, .forwardSeconds: parts.forward.seconds,
      .backwardInputSeconds: parts.backwardInput.seconds,
      .backwardWeightSeconds: parts.backwardWeight.seconds,
      .overlappedSeconds: parts.overlapped.seconds, .bubbleSeconds: parts.bubble.seconds,
      .optimizerSeconds: parts.optimizer.seconds,
      .tokensPerDay: throughput.tokensPerDay, .teraflopsCausal: throughput.perGPUCausal.value * 1e-12,
      .teraflopsFull: throughput.perGPUFull.value * 1e-12,
      .utilizationCausal: throughput.utilisationCausal.value,
      .utilizationFull: throughput.utilisationFull.value,
    ]
  }
}

/// One overlapped forward and backward of a stage of four mixture layers, without messages between stages.
///
/// The plan is put on one pipeline rank with a model of four mixture layers, and its order has a few pairs in
/// a row; lowering, verification, timing and simulation are those of a whole step. The recorded profile
/// leaves embedding and head out: here their vocabulary is next to nothing, so that no layer's exchange hides
/// behind them, and time runs from the first task of a layer in a middle pair to the last one.
struct OverlappedPair {
  let step: SimulatedStep
  let length: Span

  init(model: Model, cluster: Cluster, plan: Plan) throws {
    let layers = 4
    var model = model
    model.layers = layers
    model.vocabulary = plan.tensor
    model.mixture?.firstDenseLayers = 0
    model.multiTokenPredictionDepth = 0
    let microBatches = 6
    var plan = plan
    plan.pipeline = 1
    plan.schedule = .oneForwardOneBackward
    plan.layout = nil
    plan.data = nil
    plan.globalBatch = microBatches * plan.microBatch * cluster.gpus / plan.tensor / plan.context
    let valid = try validate(plan, model: model, cluster: cluster)
    func chunk(_ pass: ChunkPass, _ microBatch: Int) -> Chunk { Chunk(pass, part: 0, microBatch: microBatch) }
    let pairs = (1..<microBatches).map {
      Slot.overlapped(forward: chunk(.forward, $0), backward: chunk(.backward, $0 - 1))
    }
    let order = PipelineOrder(
      schedule: "pairs", placement: .straight, microBatches: microBatches,
      slots: [[.chunk(chunk(.forward, 0))] + pairs + [.chunk(chunk(.backward, microBatches - 1))]])
    try order.validate()
    let step = try SimulatedStep(valid, order: order, seed: 1)
    let code = step.program.code(ofRole: 0)
    let middle = 1 + pairs.count / 2
    let slot = slotIndex(of: middle, in: step)
    let tasks = (0..<code.count).filter { Int(code.slot[$0]) == slot && code.layer[$0] >= 0 }
    let start = tasks.map { step.timeline.started[0][$0] }.min() ?? 0
    let end = tasks.map { step.timeline.ended[0][$0] }.max() ?? 0
    length = Span(picoseconds: end - start)
    self.step = step
  }
}

/// The program's slot for a slot of the order: parameters gathered ahead may have one of their own before it.
private func slotIndex(of slot: Int, in step: SimulatedStep) -> Int {
  let code = step.program.code(ofRole: 0)
  let chunks = code.slots.indices.filter { code.slots[$0].phase != .optimizer }
  return chunks[slot]
}
