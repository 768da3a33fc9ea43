import Plans
import Programs
import Schedules
import Simulation
import TestSupport
import Testing
import Timelines
import Timing
import Units

@Suite struct `The analysis of a simulated timeline` {
  private func timelines() throws -> [Timeline] {
    var random = SeededGenerator(seed: 71)
    var timelines = try (0..<150).map { _ in
      let (verified, costs) = try drawProgram(&random, sharing: true)
      return Simulator.run(verified, costs: costs)
    }
    for schedule in [ScheduleName.oneForwardOneBackward, .zeroBubble, .dualPipe, .dualPipeV] {
      var planned = Planned(schedule: schedule, pipeline: 4, microBatches: 10, data: 2, isMixture: true)
      planned.change = { $0.expert = 2 }
      let (plan, order) = try planned.lowered()
      let verified = try VerifiedProgram(lower(plan, order: order, seed: 1))
      timelines.append(Simulator.run(verified, costs: try ProgramCosts(verified, on: plan.cluster)))
    }
    return timelines
  }

  @Test func `adds parts up to the step exactly, and none is negative`() throws {
    for timeline in try timelines() {
      for role in 0..<timeline.program.roles.count {
        let parts = timeline.parts(ofRole: role)
        #expect(parts.total == timeline.makespan)
        let all = [
          parts.forward, parts.backwardInput, parts.backwardWeight, parts.overlapped, parts.bubble,
          parts.optimizer,
        ]
        #expect(all.allSatisfy { $0 >= .zero })
      }
      if timeline.makespan > .zero { #expect(timeline.meanParts().total == timeline.makespan) }
    }
  }

  @Test func `exposes no more communication than there is`() throws {
    for timeline in try timelines() {
      for time in timeline.communicationTimes() {
        #expect(time.exposed <= time.transfer && time.transfer <= timeline.makespan)
      }
    }
  }

  @Test func `finds a critical path without gaps, as long as the step`() throws {
    for timeline in try timelines() where timeline.makespan > .zero {
      let path = timeline.criticalPath()
      #expect(path.reduce(Span.zero) { $0 + $1.time } == timeline.makespan)
      for (one, next) in zip(path, path.dropFirst()) {
        #expect(timeline.ended[one.role][one.task] == timeline.began[next.role][next.task])
      }
    }
  }
}
