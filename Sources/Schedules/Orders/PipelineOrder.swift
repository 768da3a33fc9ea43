/// How model stages lie on pipeline ranks.
public enum StagePlacement: String, CaseIterable, Hashable, Sendable {
  /// One stage a rank, in order.
  case straight
  /// Two stages a rank: micro-batches of direction 0 enter at the first rank, those of direction 1 at the
  /// last, and every stage is held twice.
  case bidirectional
  /// Two stages a rank: down the ranks and back up, as a V.
  case folded
  /// Several stages a rank: round and round the ranks.
  case interleaved
}

/// The order in which every pipeline rank computes its chunks: what papers draw, without times and
/// communication.
///
/// Shape: `slots` is `[rank][slot]`.
public struct PipelineOrder: Hashable, Sendable {
  /// Schedule name as on the command line: `dualpipe`.
  public let schedule: String
  public let placement: StagePlacement
  /// Stages a rank holds.
  public let parts: Int
  /// All micro-batches of the step, of both directions where there are two.
  public let microBatches: Int
  public let slots: [[Slot]]

  /// An order as given; only ``validate()`` says whether it can run.
  public init(
    schedule: String, placement: StagePlacement, parts: Int = 1, microBatches: Int, slots: [[Slot]]
  ) {
    self.schedule = schedule
    self.placement = placement
    self.parts = parts
    self.microBatches = microBatches
    self.slots = slots
  }

  public var ranks: Int { slots.count }

  /// Model stages; DualPipe's two directions run through the same ones.
  public var stages: Int {
    switch placement {
    case .straight, .bidirectional: ranks
    case .folded, .interleaved: ranks * parts
    }
  }

  /// Micro-batches that pass through one part.
  public var microBatchesPerPart: Int { placement == .bidirectional ? microBatches / 2 : microBatches }

  /// The model stage that a rank runs for a part.
  public func stage(rank: Int, part: Int) -> Int {
    switch placement {
    case .straight: rank
    case .bidirectional: part == 0 ? rank : ranks - 1 - rank
    case .folded: part == 0 ? rank : 2 * ranks - 1 - rank
    case .interleaved: part * ranks + rank
    }
  }

  /// Where a stage runs.
  ///
  /// - Parameter part: Any part of the micro-batch's way; it tells DualPipe's directions apart and is else
  ///   unused.
  public func place(ofStage stage: Int, part: Int) -> StagePlace {
    switch placement {
    case .straight: StagePlace(rank: stage, part: 0)
    case .bidirectional: StagePlace(rank: part == 0 ? stage : ranks - 1 - stage, part: part)
    case .folded:
      stage < ranks ? StagePlace(rank: stage, part: 0) : StagePlace(rank: 2 * ranks - 1 - stage, part: 1)
    case .interleaved: StagePlace(rank: stage % ranks, part: stage / ranks)
    }
  }

  /// Where the tensor that a chunk works on is produced: the previous stage for a forward, the next for a
  /// backward.
  ///
  /// - Returns: nil where a chunk needs nothing from another stage: first stage's forward, last stage's
  ///   backward, and weight gradients. The rank may be the chunk's own (turn of the V, pipelines of one
  ///   rank).
  public func producer(for chunk: Chunk, rank: Int) -> StagePlace? {
    let stage = stage(rank: rank, part: chunk.part)
    switch chunk.pass {
    case .forward: return stage == 0 ? nil : place(ofStage: stage - 1, part: chunk.part)
    case .backward, .backwardInput:
      return stage == stages - 1 ? nil : place(ofStage: stage + 1, part: chunk.part)
    case .backwardWeight: return nil
    }
  }

  /// Where the tensor that a chunk makes goes: the mirror of ``producer(for:rank:)``.
  public func consumer(of chunk: Chunk, rank: Int) -> StagePlace? {
    let stage = stage(rank: rank, part: chunk.part)
    switch chunk.pass {
    case .forward: return stage == stages - 1 ? nil : place(ofStage: stage + 1, part: chunk.part)
    case .backward, .backwardInput: return stage == 0 ? nil : place(ofStage: stage - 1, part: chunk.part)
    case .backwardWeight: return nil
    }
  }
}

/// A stage by where it runs.
public struct StagePlace: Hashable, Sendable {
  public var rank: Int
  public var part: Int

  public init(rank: Int, part: Int) {
    self.rank = rank
    self.part = part
  }
}
