/// What a flight recorder's dump says beyond a ``RankRecording``: how far each operation and each group had come.
public struct FlightRecorderRank: Hashable, Sendable {
  /// How far an operation had come when the rank wrote its dump.
  public enum State: String, CaseIterable, Sendable {
    /// On its stream, not seen to run.
    case scheduled
    case started
    case completed
  }

  /// How far a group had come on this rank: sequence numbers; -1 for none yet, nil where the dump does not say.
  public struct Position: Hashable, Sendable {
    /// Index into ``Recording/groups``.
    public var group: Int32
    public var enqueued: Int64?
    public var started: Int64?
    public var completed: Int64?
  }

  public var rank: Int
  /// Of each event of the rank's recording.
  public var states: [State] = []
  /// Whether each event is a message between two ranks; messages have sequence numbers of their own.
  public var isMessage: [Bool] = []
  /// First dimension of each event's first input and output, the tokens of an expert exchange; -1 unknown.
  public var inputRows: [Int64] = []
  public var outputRows: [Int64] = []
  /// Ascending by group.
  public var positions: [Position] = []

  public init(rank: Int) { self.rank = rank }
}
