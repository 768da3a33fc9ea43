import Units

/// How long each chunk takes, by model stage.
///
/// A full backward takes the sum of its two halves.
public struct ChunkTimes: Sendable {
  public var forward: @Sendable (_ stage: Int) -> Span
  public var backwardInput: @Sendable (_ stage: Int) -> Span
  public var backwardWeight: @Sendable (_ stage: Int) -> Span
  /// An overlapped pair; default: the sum of its chunks, as if nothing were hidden.
  public var overlapped: @Sendable (_ forwardStage: Int, _ backwardStage: Int) -> Span

  /// Times that differ from stage to stage.
  public init(
    forward: @escaping @Sendable (_ stage: Int) -> Span,
    backwardInput: @escaping @Sendable (_ stage: Int) -> Span,
    backwardWeight: @escaping @Sendable (_ stage: Int) -> Span,
    overlapped: (@Sendable (_ forwardStage: Int, _ backwardStage: Int) -> Span)? = nil
  ) {
    self.forward = forward
    self.backwardInput = backwardInput
    self.backwardWeight = backwardWeight
    self.overlapped =
      overlapped ?? { forward($0) + backwardInput($1) + backwardWeight($1) }
  }

  /// The same times on every stage, as papers assume.
  public init(forward: Span, backwardInput: Span, backwardWeight: Span, overlapped: Span? = nil) {
    let pair = overlapped ?? forward + backwardInput + backwardWeight
    self.init(
      forward: { _ in forward }, backwardInput: { _ in backwardInput },
      backwardWeight: { _ in backwardWeight },
      overlapped: { _, _ in pair })
  }

  /// Times in the papers' unit: a forward takes 1, each half of a backward 1, a pair 3.
  ///
  /// - Parameter unit: The span that stands for one forward.
  public static func textbook(unit: Span = Span(milliseconds: 1)) -> ChunkTimes {
    ChunkTimes(forward: unit, backwardInput: unit, backwardWeight: unit, overlapped: unit * 3)
  }

  /// How long one chunk takes alone.
  public func time(of pass: ChunkPass, stage: Int) -> Span {
    switch pass {
    case .forward: forward(stage)
    case .backward: backwardInput(stage) + backwardWeight(stage)
    case .backwardInput: backwardInput(stage)
    case .backwardWeight: backwardWeight(stage)
    }
  }
}
