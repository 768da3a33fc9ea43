import Models

/// A GPU's place among attention's and dense layers' degrees.
public struct DenseCoordinates: Hashable, Sendable {
  public var tensor, context, data, pipeline: Int
  public init(tensor: Int, context: Int, data: Int, pipeline: Int) {
    self.tensor = tensor
    self.context = context
    self.data = data
    self.pipeline = pipeline
  }
}

/// A GPU's place among the experts' degrees.
public struct ExpertCoordinates: Hashable, Sendable {
  public var expertTensor, expert, expertData, pipeline: Int
  public init(expertTensor: Int, expert: Int, expertData: Int, pipeline: Int) {
    self.expertTensor = expertTensor
    self.expert = expert
    self.expertData = expertData
    self.pipeline = pipeline
  }
}

/// The ranks that communicate for one purpose.
public enum GroupKind: String, CaseIterable, Codable, Sendable {
  /// Shares of one layer's matrices.
  case tensor
  /// Shares of one sequence.
  case context
  /// Copies that see different sequences.
  case data
  /// Data and context together: the ranks that reduce dense gradients.
  case dataContext = "data_context"
  /// The stages of one pipeline, in order.
  case pipeline
  /// The ranks among which tokens are dispatched to experts.
  case expert
  /// Shares of one expert's matrices.
  case expertTensor = "expert_tensor"
  /// The ranks that reduce expert gradients.
  case expertData = "expert_data"
}

/// Members of a group in the order of their index, held as an arithmetic progression or two.
public struct RankGroup: Hashable, Sendable, RandomAccessCollection {
  /// The first member.
  public let first: Int
  public let stride: Int
  /// Members of one progression.
  public let length: Int
  /// Distance between the two progressions' first members; zero where there is one.
  public let mirrorStride: Int

  init(first: Int, stride: Int, length: Int, mirrorStride: Int = 0) {
    self.first = first
    self.stride = stride
    self.length = length
    self.mirrorStride = mirrorStride
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int { mirrorStride == 0 ? length : 2 * length }
  public subscript(position: Int) -> Int {
    first + position % length * stride + position / length * mirrorStride
  }
}

/// How a group's members lie on nodes.
public struct GroupSpan: Hashable, Sendable {
  /// Nodes that hold a member.
  public var nodes: Int
  /// Members on the node with most of them.
  public var ranksPerNode: Int

  public init(nodes: Int, ranksPerNode: Int) {
    self.nodes = nodes
    self.ranksPerNode = ranksPerNode
  }

  /// Whether all traffic stays on one node's NVLink.
  public var isWithinNode: Bool { nodes == 1 }
}

/// Rank numbers and their coordinates, in Megatron's default order `tp-cp-ep-dp-pp`.
///
/// The same ranks are factored twice (parallel folding): tensor × context × data × pipeline for attention and
/// dense layers, expert tensor × expert × expert data × pipeline for experts; the factor named first varies
/// fastest, and pipeline ranks agree. Consecutive ranks fill a node. Source: Megatron-LM's `parallel_state`;
/// parallel folding after arXiv 2504.14960.
public struct RankGrid: Hashable, Sendable {
  public let tensor, context, data, pipeline: Int
  public let expertTensor, expert, expertData: Int

  /// - Precondition: Degrees are positive and both factorings have the same product.
  public init(
    tensor: Int, context: Int, data: Int, pipeline: Int, expertTensor: Int = 1, expert: Int = 1,
    expertData: Int
  ) {
    precondition(tensor > 0 && context > 0 && data > 0 && pipeline > 0, "degrees are positive")
    precondition(expertTensor > 0 && expert > 0 && expertData > 0, "degrees are positive")
    precondition(
      tensor * context * data == expertTensor * expert * expertData, "both factorings have the same ranks")
    self.tensor = tensor
    self.context = context
    self.data = data
    self.pipeline = pipeline
    self.expertTensor = expertTensor
    self.expert = expert
    self.expertData = expertData
  }

  /// Ranks that hold one pipeline stage; also the distance between a pipeline's neighbours.
  public var ranksPerStage: Int { tensor * context * data }
  public var ranks: Int { ranksPerStage * pipeline }

