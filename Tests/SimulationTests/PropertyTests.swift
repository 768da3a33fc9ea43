import Programs
import TestSupport
import Testing
import Timelines
import Timing

@testable import Simulation

@Suite struct `On random programs the simulator` {
  @Test func `agrees with relaxation where nothing is shared`() throws {
    var random = SeededGenerator(seed: 41)
    for _ in 0..<500 {
      let (verified, costs) = try drawProgram(&random, sharing: false)
      #expect(Simulator.run(verified, costs: costs).ended == relaxedEnds(verified, costs))
    }
  }

  @Test func `agrees with weighing up everything at every completion where links are shared`() throws {
    var random = SeededGenerator(seed: 42)
    for _ in 0..<300 {
      let (verified, costs) = try drawProgram(&random, sharing: true)
      let ended = Simulator.run(verified, costs: costs).ended
      let reference = steppedEnds(verified, costs)
      for (times, expected) in zip(ended, reference) {
        for (time, other) in zip(times, expected) {
          // Half a picosecond for each completion that went before.
          #expect(abs(Double(time) - other) <= 30, "\(time) \(other)")
        }
      }
    }
  }

  @Test func `completes tasks in an order that the lanes, edges and meetings allow`() throws {
    var random = SeededGenerator(seed: 43)
    for _ in 0..<300 {
      let (verified, costs) = try drawProgram(&random, sharing: true)
      let timeline = Simulator.run(verified, costs: costs)
      var interpreter = Interpreter(verified)
      try interpreter.run()
      #expect(timeline.peakActivations == interpreter.peakMemory)
      for role in 0..<verified.roles.count {
        let code = verified.code(ofRole: role)
        var free = Array(repeating: Int64(0), count: Lane.count)
        for task in 0..<code.count {
          let awaited = code.dependencies(of: task).map { timeline.ended[role][Int($0)] }.max() ?? 0
          #expect(timeline.started[role][task] == max(awaited, free[code.lane[task].index]))
          #expect(timeline.started[role][task] <= timeline.began[role][task])
          #expect(timeline.began[role][task] <= timeline.ended[role][task])
          free[code.lane[task].index] = timeline.ended[role][task]
        }
      }
      for meeting in 0..<verified.meetings.count {
        let members = verified.meetings.participants(of: meeting).map {
          (Int(verified.meetings.role[$0]), Int(verified.meetings.task[$0]))
        }
        let began = Set(members.map { timeline.began[$0][$1] })
        #expect(began == [members.map { timeline.started[$0][$1] }.max()!])
        #expect(Set(members.map { timeline.ended[$0][$1] }).count == 1)
      }
    }
  }

  @Test func `is never faster than a lane's work or the critical path`() throws {
    var random = SeededGenerator(seed: 44)
    for _ in 0..<300 {
      let (verified, costs) = try drawProgram(&random, sharing: true)
      let timeline = Simulator.run(verified, costs: costs)
      let end = timeline.makespan.picoseconds
      #expect(end >= (relaxedEnds(verified, costs).compactMap { $0.max() }.max() ?? 0))
      for role in 0..<verified.roles.count {
        let code = verified.code(ofRole: role)
        for lane in Lane.all {
          let work = (0..<code.count).filter { code.lane[$0] == lane }.reduce(0) {
            $0 + costs.cost(role: role, task: $1).alone.picoseconds
          }
          #expect(end >= work)
        }
      }
    }
  }

  @Test func `gives the same timeline again`() throws {
    var random = SeededGenerator(seed: 45)
    for _ in 0..<100 {
      let (verified, costs) = try drawProgram(&random, sharing: true)
      let (once, again) = (Simulator.run(verified, costs: costs), Simulator.run(verified, costs: costs))
      #expect(once.started == again.started && once.began == again.began && once.ended == again.ended)
    }
  }

  @Test func `gives ranks that share code the times they have on their own`() throws {
    var random = SeededGenerator(seed: 46)
    for _ in 0..<200 {
      let (verified, costs) = try drawProgram(&random, sharing: true)
      var program = verified.program
      program.codes = program.codeOfRank.map { verified.program.codes[Int($0)] }
      program.codeOfRank = (0..<program.ranks).map(Int32.init)
      let apart = try VerifiedProgram(program)
      let timeline = Simulator.run(verified, costs: costs)
      let reference = Simulator.run(
        apart, costs: ProgramCosts(apart) { costs.cost(role: Int(verified.roles.roleOfRank[$0]), task: $1) }
      )
      for rank in 0..<program.ranks {
        let together = timeline.ended[Int(verified.roles.roleOfRank[rank])]
        for (time, other) in zip(together, reference.ended[rank]) { #expect(abs(time - other) <= 1) }
      }
    }
  }
}

@Suite struct `Shared links` {
  @Test func `are shared as progressive filling shares them`() {
    var random = SeededGenerator(seed: 47)
    for _ in 0..<2000 {
      let (count, links) = (random.pick(1...6), random.pick(1...5))
      let caps = (0..<count).map { _ in random.chance(2) ? 1 : Double(random.pick(1...9)) / 10 }
      let loads = (0..<random.pick(0...12)).map { _ in
        Sharing.Load(
          activity: random.pick(0...count - 1), link: random.pick(0...links - 1),
          share: Double(random.pick(1...10)) / 10)
      }
      let speeds = Sharing.speeds(caps: caps, loads: loads, links: links)
      let reference = filledSpeeds(caps: caps, loads: loads, links: links)
      for (speed, other) in zip(speeds, reference) { #expect(abs(speed - other) < 1e-7, "\(caps) \(loads)") }
    }
  }

  @Test func `never bring anyone to a stop, however small the rest`() {
    var random = SeededGenerator(seed: 48)
    for _ in 0..<2000 {
      let count = random.pick(2...6)
      let caps = (0..<count).map { _ in Double.random(in: 0.1...1, using: &random) }
      let loads = (0..<12).map { _ in
        Sharing.Load(
          activity: random.pick(0...count - 1), link: random.pick(0...2),
          share: random.chance(3)
            ? Double.random(in: 1e-17...1e-12, using: &random) : Double.random(in: 0.3...1, using: &random))
      }
      #expect(Sharing.speeds(caps: caps, loads: loads, links: 3).allSatisfy { $0 > 1e-3 })
    }
  }
}

@Suite struct `The event queue` {
  @Test func `pops what a sorted array would`() {
    var random = SeededGenerator(seed: 49)
    var queue = EventQueue()
    var array: [(time: Int64, payload: UInt32)] = []
    for payload in 0..<20_000 as Range<UInt32> {
      #expect(queue.nextTime == array.first?.time && queue.isEmpty == array.isEmpty)
      if random.pick(0...99) < (payload / 2000 % 2 == 0 ? 70 : 30) {
        let time = Int64(random.pick(0...300))
        queue.schedule(payload, at: time)
        // Behind all that stand at the same time: first scheduled, first out.
        let place = array.firstIndex { $0.time > time } ?? array.count
        array.insert((time, payload), at: place)
      } else {
        let event = queue.popEarliest()
        let expected = array.isEmpty ? nil : array.removeFirst()
        #expect(event?.time == expected?.time && event?.payload == expected?.payload)
      }
    }
  }

  @Test func `takes the last instant there is`() {
    var queue = EventQueue()
    queue.schedule(.max, at: .max)
    queue.schedule(0, at: 0)
    #expect(queue.popEarliest()?.payload == 0)
    #expect(queue.popEarliest()?.time == .max && queue.popEarliest() == nil)
  }
}
