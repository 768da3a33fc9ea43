import Units

/// A step as it is drawn: one row for each pipeline rank, time from left to right.
public struct PipelinePicture: Hashable, Sendable {
  public var rows: [Row]

  public init(rows: [Row]) { self.rows = rows }

  /// One rank's intervals.
  public struct Row: Hashable, Sendable {
    /// `rank 0`.
    public var label: String
    /// In any order; those of one lane must not overlap.
    public var intervals: [Interval]

    public init(label: String, intervals: [Interval]) {
      self.label = label
      self.intervals = intervals
    }
  }

  /// One stretch of work.
  public struct Interval: Hashable, Sendable {
    public var start: Instant
    public var end: Instant
    public var work: Work
    /// What a pointer over it shows: `F12 layer 7`.
    public var label: String

    public init(start: Instant, end: Instant, work: Work, label: String) {
      precondition(start <= end, "an interval ends after it starts")
      self.start = start
      self.end = end
      self.work = work
      self.label = label
    }
  }

  /// What a GPU does in an interval: it sets colour and lane.
  public enum Work: String, CaseIterable, Sendable {
    case forward
    /// Input gradient.
    case backwardInput = "backward_input"
    /// Weight gradient.
    case backwardWeight = "backward_weight"
    /// Input and weight gradient together.
    case backward
    /// A forward and a backward chunk woven together.
    case overlapped
    case optimizer
    /// Tokens on their way to their experts.
    case dispatch
    /// Expert outputs on their way back.
    case combine
    case pipelineTransfer = "pipeline_transfer"
    /// Gradient reduction, parameter gather, tensor-parallel collectives.
    case collective

    public var isCommunication: Bool {
      switch self {
      case .forward, .backwardInput, .backwardWeight, .backward, .overlapped, .optimizer: false
      case .dispatch, .combine, .pipelineTransfer, .collective: true
      }
    }
  }

  /// The end of the last interval; zero for an empty picture.
  public var length: Span {
    rows.lazy.flatMap(\.intervals).map(\.end).max()?.sinceStart ?? .zero
  }
}
