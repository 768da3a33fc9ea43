/// The pipeline schedules, by the names their papers and the command line use.
public enum ScheduleName: String, CaseIterable, Codable, Sendable {
  /// All forwards, then all backwards. Source: GPipe, arXiv 1811.06965.
  case gpipe
  /// One forward, one backward after a warm-up. Source: PipeDream-Flush, arXiv 2006.09503.
  case oneForwardOneBackward = "1f1b"
  /// 1F1B over several virtual stages on each rank. Source: arXiv 2104.04473, section 2.2.
  case interleaved = "interleaved-1f1b"
  /// 1F1B with weight gradients moved into the bubble (ZB1P). Source: arXiv 2401.10241.
  case zeroBubble = "zb-h1"
  /// Two directions, forward and backward chunks overlapped. Source: arXiv 2412.19437, section 3.2.1.
  case dualPipe = "dualpipe"
  /// DualPipe folded into a V, one copy of the parameters. Source: the DualPipe repository's README.
  case dualPipeV = "dualpipev"
}

extension ScheduleName {
  /// Model stages held by one pipeline rank.
  public func partsPerRank(virtualStages: Int) -> Int {
    switch self {
    case .gpipe, .oneForwardOneBackward, .zeroBubble: 1
    case .interleaved: virtualStages
    case .dualPipe, .dualPipeV: 2
    }
  }

  /// Model stages that the layers are divided into; DualPipe holds each of its `pipeline` stages twice.
  public func stages(pipeline: Int, virtualStages: Int) -> Int {
    switch self {
    case .gpipe, .oneForwardOneBackward, .zeroBubble, .dualPipe: pipeline
    case .interleaved: pipeline.multipliedReportingOverflow(by: virtualStages).partialValue
    case .dualPipeV: pipeline.multipliedReportingOverflow(by: 2).partialValue
    }
  }

  /// How many pipeline ranks of one pipeline hold a copy of each stage.
  public var copiesOfStage: Int { self == .dualPipe ? 2 : 1 }

  /// The model stage that is part `part` of pipeline rank `rank`.
  ///
  /// DualPipe: part 0 is stage `rank` of the direction that enters at rank 0, part 1 its mirror image in the
  /// other direction. DualPipeV: down the V, then up again. Interleaved: as Megatron, round by round.
  public func stage(rank: Int, part: Int, pipeline: Int) -> Int {
    switch self {
    case .gpipe, .oneForwardOneBackward, .zeroBubble: rank
    case .interleaved: part * pipeline + rank
    case .dualPipe: part == 0 ? rank : pipeline - 1 - rank
    case .dualPipeV: part == 0 ? rank : 2 * pipeline - 1 - rank
    }
  }
}
