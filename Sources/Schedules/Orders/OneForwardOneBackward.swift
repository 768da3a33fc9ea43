import Documents

extension PipelineOrder {
  /// All forwards, then all backwards.
  ///
  /// The backwards run in the order of the forwards, as Megatron-LM (SC21, figure 3) draws GPipe.
  ///
  /// Source: Huang et al., GPipe, NeurIPS 2019.
  public static func gpipe(ranks: Int, microBatches: Int) throws -> PipelineOrder {
    try checkSize(schedule: "gpipe", ranks: ranks, parts: 1, microBatches: microBatches)
    let slots = (0..<ranks).map { _ in
      var script = RankScript()
      times(microBatches) { script.forward() }
      times(microBatches) { script.backward() }
      return script.slots
    }
    return PipelineOrder(schedule: "gpipe", placement: .straight, microBatches: microBatches, slots: slots)
  }

  /// One forward, one backward in turn, so that a rank never holds more micro-batches than stages follow
  /// it.
  ///
  /// Source: Narayanan et al., Efficient Large-Scale Language Model Training on GPU Clusters, SC21, figure
  /// 4 (top).
  public static func oneForwardOneBackward(ranks: Int, microBatches: Int) throws -> PipelineOrder {
    try checkSize(schedule: "1f1b", ranks: ranks, parts: 1, microBatches: microBatches)
    let slots = (0..<ranks).map { rank in
      let ahead = min(ranks - 1 - rank, microBatches)
      var script = RankScript()
      // Warm-up: as many forwards as stages follow.
      times(ahead) { script.forward() }
      // Steady state.
      times(microBatches - ahead) {
        script.forward()
        script.backward()
      }
      // Cool-down.
      times(ahead) { script.backward() }
      return script.slots
    }
    return PipelineOrder(schedule: "1f1b", placement: .straight, microBatches: microBatches, slots: slots)
  }

  /// 1F1B over several stages a rank, which divides the bubble by their number.
  ///
  /// Micro-batches advance in groups of `ranks` through one stage of the rank after the other.
  ///
  /// Source: Narayanan et al., SC21, section 2.2 and figure 4 (bottom).
  /// - Throws: A ``Diagnostic`` unless `microBatches` is a multiple of `ranks` and `virtualStages` at least
  ///   2.
  public static func interleavedOneForwardOneBackward(
    ranks: Int, virtualStages: Int, microBatches: Int
  ) throws -> PipelineOrder {
    let name = "interleaved-1f1b"
    guard virtualStages >= 2 else {
      throw Diagnostic(
        .usage, "\(name) needs several stages on each rank", path: "--vpp", found: "\(virtualStages)",
        allowed: "at least 2", hint: "1f1b is the schedule with one stage a rank")
    }
    try checkSize(schedule: name, ranks: ranks, parts: virtualStages, microBatches: microBatches)
    guard microBatches.isMultiple(of: ranks) else {
      let below = microBatches / ranks * ranks
      throw Diagnostic(
        .usage, "\(name) moves micro-batches in groups of the pipeline's ranks", path: "--micro-batches",
        found: "\(microBatches)", allowed: "a multiple of \(ranks)",
        hint: below == 0 ? "use \(ranks)" : "use \(below) or \(below + ranks)")
    }

    let chunks = microBatches * virtualStages
    // The k-th forward of a rank belongs to this part; backwards visit the parts from the last to the
    // first.
    func part(_ k: Int) -> Int { k / ranks % virtualStages }
    let slots = (0..<ranks).map { rank in
      let ahead = min((virtualStages - 1) * ranks + 2 * (ranks - 1 - rank), chunks)
      var script = RankScript(parts: virtualStages)
      // Warm-up: every part but the last fills its pipeline; two more for each rank that follows.
      for k in 0..<ahead { script.forward(part(k)) }
      // Steady state.
      for k in 0..<chunks - ahead {
        script.forward(part(ahead + k))
        script.backward(virtualStages - 1 - part(k))
      }
      // Cool-down.
      for k in chunks - ahead..<chunks { script.backward(virtualStages - 1 - part(k)) }
      return script.slots
    }
    return PipelineOrder(
      schedule: name, placement: .interleaved, parts: virtualStages, microBatches: microBatches, slots: slots)
  }
}
