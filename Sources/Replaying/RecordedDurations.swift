import Units

/// What each task of an imported program took in its recording, beside the program.
///
/// `[code][task]`; nil where the recording does not say.
public struct RecordedDurations: Hashable, Sendable {
  public var started: [[Span?]]
  public var duration: [[Span?]]

  public init(started: [[Span?]], duration: [[Span?]]) {
    self.started = started
    self.duration = duration
  }
}