  // MARK: Ranks and coordinates

  public func coordinates(of rank: Int) -> DenseCoordinates {
    precondition((0..<ranks).contains(rank), "rank \(rank) of \(ranks)")
    return DenseCoordinates(
      tensor: rank % tensor, context: rank / tensor % context, data: rank / (tensor * context) % data,
      pipeline: rank / ranksPerStage)
  }

  public func expertCoordinates(of rank: Int) -> ExpertCoordinates {
    precondition((0..<ranks).contains(rank), "rank \(rank) of \(ranks)")
    return ExpertCoordinates(
      expertTensor: rank % expertTensor, expert: rank / expertTensor % expert,
      expertData: rank / (expertTensor * expert) % expertData, pipeline: rank / ranksPerStage)
  }

  public func rank(of place: DenseCoordinates) -> Int {
    place.tensor + tensor * (place.context + context * (place.data + data * place.pipeline))
  }

  public func rank(of place: ExpertCoordinates) -> Int {
    place.expertTensor + expertTensor
      * (place.expert + expert * (place.expertData + expertData * place.pipeline))
  }

  // MARK: Groups

  public func size(of kind: GroupKind) -> Int { shape(of: kind).length }

  public func count(of kind: GroupKind) -> Int { ranks / size(of: kind) }

  /// Distance between neighbours, and members.
  private func shape(of kind: GroupKind) -> (stride: Int, length: Int) {
    switch kind {
    case .tensor: (1, tensor)
    case .context: (tensor, context)
    case .data: (tensor * context, data)
    case .dataContext: (tensor, context * data)
    case .pipeline: (ranksPerStage, pipeline)
    case .expertTensor: (1, expertTensor)
    case .expert: (expertTensor, expert)
    case .expertData: (expertTensor * expert, expertData)
    }
  }

  /// The group of a kind that a rank belongs to.
  ///
  /// - Complexity: O(1).
  public func group(_ kind: GroupKind, containing rank: Int) -> RankGroup {
    precondition((0..<ranks).contains(rank), "rank \(rank) of \(ranks)")
    let (stride, length) = shape(of: kind)
    return RankGroup(first: rank - rank / stride % length * stride, stride: stride, length: length)
  }

  /// A group together with its image on the pipeline rank that holds the same stages in the other direction
  /// of a bidirectional schedule, the lower pipeline rank's members first: the ranks that reduce DualPipe's
  /// gradients.
  ///
  /// - Precondition: `kind` stays within a stage; the pipeline degree is even.
  public func mirroredGroup(_ kind: GroupKind, containing rank: Int) -> RankGroup {
    precondition(kind != .pipeline && pipeline % 2 == 0, "no mirror")
    let place = rank / ranksPerStage
    let lower = min(place, pipeline - 1 - place)
    let group = group(kind, containing: rank - (place - lower) * ranksPerStage)
    return RankGroup(
      first: group.first, stride: group.stride, length: group.length,
      mirrorStride: (pipeline - 1 - 2 * lower) * ranksPerStage)
  }

  /// Every group of a kind once, by its first rank.
  public func groups(_ kind: GroupKind) -> some Sequence<RankGroup> {
    let (stride, length) = shape(of: kind)
    return (0..<count(of: kind)).lazy.map { index in
      RankGroup(first: index / stride * stride * length + index % stride, stride: stride, length: length)
    }
  }

  /// Number of a rank's group among ``groups(_:)``.
  ///
  /// - Complexity: O(1).
  public func groupIndex(_ kind: GroupKind, containing rank: Int) -> Int {
    let (stride, length) = shape(of: kind)
    return rank / (stride * length) * stride + rank % stride
  }

  /// How a group lies on nodes of so many GPUs.
  ///
  /// - Complexity: O(members).
  public func span(of group: RankGroup, gpusPerNode: Int) -> GroupSpan {
    var nodes = 0
    var most = 0
    var here = 0
    var current: Int?
    for member in group {
      if member / gpusPerNode != current {
        current = member / gpusPerNode
        nodes += 1
        here = 0
      }
      here += 1
      most = max(most, here)
    }
    return GroupSpan(nodes: nodes, ranksPerNode: most)
  }
}
