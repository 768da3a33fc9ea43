import Programs
import Traces
import Units

/// A recording as a program, with what its tasks took beside it.
///
/// All columns are `[code][task]`.
public struct ImportedProgram: Sendable {
  /// The event that a task is.
  public struct Origin: Hashable, Sendable {
    /// Place in ``Traces/Recording/ranks``.
    public var rank: Int32
    /// Index of the rank's events; -1 for a task that stands for the host's time before a communication.
    public var event: Int32
  }

  public var program: Program
  public var durations: RecordedDurations
  /// Time before a task's work in which nothing ran and nothing it waits for explains why: the host's. A
  /// communication's stands in a task of its own before it.
  public var delays: [[Span]]
  public var origins: [[Origin]]
  /// Of a communication: the shortest duration over all ranks that recorded it.
  public var transfers: [[Span?]]
  /// Whether a communication's bytes are known; only then can it be timed anew.
  public var hasBytes: [[Bool]]
  /// The recording's word for a communication; nil for other tasks.
  public var kinds: [[RecordedKind?]]
  /// From the first event of any rank to the last one's end, clocks laid beside each other; nil without times.
  public var recordedStep: Span?
  /// Ranks with a recording of their own.
  public var recordedRanks: [Int]
  /// What was assumed, one sentence each.
  public var notes: [String]
}

/// What DeepEP's kernels carry, which recordings do not say.
public struct ExchangeSizes: Hashable, Sendable {
  /// Forward dispatches, those whose destinations are known (backward of a combine), and combines.
  public var dispatch: Exchange
  public var knownDispatch: Exchange
  public var combine: Exchange
  /// Where the numbers come from, as a sentence.
  public var source: String

  public init(dispatch: Exchange, knownDispatch: Exchange, combine: Exchange, source: String) {
    self.dispatch = dispatch
    self.knownDispatch = knownDispatch
    self.combine = combine
    self.source = source
  }
}

/// How events of different queues are held in order where a recording has no edges.
public enum CrossQueueOrder: String, CaseIterable, Sendable {
  /// What had ended when an event began, ends before it begins: never faster than the job could have been, and too
  /// strict where two things merely happened one after the other.
  case recorded
  /// Only where a queue stood idle until another's event ended: what is certainly an edge, and too lax where a
  /// dependency never showed.
  case proven
}

/// What an import takes for granted where a recording is silent.
public struct ImportOptions: Hashable, Sendable {
  public var order = CrossQueueOrder.recorded
  public var exchanges: ExchangeSizes?

  public init() {}
}

/// The recording's kinds of communication, which are more than a program's.
public typealias RecordedKind = Traces.CommunicationKind
