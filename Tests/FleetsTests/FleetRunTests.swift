import Fleets
import Testing
import Timing
import Units

@Suite struct `A whole cluster` {
  @Test func `with balanced routing takes as long as one rank of each role`() throws {
    let step = try Step()
    let report = try step.run()
    let ratio = report.makespan.seconds / step.symmetric.makespan.seconds
    #expect(abs(ratio - 1) < 1e-4)
    #expect(report.counters.events > 0)
    // Every rank sends to one other node in each of its exchanges.
    #expect(report.parts == 2)
  }

  @Test func `takes in what it sends out, on every kind of link`() throws {
    let step = try Step()
    let report = try step.run(step.skewed())
    #expect(report.carried(.nicOut) == report.carried(.nicIn))
    #expect(report.carried(.nvlinkOut) == report.carried(.nvlinkIn))
    #expect(report.carried(.nicOut) > .zero)
  }

  @Test func `is the same for one thread, two or five`() throws {
    let step = try Step()
    var perturbations = Perturbations()
    perturbations.jitter = 0.02
    let one = try step.run(step.skewed(), perturbations, threads: 1)
    for threads in [2, 5] {
      let other = try step.run(step.skewed(), perturbations, threads: threads)
      #expect(other.makespan == one.makespan)
      #expect(other.counters == one.counters)
      for rank in 0..<one.ranks {
        #expect(other.computing(rank) == one.computing(rank))
        #expect(other.blame(rank) == one.blame(rank))
        for link in Link.allCases { #expect(other.carried(rank, link) == one.carried(rank, link)) }
        for kind in FleetKind.allCases { #expect(other.waiting(rank, kind) == one.waiting(rank, kind)) }
      }
    }
  }

  @Test func `differs with another seed of its draws`() throws {
    let step = try Step()
    #expect(try step.run(step.skewed(), seed: 1).makespan != step.run(step.skewed(), seed: 2).makespan)
  }

  @Test func `waits for a slow GPU, and says so`() throws {
    let step = try Step()
    var perturbations = Perturbations()
    perturbations.slowRanks = [17: 1.5]
    let report = try step.run(.balanced, perturbations)
    #expect(report.makespan > step.symmetric.makespan.scaled(by: 1.1))
    #expect(report.mostBlamed(1).first?.rank == 17)
    #expect(report.computing(17) > report.computing(16).scaled(by: 1.45))
  }

  @Test func `is slower with a card at a third of its rate from the middle on`() throws {
    let step = try Step()
    let whole = try step.run()
    var perturbations = Perturbations()
    perturbations.cards = [CardChange(rank: 5, share: 0.33, at: whole.makespan.scaled(by: 0.5))]
    let report = try step.run(.balanced, perturbations)
    #expect(report.makespan > whole.makespan)
    // The same bytes pass, only later.
    #expect(report.carried(.nicOut) == whole.carried(.nicOut))
    perturbations.cards[0].share = 1
    #expect(abs(try step.run(.balanced, perturbations).makespan.seconds / whole.makespan.seconds - 1) < 1e-3)
  }

  @Test func `takes as long on planes as on rails`() throws {
    let planes = try Step(cluster: "h800-2048")
    let rails = try Step(cluster: "h800-2048-mrft")
    let ratio =
      try planes.run(planes.skewed()).makespan.seconds / rails.run(rails.skewed()).makespan.seconds
    #expect(abs(ratio - 1) < 0.005)
  }

  @Test func `divides a card's bytes over time without losing any`() throws {
    let step = try Step()
    let report = try step.run(step.skewed())
    for rank in [0, 9, 63] {
      let bytes = report.cardUse(rank).reduce(0) { $0 + $1.value } * 50e9 * report.bucket.seconds
      #expect(abs(bytes / Double(report.carried(rank, .nicOut).count) - 1) < 1e-3)
    }
  }
}
