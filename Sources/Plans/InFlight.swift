/// Micro-batches whose activations each part of a pipeline rank keeps at the moment when it keeps most.
public struct InFlight: Hashable, Sendable {
  /// `[pipeline rank][part]`.
  public var counts: [[Int]]

  /// - Parameter counts: As counted from a schedule's order; one row for each pipeline rank.
  public init(counts: [[Int]]) { self.counts = counts }

  /// What the schedules' papers state, for when no order is at hand.
  ///
  /// 1F1B keeps the pipeline's remaining depth, ZB-H1 the whole depth, DualPipe's directions together one
  /// more than the depth, DualPipeV one more than its stages. Source: arXiv 2412.19437, table 2; interleaved:
  /// the warm-up of Megatron's interleaved 1F1B.
  public static func formula(for plan: ValidPlan) -> InFlight {
    let ranks = plan.plan.pipeline
    let most = plan.microBatches
    return InFlight(
      counts: (0..<ranks).map { rank in
        switch plan.plan.schedule {
        case .gpipe: [most]
        case .oneForwardOneBackward: [min(most, ranks - rank)]
        case .zeroBubble: [min(most, ranks)]
        case .interleaved: interleaved(rank: rank, ranks: ranks, parts: plan.partsPerRank, microBatches: most)
        case .dualPipe: [min(most / 2, ranks - rank), min(most / 2, rank + 1)]
        case .dualPipeV: [min(most, 2 * ranks - rank), min(most, rank + 1)]
        }
      })
  }

  /// The warm-up runs `ranks` micro-batches through part 0, then through part 1, and so on round.
  private static func interleaved(rank: Int, ranks: Int, parts: Int, microBatches: Int) -> [Int] {
    let warmUp = 2 * (ranks - rank - 1) + (parts - 1) * ranks + 1
    let chunks = min(warmUp, microBatches * parts)
    let round = ranks * parts
    return (0..<parts).map { part in
      chunks / round * ranks + min(ranks, max(0, chunks % round - part * ranks))
    }
  }
}
