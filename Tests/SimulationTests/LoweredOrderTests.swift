import Plans
import Programs
import Schedules
import Simulation
import TestSupport
import Testing
import Timelines
import Timing
import Units

@Suite struct `A lowered program with fixed chunk times and free communication` {
  /// Simulates the lowering of an order; each slot takes its whole time in one task.
  private func simulate(_ planned: Planned, _ times: UniformTimes) throws -> (
    timeline: Timeline, order: PipelineOrder
  ) {
    let (plan, order) = try planned.lowered()
    let program = lower(plan, order: order, seed: 1)
    let verified = try VerifiedProgram(program)
    let carriers = program.codes.map { Self.carriers(of: $0, in: program) }
    let costs = ProgramCosts(verified) { code, task in
      let slot = Int(program.codes[code].slot[task])
      guard carriers[code][slot] == task else { return .free }
      switch program.codes[code].slots[slot].phase {
      case .forward: return Cost(alone: times.forward)
      case .backwardInput: return Cost(alone: times.backwardInput)
      case .backwardWeight: return Cost(alone: times.backwardWeight)
      case .backward: return Cost(alone: times.backward)
      case .overlapped: return Cost(alone: times.overlapped)
      case .optimizer: return .free
      }
    }
    return (Simulator.run(verified, costs: costs), order)
  }

  /// For each slot the task that stands for it: the first input gradient, for which a pair must have both its
  /// tensors, or the first compute task where there is none.
  private static func carriers(of code: Code, in program: Program) -> [Int] {
    var carriers = Array(repeating: -1, count: code.slots.count)
    var isInput = Array(repeating: false, count: code.slots.count)
    for task in 0..<code.count where code.kind[task] == .compute {
      let slot = Int(code.slot[task])
      let input = program.works[Int(code.work[task])].pass == .inputGradient
      if carriers[slot] < 0 || (input && !isInput[slot]) {
        carriers[slot] = task
        isInput[slot] = input
      }
    }
    return carriers
  }

  private func drawTimes(_ random: inout SeededGenerator) -> UniformTimes {
    func span(_ range: ClosedRange<Int>) -> Span { Span(picoseconds: Int64(random.pick(range))) }
    var times = UniformTimes(forward: span(1...60), backwardInput: span(1...60), backwardWeight: span(1...60))
    let longer = max(times.forward, times.backward).picoseconds
    let sum = (times.forward + times.backward).picoseconds
    times.overlapped = span(Int(longer)...Int(sum) * 6 / 5)
    return times
  }

  static let schedules: [Planned] = [
    Planned(schedule: .gpipe, pipeline: 3, microBatches: 5),
    Planned(schedule: .oneForwardOneBackward, pipeline: 4, microBatches: 7),
    Planned(schedule: .oneForwardOneBackward, pipeline: 1, microBatches: 3),
    Planned(schedule: .interleaved, pipeline: 2, virtualStages: 2, microBatches: 6),
    Planned(schedule: .interleaved, pipeline: 4, virtualStages: 3, microBatches: 8),
    Planned(schedule: .zeroBubble, pipeline: 4, microBatches: 9),
    Planned(schedule: .dualPipe, pipeline: 2, microBatches: 8),
    Planned(schedule: .dualPipe, pipeline: 4, microBatches: 8),
    Planned(schedule: .dualPipe, pipeline: 8, microBatches: 20),
    Planned(schedule: .dualPipeV, pipeline: 3, microBatches: 7),
    Planned(schedule: .dualPipeV, pipeline: 2, microBatches: 5),
    Planned(schedule: .dualPipeV, pipeline: 4, microBatches: 10),
  ]

  @Test(arguments: schedules.indices) func `takes as long as the order on paper`(index: Int) throws {
    var random = SeededGenerator(seed: 51)
    for _ in 0..<8 {
      let times = drawTimes(&random)
      let (timeline, order) = try simulate(Self.schedules[index], times)
      let paper = try order.evaluate(times: times.chunkTimes)
      #expect(timeline.makespan == paper.makespan)
      for rank in 0..<order.ranks {
        let intervals = timeline.slotIntervals(ofRole: rank)
        #expect(intervals.map(\.end) == paper.intervals[rank].map(\.end))
        let parts = timeline.parts(ofRole: rank)
        #expect(parts.bubble == paper.idle[rank])
        #expect(parts.total == paper.makespan && parts.optimizer == .zero)
      }
    }
  }

  @Test func `has the published bubbles`() throws {
    var random = SeededGenerator(seed: 52)
    for _ in 0..<10 {
      var times = drawTimes(&random)
      func bubble(_ planned: Planned, rank: Int = 0) throws -> Span {
        try simulate(planned, times).timeline.parts(ofRole: rank).bubble
      }
      #expect(
        try bubble(Planned(pipeline: 4, microBatches: 6)) == ClosedForm.oneForwardOneBackward(ranks: 4, times)
      )
      #expect(
        try bubble(Planned(schedule: .interleaved, pipeline: 4, virtualStages: 2, microBatches: 8))
          == ClosedForm.interleaved(ranks: 4, times))
      #expect(
        try bubble(Planned(schedule: .zeroBubble, pipeline: 4, microBatches: 6))
          == ClosedForm.zeroBubbleH1Idle(ranks: 4, times))
      #expect(
        try bubble(Planned(schedule: .dualPipe, pipeline: 4, microBatches: 12), rank: 1)
          == ClosedForm.dualPipeIdle(stages: 4, times))
      #expect(
        try simulate(Planned(schedule: .dualPipeV, pipeline: 2, microBatches: 6), times).timeline.makespan
          == ClosedForm.dualPipeMakespan(stages: 4, microBatches: 12, times))
      times.backwardWeight = min(times.backwardWeight, times.forward, times.backwardInput)
      #expect(
        try bubble(Planned(schedule: .zeroBubble, pipeline: 4, microBatches: 6))
          == ClosedForm.zeroBubbleH1(ranks: 4, times))
    }
  }

  @Test func `prints and parses back as text`() throws {
    for planned in Self.schedules {
      let (plan, order) = try planned.lowered()
      let program = lower(plan, order: order, seed: 1)
      #expect(try Program(text: program.text) == program)
    }
  }
}
