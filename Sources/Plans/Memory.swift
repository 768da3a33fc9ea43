import Clusters
import Documents
import Models
import Operators
import Units

/// One share of a GPU's memory.
public struct MemoryItem: Hashable, Sendable {
  /// What the memory holds.
  public enum Kind: String, CaseIterable, Codable, Sendable {
    case parameters
    case gradients
    case optimizerMoments = "optimizer_moments"
    case master
    case activations
    /// What one layer's recomputation brings back, and the gradients that flow through it.
    case temporary
    /// Tokens received from dispatch and combine.
    case expertBuffers = "expert_buffers"
    /// Activations and gradients received from other stages.
    case pipelineBuffers = "pipeline_buffers"
    /// Context, communication library and allocator.
    case reserve
  }

  public var kind: Kind
  public var bytes: Bytes
  public var tag: Tag
}

/// The memory of the GPUs of one pipeline rank at its fullest.
public struct MemoryBreakdown: Hashable, Sendable {
  public var pipelineRank: Int
  /// One item for each kind, in the order of its cases.
  public var items: [MemoryItem]

  public var total: Bytes { items.reduce(.zero) { $0 + $1.bytes } }

  public subscript(kind: MemoryItem.Kind) -> Bytes {
    items.first { $0.kind == kind }?.bytes ?? .zero
  }
}

/// Memory of every pipeline rank against what a GPU has.
public struct MemoryReport: Hashable, Sendable {
  /// By pipeline rank.
  public var ranks: [MemoryBreakdown]
  public var capacity: Sourced<Bytes>

  public init(ranks: [MemoryBreakdown], capacity: Sourced<Bytes>) {
    precondition(!ranks.isEmpty, "a plan has pipeline ranks")
    self.ranks = ranks
    self.capacity = capacity
  }

  /// The fullest pipeline rank, the first of equals.
  public var worst: MemoryBreakdown {
    ranks.dropFirst().reduce(ranks[0]) { $1.total > $0.total ? $1 : $0 }
  }
  public var peak: Bytes { worst.total }
  public var fits: Bool { peak <= capacity.value }
}

/// Memory that no tensor of the plan holds, as the package's data file states it.
public struct MemoryReserve: Hashable, Sendable {
  public var context: Sourced<Bytes>
  public var communicationLibrary: Sourced<Bytes>
  /// What the allocator loses, as a share of activations and temporaries.
  public var fragmentation: Sourced<Ratio>

  public init(context: Sourced<Bytes>, communicationLibrary: Sourced<Bytes>, fragmentation: Sourced<Ratio>) {
    self.context = context
    self.communicationLibrary = communicationLibrary
    self.fragmentation = fragmentation
  }

  /// What comes with the package.
  public static func shipped() throws -> MemoryReserve {
    let root = try readDocument(at: shippedPath(of: "memory.yaml")).root
    try root.allowOnly(["context", "communication_library", "fragmentation"])
    return MemoryReserve(
      context: try root.required("context").sourced(Bytes.self),
      communicationLibrary: try root.required("communication_library").sourced(Bytes.self),
      fragmentation: try root.required("fragmentation").sourced(Ratio.self, allowingZero: true))
  }
}

/// The memory of a plan by pipeline rank, at the fullest moment of the schedule.
///
/// Parameters, gradients and optimizer states are divided as ZeRO's stage says among the ranks that hold
/// copies: data × context for dense parameters, expert data for experts, twice as many where DualPipe holds a
/// stage twice. Activations are what ``Models`` keeps under the plan's recomputation, times the micro-batches
/// in flight. Source: ZeRO, arXiv 1910.02054, section 3; activations: arXiv 2205.05198, section 4.
///
/// - Parameter inFlight: Counted from the schedule's order; nil: ``InFlight/formula(for:)``.
/// - Complexity: O(layers + pipeline ranks × parts).
public func memory(of plan: ValidPlan, inFlight: InFlight? = nil, reserve: MemoryReserve) -> MemoryReport {
  let inFlight = inFlight ?? .formula(for: plan)
  precondition(inFlight.counts.count == plan.plan.pipeline, "one row for each pipeline rank")
  let operators = StageOperators(plan)
  let stages = plan.layout.stages.map(operators.memory(of:))
  return MemoryReport(
    ranks: (0..<plan.plan.pipeline).map { rank in
      let counts = inFlight.counts[rank]
      precondition(counts.count == plan.partsPerRank, "one count for each part")
      return RankMemory(plan: plan, operators: operators, stages: stages, rank: rank, counts: counts)
        .breakdown(reserve: reserve)
    },
    capacity: plan.cluster.gpu.memory)
}

