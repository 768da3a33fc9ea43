import Units

/// Fixed chunk times, the same on every stage.
public struct UniformTimes: Hashable, Sendable {
  public var forward: Span
  public var backwardInput: Span
  public var backwardWeight: Span
  public var overlapped: Span

  public init(forward: Span, backwardInput: Span, backwardWeight: Span, overlapped: Span? = nil) {
    self.forward = forward
    self.backwardInput = backwardInput
    self.backwardWeight = backwardWeight
    self.overlapped = overlapped ?? forward + backwardInput + backwardWeight
  }

  /// A full backward.
  public var backward: Span { backwardInput + backwardWeight }

  public var chunkTimes: ChunkTimes {
    ChunkTimes(
      forward: forward, backwardInput: backwardInput, backwardWeight: backwardWeight, overlapped: overlapped)
  }
}

/// What a rank idles and how long the step takes, for chunks that take the same time on every stage and no
/// latency.
///
/// They hold once the micro-batches fill the pipeline (at least as many as ranks, or as the schedule asks).
public enum ClosedForm {
  /// Of every rank: (p - 1)(F + B).
  ///
  /// Source: Narayanan et al., SC21, section 2.2.
  public static func oneForwardOneBackward(ranks: Int, _ times: UniformTimes) -> Span {
    (times.forward + times.backward) * (ranks - 1)
  }

  /// Of every rank: (p - 1)(F + B)/v, where `times` are those of a chunk, already a v-th of the rank's.
  ///
  /// Source: Narayanan et al., SC21, section 2.2.
  public static func interleaved(ranks: Int, _ times: UniformTimes) -> Span {
    (times.forward + times.backward) * (ranks - 1)
  }

  /// Of every rank: (p - 1)(F + B - 2W), B the full backward; true when W is longer than neither F nor b.
  ///
  /// Source: Qi et al., ICLR 2024, table 1; DeepSeek-V3 technical report, table 2 (ZB1P). Other chunk times:
  /// ``zeroBubbleH1Idle(ranks:_:)``.
  public static func zeroBubbleH1(ranks: Int, _ times: UniformTimes) -> Span {
    (times.forward + times.backward - times.backwardWeight * 2) * (ranks - 1)
  }

  /// Of every rank, for chunk times of any proportion: (p - 1)(F + b - min(W, F, b)).
  ///
  /// A weight gradient cannot hide more of the bubble than the chunk it stands beside. Holds for both
  /// variants.
  ///
  /// Source: derived from the evaluated order, and asserted against it on random times.
  public static func zeroBubbleH1Idle(ranks: Int, _ times: UniformTimes) -> Span {
    let hidden = min(times.backwardWeight, times.forward, times.backwardInput)
    return (times.forward + times.backwardInput - hidden) * (ranks - 1)
  }

  /// (p/2 - 1)(F&B + B - 3W): true of the middle ranks when F = b and W is not longer.
  ///
  /// Source: DeepSeek-V3 technical report, table 2. Unequal chunk times: ``dualPipeIdle(stages:_:)``.
  public static func dualPipe(stages: Int, _ times: UniformTimes) -> Span {
    (times.overlapped + times.backward - times.backwardWeight * 3) * (stages / 2 - 1)
  }

  /// Of a middle rank, for chunk times of any proportion, as long as a pair takes at least its longer half.
  ///
  /// With k = p/2 - 1: the published form, plus k max(0, F - b) for input gradients that wait for forwards,
  /// plus k max(0, W - b) for weight gradients that outlast them, less min(k max(0, b - F), F) that early
  /// forwards save.
  ///
  /// Source: derived from the evaluated order, and asserted against it on random times.
  public static func dualPipeIdle(stages: Int, _ times: UniformTimes) -> Span {
    let beyond = stages / 2 - 1
    let forwardsLonger = max(.zero, times.forward - times.backwardInput) * beyond
    let weightsLonger = max(.zero, times.backwardWeight - times.backwardInput) * beyond
    let saved = min(max(.zero, times.backwardInput - times.forward) * beyond, times.forward)
    return dualPipe(stages: stages, times) + forwardsLonger + weightsLonger - saved
  }

  /// Makespan of DualPipe: M(F + B) - (M - p - 1)(F + B - F&B) and a middle rank's idle time.
  ///
  /// DualPipeV on R ranks with M micro-batches takes as long as DualPipe on 2R ranks with 2M of both
  /// directions.
  ///
  /// - Parameter microBatches: Of both directions together.
  public static func dualPipeMakespan(stages: Int, microBatches: Int, _ times: UniformTimes) -> Span {
    let pair = times.forward + times.backward
    return pair * microBatches - (pair - times.overlapped) * (microBatches - stages - 1)
      + dualPipeIdle(stages: stages, times)
  }
}
