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

/// A piece of a stage that goes forward or backward as one (``StageSegment``), with its works and sizes.
struct Segment: Hashable {
  /// Names the segment, its parameters and its gradients.
  var bucket = Bucket(stage: 0, segment: 0)
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
  /// Routed experts whose tokens are counted, for the selection bias; 0 where nobody counts.
  var countedExperts = 0
  /// Elements of the embedding's matrix, in the segments that hold it where other ranks do too.
  var sharedElements = 0
  /// The gradients are complete only after every other backward of the rank, for another stage uses the
  /// parameters too.
  var reducesAtEnd = false
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

  mutating func intern(_ name: String, _ pass: Pass, _ section: Section, _ kernels: [Kernel]) -> Int32 {
    guard !kernels.isEmpty else { return -1 }
    let work = Work(name: name, pass: pass, section: section, kernels: kernels)
    if let index = indices[work] { return index }
    works.append(work)
    indices[work] = Int32(works.count - 1)
    return Int32(works.count - 1)
  }

  /// The passes of some operators; what the plan recomputes stands before the input gradient.
  mutating func intern(
    _ name: String, _ section: Section, _ operators: [Operator], recompute: Recompute
  ) -> PassWorks {
    // Full recomputation goes through the layer's forward again, communication included; lowering does that.
    let again = recompute == .full ? [] : operators.filter(recompute.recomputes).flatMap(\.forward)
    return PassWorks(
      forward: intern("\(name) forward", .forward, section, operators.flatMap(\.forward)),
      input: intern(
        "\(name) input gradient", .inputGradient, section,
        again + operators.reversed().flatMap(\.inputGradient)),
      weight: intern(
        "\(name) weight gradient", .weightGradient, section,
        operators.reversed().flatMap(\.weightGradient)))
  }
}

/// Cuts the stages of a plan into segments.
struct SegmentBuilder {
  let plan: ValidPlan
  var works = WorkTable()

  init(_ plan: ValidPlan) { self.plan = plan }

  private var precision: Precision { plan.plan.precision.operators }
  private var options: OperatorOptions {
    var options = plan.plan.operators
    if plan.cluster.host != nil { options.fusedExpertGate = false }
    return options
  }
  private var recompute: Recompute { plan.plan.recompute }

  mutating func segments(ofStage stage: Int) -> [Segment] {
    plan.segments(ofStage: stage).enumerated().map { index, kind in
      var segment = segment(kind)
      segment.bucket = Bucket(stage: stage, segment: index)
      return segment
    }
  }

  private mutating func segment(_ kind: StageSegment) -> Segment {
    switch kind {
    case .embedding:
      var segment = plain(
        "embedding", .embedding,
        plan.model.embeddingOperators(
          batch: plan.batch, slice: plan.slice, precision: precision, options: options))
      segment.reducesAtEnd = sharing == .withinRank || sharing == .acrossRanks
      segment.sharedElements = sharing == .acrossRanks ? matrixElements : 0
      return segment
    case .layer(let index): return layer(index)
    case .head:
      // A tied projection is the embedding's matrix: counted there, or as this rank's copy.
      return head(holdsMatrix: !plan.model.tiedEmbeddings, holdsCopy: plan.model.tiedEmbeddings)
    case .prediction(let depth):
      var segment = plain(
        "multi-token prediction", .prediction,
        plan.model.multiTokenPredictionOperators(
          batch: plan.batch, slice: plan.slice, precision: precision, options: options))
      if depth == 0 && !plan.model.tiedEmbeddings { addCopy(to: &segment) }
      return segment
    case .predictionHead: return head(holdsMatrix: false, holdsCopy: false)
    }
  }

  private var sharing: EmbeddingSharing { plan.embeddingSharing }

  /// This rank's rows of the vocabulary, each of the model's width.
  private var matrixElements: Int {
    func parameters(sharesProjection: Bool) -> Int {
      plan.model.headOperators(
        batch: plan.batch, slice: plan.slice, precision: precision, options: options,
        sharesProjection: sharesProjection
      ).reduce(0) { $0 + $1.parameters }
    }
    return parameters(sharesProjection: false) - parameters(sharesProjection: true)
  }

  /// The copy of the embedding's matrix that the last stage's rank holds, where it does not hold the embedding.
  private func addCopy(to segment: inout Segment) {
    guard sharing == .acrossRanks else { return }
    segment.denseParameters += matrixElements
    segment.sharedElements = matrixElements
    segment.reducesAtEnd = true
  }

  private mutating func head(holdsMatrix: Bool, holdsCopy: Bool) -> Segment {
    var segment = plain(
      "head", .head,
      plan.model.headOperators(
        batch: plan.batch, slice: plan.slice, precision: precision, options: options,
        sharesProjection: !holdsMatrix))
    if holdsCopy { addCopy(to: &segment) }
    return segment
  }

  private mutating func plain(_ name: String, _ section: Section, _ operators: [Operator]) -> Segment {
    var segment = Segment()
    segment.first = works.intern(name, section, operators, recompute: .none)
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
      segment.first = works.intern("attention", .attention, attention + router, recompute: recompute)
      segment.shared = works.intern("shared expert", .sharedExperts, shared, recompute: recompute)
      segment.second = works.intern("experts", .experts, routed, recompute: recompute)
      segment.hasExchange = plan.plan.expert > 1
      segment.cutsSecond = plan.plan.expertTensor > 1
    } else {
      segment.first = works.intern("attention", .attention, attention, recompute: recompute)
      segment.second = works.intern("feed-forward", .feedForward, feedForward, recompute: recompute)
      segment.cutsSecond = plan.plan.tensor > 1
    }
    segment.cutsFirst = plan.plan.tensor > 1
    account(attention + feedForward, in: &segment)
    if isMixture, let mixture = plan.model.mixture, mixture.hasSelectionBias {
      segment.countedExperts = mixture.routedExperts
      // The bias has no gradient: counts move it, not the optimizer.
      segment.denseParameters -= mixture.routedExperts
    }
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
