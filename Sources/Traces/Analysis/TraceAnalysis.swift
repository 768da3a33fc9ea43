import Units

/// Everything that is understood of a recording.
public struct TraceAnalysis: Sendable {
  public let recording: Recording
  /// One for each of ``Recording/ranks``.
  public let ranks: [TraceSummary]
  public let total: TraceSummary
  public let comparison: RankComparison
  public let criticalPath: CriticalPathSummary
  /// Steps of the first rank that marks any.
  public let steps: [RecordedStep]

  /// - Complexity: O(events × log events).
  public init(_ recording: Recording) {
    self.recording = recording
    ranks = recording.ranks.map { TraceSummary($0) }
    total = TraceSummary(ranks)
    comparison = RankComparison(recording)
    criticalPath = CriticalPathSummary(recording.criticalPath(comparison), ranks: recording.ranks.count)
    steps = recording.ranks.lazy.map(\.steps).first { !$0.isEmpty } ?? []
  }

  /// A communication kind's time over all ranks.
  public func time(of kind: CommunicationKind) -> CountedTime {
    var sum = CountedTime()
    for summary in total.byKind where summary.kind == kind { sum.add(summary.total) }
    return sum
  }
}
