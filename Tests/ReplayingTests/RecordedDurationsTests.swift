import Testing
import Units

@testable import Replaying

@Suite struct RecordedDurationsTests {
  @Test func `what a recording does not say stays unknown`() {
    let durations = RecordedDurations(started: [[.zero, nil]], duration: [[Span(microseconds: 3), nil]])
    #expect(durations.duration[0][1] == nil)
    #expect(durations.duration[0][0] == Span(microseconds: 3))
  }
}
