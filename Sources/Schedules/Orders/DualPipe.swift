import Documents

extension PipelineOrder {
  /// Micro-batches from both ends at once, so that the forward of one direction hides the backward of the
  /// other.
  ///
  /// Source: DeepSeek-V3 technical report, section 3.2.1 and figure 5; deepseek-ai/DualPipe.
  /// - Parameter microBatches: Of both directions together.
  /// - Throws: A ``Diagnostic`` unless `ranks` and `microBatches` are even and `microBatches` at least `2 *
  ///   ranks`.
  public static func dualPipe(ranks: Int, microBatches: Int) throws -> PipelineOrder {
    try checkSize(schedule: "dualpipe", ranks: ranks, parts: 2, microBatches: microBatches)
    guard ranks.isMultiple(of: 2) else {
      throw Diagnostic(
        .usage, "dualpipe folds the pipeline in two halves", path: "--pp", found: "\(ranks)",
        allowed: "an even number of ranks", hint: "use \(ranks - 1 == 0 ? 2 : ranks - 1) or \(ranks + 1)")
    }
    guard microBatches.isMultiple(of: 2), microBatches >= 2 * ranks else {
      throw Diagnostic(
        .usage, "dualpipe feeds micro-batches from both ends and must fill the pipeline from each",
        path: "--micro-batches", found: "\(microBatches)", allowed: "an even number, at least \(2 * ranks)",
        hint: "use \(max(2 * ranks, microBatches + 1))")
    }
    let half = ranks / 2
    let slots = (0..<ranks).map { rank in
      // Both halves of the pipeline run the same script, each seeing its own end's direction as the near
      // one.
      dualPipeScript(
        depth: min(rank, ranks - 1 - rank), half: half, microBatches: microBatches / 2,
        near: rank < half ? 0 : 1, far: rank < half ? 1 : 0)
    }
    return PipelineOrder(
      schedule: "dualpipe", placement: .bidirectional, parts: 2, microBatches: microBatches, slots: slots)
  }

  /// DualPipe cut in half: each micro-batch runs down the ranks and back up, and no stage is held twice.
  ///
  /// Source: deepseek-ai/DualPipe, DualPipeV; Sea AI Lab named the procedure "cut-in-half" (2025).
  /// - Throws: A ``Diagnostic`` unless `microBatches` is at least `2 * ranks`.
  public static func dualPipeV(ranks: Int, microBatches: Int) throws -> PipelineOrder {
    try checkSize(schedule: "dualpipev", ranks: ranks, parts: 2, microBatches: microBatches)
    guard microBatches >= 2 * ranks else {
      throw Diagnostic(
        .usage, "dualpipev must fill the pipeline down and up", path: "--micro-batches",
        found: "\(microBatches)", allowed: "at least \(2 * ranks)", hint: "use \(2 * ranks)")
    }
    let slots = (0..<ranks).map { rank in
      dualPipeScript(depth: rank, half: ranks, microBatches: microBatches, near: 0, far: 1)
    }
    return PipelineOrder(
      schedule: "dualpipev", placement: .folded, parts: 2, microBatches: microBatches, slots: slots)
  }

  /// The eight phases of a rank.
  ///
  /// - Parameters:
  ///   - depth: Ranks between this one and its end of the pipeline.
  ///   - half: Ranks from an end to the middle.
  ///   - microBatches: Of one direction.
  ///   - near: The part whose micro-batches enter at this rank's end.
  private static func dualPipeScript(
    depth: Int, half: Int, microBatches: Int, near: Int, far: Int
  ) -> [Slot] {
    let beyond = half - 1 - depth
    var script = RankScript(parts: 2)

    // Phase 1, nF0: forwards until the far direction arrives.
    times(2 * beyond) { script.forward(near) }

    // Phase 2, nF0F1: forwards of both directions.
    times(depth + 1) {
      script.forward(near)
      script.forward(far)
    }

    // Phase 3, nB1W1F1: backwards of the far direction; their weight gradients fill the wait for its
    // forwards.
    times(beyond) {
      script.backwardInput(far)
      script.backwardWeight()
      script.forward(far)
    }

    // Phase 4, nF0B1F1B0: the steady state. The middle ranks have nothing to hide behind their first pair
    // yet.
    for pair in 0..<microBatches - 2 * half + depth + 1 {
      if pair == 0 && beyond == 0 {
        script.forward(near)
        script.backward(far)
      } else {
        script.overlapped(forward: near, backward: far)
      }
      script.overlapped(forward: far, backward: near)
    }

    // Phase 5, nB1F1B0: the near forwards have run out.
    times(beyond) {
      script.backward(far)
      script.overlapped(forward: far, backward: near)
    }

    // Phase 6, nB1B0: backwards only; the second half of them is split, so that the neighbours wait less.
    for (count, part) in (0...depth).flatMap({ _ in [far, near] }).enumerated() {
      if count > depth {
        script.backwardInput(part)
      } else {
        script.backward(part)
      }
    }

    // Phase 7, nW0B0: weight gradients between the last near backwards.
    times(beyond) {
      script.backwardWeight()
      script.backwardInput(near)
    }

    // Phase 8, nW: what is left.
    times(depth + 1) { script.backwardWeight() }
    return script.slots
  }
}
