import Models
import Plans

/// One segment of a stage on one rank: its kernels and what they are applied with.
struct SegmentState {
  let kind: StageSegment
  let blocks: SegmentBlocks
  /// Nil where the segment has no parameters of its own.
  let dense: ParameterBucket?
  let expert: ParameterBucket?
  let selection: SelectionState?
}

/// What decides the balance of one mixture layer: the bias that choices are made with, and how often experts
/// were chosen.
final class SelectionState {
  let name: String
  /// `[experts]`; no optimizer touches it.
  let bias: FloatBuffer
  /// `[experts]`: choices of this step, of this rank and after their reduction of all ranks.
  let counts: Buffer<Int32>

  init(name: String, experts: Int) {
    self.name = name
    bias = FloatBuffer(count: experts)
    counts = Buffer<Int32>(count: experts)
  }

  /// Moves the bias of every expert by a fixed step towards the mean load, and forgets the counts.
  ///
  /// Source: DeepSeek-V3, arXiv 2412.19437, section 2.1.2.
  func update(speed: Float) {
    let total = counts.elements.reduce(into: Int64(0)) { $0 += Int64($1) }
    for expert in 0..<bias.count {
      // Compared in whole numbers: the mean need not be one.
      let excess = Int64(counts.pointer[expert]) * Int64(bias.count) - total
      if excess != 0 { bias.pointer[expert] += excess < 0 ? speed : -speed }
    }
    counts.clear()
  }
}

/// One model stage on one rank.
struct StageState {
  let stage: Int
  let segments: [SegmentState]
}

/// What one rank holds of a model: parameters, gradients and optimizer states of its stages.
///
/// DualPipe's ranks hold two stages. The embedding's matrix is held once on a rank; where prediction modules or a tied
/// head use it on another rank than the embedding's, that rank holds a copy.
final class ModelState {
  let plan: ValidPlan
  let rank: Int
  /// `[part]`.
  let stages: [StageState]
  /// In ascending order of stage and segment, dense before expert.
  let buckets: [ParameterBucket]
  /// Where the embedding's matrix lies, if this rank uses it.
  let embedding: (bucket: ParameterBucket, offset: Int)?

  init(_ plan: ValidPlan, rank: Int) {
    self.plan = plan
    self.rank = rank
    let groups = BucketGroups(plan, rank: rank)
    let factory = BlockFactory(plan, expertMember: plan.grid.expertCoordinates(of: rank).expert)
    let pipeline = plan.grid.coordinates(of: rank).pipeline
    var stages: [StageState] = []
    for part in 0..<plan.partsPerRank {
      let stage = plan.stage(rank: pipeline, part: part)
      let segments = plan.segments(ofStage: stage).map { segment in
        SegmentState(segment, blocks: factory.blocks(of: segment), plan: plan, groups: groups)
      }
      stages.append(StageState(stage: stage, segments: segments))
    }
    self.stages = stages
    let ordered = stages.sorted { $0.stage < $1.stage }
    buckets = ordered.flatMap(\.segments).flatMap { [$0.dense, $0.expert].compactMap(\.self) }
    embedding =
      buckets.lazy.compactMap { bucket in
        bucket.tensor(named: SegmentTensors.embeddingName).map { (bucket, $0.offset) }
      }.first
  }

  /// Selection states in ascending order of layers.
  var selections: [SelectionState] {
    stages.sorted { $0.stage < $1.stage }.flatMap(\.segments).compactMap(\.selection)
  }

  /// Starts the model as its seed says.
  func initialise(seed: UInt64) {
    for bucket in buckets {
      for place in bucket.tensors { place.initialise(bucket.parameters.pointer, seed: seed) }
    }
  }

  func clearGradients() {
    for bucket in buckets { bucket.gradients.clear() }
  }
}

extension SegmentState {
  init(_ kind: StageSegment, blocks: SegmentBlocks, plan: ValidPlan, groups: BucketGroups) {
    let model = plan.model
    var tensors = SegmentTensors(kind, blocks, layers: model.layers)
    // The first segment that needs the embedding where it is not holds the copy, behind its own parameters.
    let user: StageSegment = model.tiedEmbeddings ? .head : .prediction(0)
    if kind == user, plan.embeddingSharing == .acrossRanks { tensors.addEmbeddingCopy(of: model) }
    self.kind = kind
    self.blocks = blocks
    dense = tensors.dense.isEmpty ? nil : groups.dense(tensors.dense)
    expert = tensors.expert.isEmpty ? nil : groups.expert(tensors.expert)
    if case .layer(let index) = kind, let mixture = model.mixture, mixture.hasSelectionBias,
      model.isMixtureLayer(index)
    {
      selection = SelectionState(
        name: "model.layers.\(index).mlp.gate.e_score_correction_bias", experts: mixture.routedExperts)
    } else {
      selection = nil
    }
  }
}

/// Who shares a rank's buckets with it.
struct BucketGroups {
  private let denseMember, denseMembers, expertMember, expertMembers: Int
  private let isSharded: Bool

  init(_ plan: ValidPlan, rank: Int) {
    let dense = Array(plan.denseGradientGroup(containing: rank))
    let expert = Array(plan.expertGradientGroup(containing: rank))
    denseMember = dense.firstIndex(of: rank) ?? 0
    denseMembers = dense.count
    expertMember = expert.firstIndex(of: rank) ?? 0
    expertMembers = expert.count
    isSharded = plan.plan.zeroStage >= 1
  }

  func dense(_ tensors: [TensorPlace]) -> ParameterBucket {
    ParameterBucket(
      tensors: tensors, isExpert: false, member: denseMember, members: denseMembers, isSharded: isSharded)
  }

  func expert(_ tensors: [TensorPlace]) -> ParameterBucket {
    ParameterBucket(
      tensors: tensors, isExpert: true, member: expertMember, members: expertMembers, isSharded: isSharded)
  }
}