/// One pipeline rank's sums.
private struct RankMemory {
  let plan: ValidPlan
  let operators: StageOperators
  let rank: Int
  let parts: [StageMemory]
  let counts: [Int]
  let contents: [StageContents]

  init(plan: ValidPlan, operators: StageOperators, stages: [StageMemory], rank: Int, counts: [Int]) {
    self.plan = plan
    self.operators = operators
    self.rank = rank
    self.counts = counts
    parts = counts.indices.map { stages[plan.stage(rank: rank, part: $0)] }
    contents = counts.indices.map { plan.contents(rank: rank, part: $0) }
  }

  /// Dense parameters, with the vocabulary matrices that this rank needs, once each.
  var denseParameters: Int {
    let isTied = plan.model.tiedEmbeddings
    let hasHead = contents.contains(where: \.head)
    let usesEmbedding = contents.contains { $0.multiTokenPrediction > 0 } || (isTied && hasHead)
    var vocabulary = 0
    if contents.contains(where: \.embedding) {
      vocabulary = operators.embeddingParameters
    } else if usesEmbedding {
      // A copy of the matrix, without learned positions.
      vocabulary = operators.projectionParameters
    }
    if hasHead && !isTied { vocabulary += operators.projectionParameters }
    return parts.reduce(0) { $0 + $1.denseParameters } + vocabulary
  }

  /// Bytes of a state of so many bytes a parameter, divided from a ZeRO stage on.
  func state(_ bytesPerParameter: Double, dividedFrom stage: Int) -> Double {
    let isDivided = plan.plan.zeroStage >= stage
    let expertParameters = parts.reduce(0) { $0 + $1.expertParameters }
    let dense = Double(denseParameters) / Double(isDivided ? plan.denseCopies : 1)
    let expert = Double(expertParameters) / Double(isDivided ? plan.expertCopies : 1)
    return (dense + expert) * bytesPerParameter
  }

  /// The largest layer of this rank, whole, in two buffers: one in use, one arriving or leaving.
  func layerBuffers(_ bytesPerParameter: Double, from stage: Int) -> Double {
    guard plan.plan.zeroStage >= stage else { return 0 }
    return 2 * Double(parts.map(\.largestLayer).max() ?? 0) * bytesPerParameter
  }

  /// Rows that dispatch brings to this GPU and combine brings back, forward and backward side by side.
  var expertBuffers: Double {
    guard let mixture = plan.model.mixture, plan.plan.expert > 1,
      parts.contains(where: { $0.expertParameters > 0 })
    else { return 0 }
    let ranks = plan.expertLoads?.mostRanks ?? mixture.distinctRanks(of: plan.plan.expert)
    let arriving = Double(plan.residualTokens) * ranks
    let precision = plan.plan.precision
    let row =
      Double(plan.model.hidden) * (precision.dispatch.bytesPerElement + precision.combine.bytesPerElement)
    return 2 * arriving * row
  }

  /// A received activation and a received gradient for each part.
  var pipelineBuffers: Double {
    plan.plan.pipeline == 1 ? 0 : 2 * Double(parts.count) * operators.residualBytes
  }

  func breakdown(reserve: MemoryReserve) -> MemoryBreakdown {
    let precision = plan.plan.precision
    let hasMaster = precision.parameters != precision.master
    let activations = zip(parts, counts).reduce(0) { $0 + $1.0.savedBytes * Double($1.1) }
    let temporary = (parts.map(\.recomputedBytes).max() ?? 0) + 2 * operators.residualBytes
    let moments = Double(plan.plan.optimizer.moments) * precision.optimizerMoments.bytesPerElement
    let lost = (activations + temporary) * reserve.fragmentation.value.value
    let fixed = reserve.context.value + reserve.communicationLibrary.value
    func item(_ kind: MemoryItem.Kind, _ bytes: Double, _ tag: Tag = .derived) -> MemoryItem {
      MemoryItem(kind: kind, bytes: Bytes(rounding: bytes), tag: tag)
    }
    return MemoryBreakdown(
      pipelineRank: rank,
      items: [
        item(
          .parameters,
          state(precision.parameters.bytesPerElement, dividedFrom: 3)
            + layerBuffers(precision.parameters.bytesPerElement, from: 3)),
        item(
          .gradients,
          state(precision.gradients.bytesPerElement, dividedFrom: 2)
            + layerBuffers(precision.gradients.bytesPerElement, from: 2)),
        item(.optimizerMoments, state(moments, dividedFrom: 1)),
        item(.master, hasMaster ? state(precision.master.bytesPerElement, dividedFrom: 1) : 0),
        item(.activations, activations),
        item(.temporary, temporary),
        item(.expertBuffers, expertBuffers),
        item(.pipelineBuffers, pipelineBuffers),
        item(.reserve, Double(fixed.count) + lost, .assumed),
      ])
  }
}
