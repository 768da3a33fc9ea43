import Documents

extension PipelineOrder {
  /// 1F1B whose weight gradients wait to fill the bubble, with 1F1B's memory: ZB-H1, called ZB1P in the
  /// DeepSeek-V3 report.
  ///
  /// Rank r keeps r weight gradients back, so that each rank holds as many activations as the first.
  ///
  /// Source: Qi et al., Zero Bubble Pipeline Parallelism, ICLR 2024, section 2.1 and figure 3 (top).
  public static func zeroBubbleH1(ranks: Int, microBatches: Int) throws -> PipelineOrder {
    try checkSize(schedule: "zb-h1", ranks: ranks, parts: 1, microBatches: microBatches)
    let slots = (0..<ranks).map { rank in
      let ahead = min(ranks - 1 - rank, microBatches)
      var script = RankScript()
      // Warm-up, as in 1F1B.
      times(ahead) { script.forward() }
      // Steady state: the first `rank` weight gradients are left out, every later backward brings the
      // oldest.
      for microBatch in 0..<microBatches - ahead {
        script.forward()
        script.backwardInput()
        if microBatch >= rank { script.backwardWeight() }
      }
      // Cool-down.
      for microBatch in microBatches - ahead..<microBatches {
        script.backwardInput()
        if microBatch >= rank { script.backwardWeight() }
      }
      // Those left out fill what would be the last bubble.
      script.remainingBackwardWeights()
      return script.slots
    }
    return PipelineOrder(schedule: "zb-h1", placement: .straight, microBatches: microBatches, slots: slots)
  }

  /// ZB-H1 that splits a backward only where it helps: in the first and last micro-batches of ranks other
  /// than the first.
  ///
  /// Whole backwards keep tensor parallelism's overlap and cost no makespan.
  ///
  /// Source: sail-sg/zero-bubble-pipeline-parallelism, branch zb-h1-quick-start.
  public static func zeroBubbleH1QuickStart(ranks: Int, microBatches: Int) throws -> PipelineOrder {
    try checkSize(schedule: "zb-h1-quick", ranks: ranks, parts: 1, microBatches: microBatches)
    let slots = (0..<ranks).map { rank in
      let ahead = min(ranks - 1 - rank, microBatches)
      let steady = microBatches - ahead
      var script = RankScript()
      // Warm-up, as in 1F1B.
      times(ahead) { script.forward() }
      // Steady state: split the first `rank` backwards and the last one.
      for microBatch in 0..<steady {
        let isLast = microBatch == steady - 1
        script.forward()
        if rank > 0 && (microBatch < rank || isLast) {
          script.backwardInput()
        } else {
          script.backward()
        }
        if isLast && rank > 0 && microBatch >= rank { script.backwardWeight() }
      }
      // Cool-down: each wait for a gradient is filled with the oldest weight gradient.
      for microBatch in steady..<microBatches {
        if rank > 0 {
          script.backwardInput()
          if microBatch >= rank { script.backwardWeight() }
        } else {
          script.backward()
        }
      }
      script.remainingBackwardWeights()
      return script.slots
    }
    return PipelineOrder(
      schedule: "zb-h1-quick", placement: .straight, microBatches: microBatches, slots: slots)
  }
}
