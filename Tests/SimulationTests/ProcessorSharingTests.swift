import Programs
import TestSupport
import Testing
import Timelines
import Timing
import Units

@testable import Simulation

@Suite struct `Ranks that share processors` {
  @Test(arguments: [1, 2, 3, 4, 8], [1, 2, 3, 8])
  func `finish equal tasks together, late by ranks over processors`(ranks: Int, processors: Int) throws {
    let text = Array(repeating: "compute a 6", count: ranks).joined(separator: "\n")
    let timeline = try Sketch(text, processors: processors).run()
    let expected = 6 * max(1, Double(ranks) / Double(processors))
    #expect(abs(timeline.makespan.microseconds - expected) < 1e-5)
  }

  @Test func `take no processor while they wait`() throws {
    let drawing = try Sketch(
      """
      compute a 4; send m 1 after a
      receive m 1; compute b 2 after m
      compute c 4
      """, processors: 2
    ).drawing()
    #expect(
      drawing == """
        0 compute: aaaa
        0 send: ....m
        1 compute: .....bb
        1 receive: ----m
        2 compute: cccc
        """)
  }

  @Test func `get equal parts until the short ones are done`() throws {
    // Three ranks on one processor: 2, 4 and 6 us of work end at 6, 10 and 12.
    let timeline = try Sketch(
      """
      compute a 2
      compute b 4
      compute c 6
      """, processors: 1
    ).run()
    #expect(timeline.ended.map { $0[0] / 1_000_000 } == [6, 10, 12])
  }

  @Test func `copy messages with the thread that computes`() throws {
    // Both want one processor of the same rank, of two that are there: half the speed for each.
    let drawing = try Sketch(
      """
      compute a 3; send m 3 processor=1
      receive m 3 processor=1
      """, processors: 4
    ).drawing()
    #expect(
      drawing == """
        0 compute: aaaaaa
        0 send: mmmmmm
        1 receive: mmmmmm
        """)
  }

  @Test func `slow down an exchange of more members than processors`() throws {
    let line = "all_reduce r 3 processor=1"
    let text = Array(repeating: line, count: 8).joined(separator: "\n")
    #expect(try Sketch(text, processors: 2).run().makespan == Span(microseconds: 12))
    // A quarter of a processor each is just what there is.
    let light = text.replacing("processor=1", with: "processor=0.25")
    #expect(try Sketch(light, processors: 2).run().makespan == Span(microseconds: 3))
  }

  @Test func `leave what asks for less than its part at full speed`() throws {
    // The message wants a quarter of two threads; computing ranks share what is left of one processor.
    let timeline = try Sketch(
      """
      send m 4 processor=0.25
      receive m 4 processor=0.25
      compute a 2
      """, processors: 1
    ).run()
    #expect(timeline.ended == [[4_000_000], [4_000_000], [4_000_000]])
  }

  @Test func `agree with weighing up every thread at every completion`() throws {
    var random = SeededGenerator(seed: 47)
    for _ in 0..<300 {
      let (verified, alone) = try drawProgram(&random, sharing: random.chance(2))
      let costs = sharingProcessors(verified, alone, &random)
      // Unlike nodes let the reference's ranks of one role part: compare where all are one node.
      guard costs.processors!.ranksPerNode == verified.program.ranks else { continue }
      let ended = Simulator.run(verified, costs: costs).ended
      for (times, expected) in zip(ended, steppedEnds(verified, costs)) {
        for (time, other) in zip(times, expected) {
          #expect(abs(Double(time) - other) <= 60, "\(time) \(other)")
        }
      }
    }
  }

  @Test func `are never faster than their work over the processors`() throws {
    var random = SeededGenerator(seed: 48)
    for _ in 0..<300 {
      let (verified, alone) = try drawProgram(&random, sharing: true)
      let costs = sharingProcessors(verified, alone, &random)
      let processors = costs.processors!
      let end = Double(Simulator.run(verified, costs: costs).makespan.picoseconds)
      var work = Array(repeating: 0.0, count: verified.program.ranks)
      for (rank, role) in verified.roles.roleOfRank.enumerated() {
        for task in 0..<verified.code(ofRole: Int(role)).count {
          let cost = costs.cost(role: Int(role), task: task)
          work[rank] += Double(cost.alone.picoseconds) * cost.processorShare
        }
        #expect(end >= work[rank] - 60)
      }
      for first in stride(from: 0, to: work.count, by: processors.ranksPerNode) {
        let node = work[first..<min(first + processors.ranksPerNode, work.count)].reduce(0, +)
        #expect(end >= node / Double(processors.processorsPerNode) - 60)
      }
    }
  }

  @Test func `run as if alone where every rank has a processor and one thing to do`() throws {
    var random = SeededGenerator(seed: 49)
    for _ in 0..<200 {
      let (verified, alone) = try drawProgram(&random, sharing: false)
      let costs = ProgramCosts(
        verified, processors: SharedProcessors(processorsPerNode: 64, ranksPerNode: verified.program.ranks)
      ) { code, task in
        var cost = alone.cost(role: verified.roles.codeOfRole.firstIndex(of: Int32(code))!, task: task)
        cost.processorShare = verified.program.codes[code].kind[task] == .compute ? 1 : 0
        return cost
      }
      #expect(Simulator.run(verified, costs: costs).ended == relaxedEnds(verified, alone))
    }
  }
}
