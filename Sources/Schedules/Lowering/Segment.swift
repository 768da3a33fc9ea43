import Models
import Operators
import Plans
import Programs

/// The three passes of some operators that run without communication between them, as indices of works; -1
/// where there is nothing to do.
struct PassWorks: Hashable {
  var forward: Int32 = -1
  var input: Int32 = -1
  var weight: Int32 = -1
}

/// A piece of a stage that goes forward or backward as one: a layer, the embedding, the head, a prediction
/// module's projection.
struct Segment: Hashable {
  /// Layer index, or -1.
  var layer: Int32 = -1
  /// Attention and router of a layer; all of a segment that is not a layer.
  var first = PassWorks()
  /// Shared experts: run beside the exchange.
  var shared = PassWorks()
  /// Dense feed-forward or routed experts; empty where the segment is not a layer.
  var second = PassWorks()
  /// Tokens travel to experts on other ranks and back.
  var hasExchange = false
  /// Tensor-parallel collectives around the first and the second half.
  var cutsFirst = false
  var cutsSecond = false
  /// Elements on this rank, cut by tensor parallelism, reduced over data and context ranks.
  var denseParameters = 0
  /// Elements on this rank, reduced over expert-data ranks.
  var expertParameters = 0
  /// Bytes kept from forward to backward.
  var savedBytes: Int64 = 0
}

/// Works of a program, each held once.
struct WorkTable {
  private(set) var works: [Work] = []
  private var indices: [Work: Int32] = [:]

  mutating func intern(_ name: String, _ pass: Pass, _ kernels: [Kernel]) -> Int32 {
    guard !kernels.isEmpty else { return -1 }
    let work = Work(name: name, pass: pass, kernels: kernels)
    if let index = indices[work] { return index }
    works.append(work)
    indices[work] = Int32(works.count - 1)
    return Int32(works.count - 1)
  }

  /// The passes of some operators; what the plan recomputes stands before the input gradient.
  mutating func intern(_ name: String, _ operators: [Operator], recompute: Recompute) -> PassWorks {
    // Full recomputation goes through the layer's forward again, communication included; lowering does that.
    let again = recompute == .full ? [] : operators.filter(recompute.recomputes).flatMap(\.forward)
    return PassWorks(
      forward: intern("\(name) forward", .forward, operators.flatMap(\.forward)),
      input: intern(
        "\(name) input gradient", .inputGradient, again + operators.reversed().flatMap(\.inputGradient)),
      weight: intern(
        "\(name) weight gradient", .weightGradient, operators.reversed().flatMap(\.weightGradient)))
  }
}

/// Cuts the stages of a plan into segments.
struct SegmentBuilder {
  let plan: ValidPlan
  var works = WorkTable()

  init(_ plan: ValidPlan) { self.plan = plan }

  private var precision: Precision { plan.plan.precision.operators }
  private var options: OperatorOptions { plan.plan.operators }
  private var recompute: Recompute { plan.plan.recompute }

  mutating func segments(of stage: StageContents) -> [Segment] {
    var segments: [Segment] = []
    if stage.embedding {
      segments.append(
        plain(
          "embedding",
          plan.model.embeddingOperators(
            batch: plan.batch, slice: plan.slice, precision: precision, options: options)))
    }
    segments += stage.layers.map { layer($0) }
    // The head follows the last layer; each prediction module then has a projection, a layer and the head again.
    if stage.head { segments.append(head()) }
    for depth in 0..<stage.multiTokenPrediction {
      segments.append(
        plain(
          "multi-token prediction",
          plan.model.multiTokenPredictionOperators(
            batch: plan.batch, slice: plan.slice, precision: precision, options: options)))
      segments.append(layer(plan.model.layers + depth))
      var again = head()
      // The prediction module shares embedding and head with the main model.
      again.denseParameters = 0
      segments.append(again)
    }
    return segments
  }

  private mutating func head() -> Segment {
    plain(
      "head",
      plan.model.headOperators(batch: plan.batch, slice: plan.slice, precision: precision, options: options))
  }

  private mutating func plain(_ name: String, _ operators: [Operator]) -> Segment {
    var segment = Segment()
    segment.first = works.intern(name, operators, recompute: .none)
    account(operators, in: &segment)
    return segment
  }

  private mutating func layer(_ index: Int) -> Segment {
    let attention = plan.model.attentionOperators(
      layer: index, batch: plan.batch, slice: plan.slice, precision: precision, options: options)
    let feedForward = plan.model.feedForwardOperators(
      layer: index, batch: plan.batch, slice: plan.slice, precision: precision, options: options)
    var segment = Segment()
    segment.layer = Int32(index)
    let isMixture = feedForward.contains { $0.component == .routedExperts }
    if isMixture {
      let router = feedForward.filter { $0.component == .router }
      let shared = feedForward.filter { $0.component == .sharedExpert }
      let routed = feedForward.filter { $0.component != .router && $0.component != .sharedExpert }
      segment.first = works.intern("attention", attention + router, recompute: recompute)
      segment.shared = works.intern("shared expert", shared, recompute: recompute)
      segment.second = works.intern("experts", routed, recompute: recompute)
      segment.hasExchange = plan.plan.expert > 1
      segment.cutsSecond = plan.plan.expertTensor > 1
    } else {
      segment.first = works.intern("attention", attention, recompute: recompute)
      segment.second = works.intern("feed-forward", feedForward, recompute: recompute)
      segment.cutsSecond = plan.plan.tensor > 1
    }
    segment.cutsFirst = plan.plan.tensor > 1
    account(attention + feedForward, in: &segment)
    return segment
  }

  private func account(_ operators: [Operator], in segment: inout Segment) {
    for operation in operators {
      if operation.component == .routedExperts {
        segment.expertParameters += operation.parameters
      } else {
        segment.denseParameters += operation.parameters
      }
    }
    if recompute == .full && segment.layer >= 0 {
      segment.savedBytes = Int64(plan.residualTokens * plan.residualBytesPerToken)
    } else {
      let saved = operators.lazy.filter { !recompute.recomputes($0) }.map(\.savedBytes).reduce(0, +)
      segment.savedBytes = Int64(saved.rounded())
    }
  }
}
