import Clusters
import Plans
import Programs
import Routing
import Schedules
import Simulation
import TestSupport
import Testing
import Timelines
import Timing
import Units

@Suite struct `With uneven experts` {
  private static let skewed = ExpertPopularity.zipf(exponents: [1])

  /// A mixture on two pipeline ranks of eight, four experts a group, two on each node.
  private func planned(
    _ popularity: ExpertPopularity, placement: ExpertPlacementName = .contiguous, redundant: Int = 0,
    seed: UInt64 = 1, schedule: ScheduleName = .dualPipe
  ) throws -> (plan: ValidPlan, order: PipelineOrder) {
    var planned = Planned(schedule: schedule, pipeline: 2, microBatches: 4, data: 4, isMixture: true)
    (planned.predictionDepth, planned.hasSelectionBias, planned.gpusPerNode) = (1, true, 2)
    planned.change = {
      ($0.expert, $0.expertPlacement, $0.redundantExperts) = (4, placement, redundant)
      if popularity != .balanced { $0.routing = .zipf(exponent: 1) }
    }
    let (plan, order) = try planned.lowered()
    return (
      plan.loaded(by: RoutingSample(model: plan.model, popularity: popularity, seed: seed)), order
    )
  }

  private func run(_ program: Program, _ plan: ValidPlan) throws -> Timeline {
    let verified = try VerifiedProgram(program)
    return Simulator.run(verified, costs: try ProgramCosts(verified, on: plan.cluster))
  }

  private func step(
    _ popularity: ExpertPopularity, placement: ExpertPlacementName = .contiguous, redundant: Int = 0,
    seed: UInt64 = 1
  ) throws -> (program: Program, length: Span) {
    let (plan, order) = try planned(popularity, placement: placement, redundant: redundant, seed: seed)
    let program = lower(plan, order: order, seed: 1)
    return (program, try run(program, plan).makespan)
  }

  @Test func `the step is longer, and the balancer shortens it`() throws {
    let balanced = try step(.balanced).length
    let uneven = try step(Self.skewed).length
    let placed = try step(Self.skewed, placement: .eplb).length
    #expect(balanced < uneven)
    #expect(placed < uneven)
  }

  @Test func `balanced experts give the same program, wherever they lie`() throws {
    #expect(try step(.balanced).program == step(.balanced, placement: .eplb).program)
  }

  @Test func `a program follows from its seed`() throws {
    #expect(
      try step(Self.skewed, placement: .eplb, redundant: 8).program
        == step(Self.skewed, placement: .eplb, redundant: 8).program)
    #expect(try step(Self.skewed).program != step(Self.skewed, seed: 2).program)
  }

  @Test func `ranks stay alike, and every layer has exchanges and products of its own`() throws {
    let program = try step(Self.skewed).program
    #expect(try VerifiedProgram(program).roles.isSymmetric)
    #expect(program.exchanges.count == 4 * 5, "four decoder layers and a module")
    #expect(program.exchanges.allSatisfy { $0.fullestRank > 1 })
    #expect(Set(program.works.filter { $0.section == .experts && $0.pass == .forward }).count == 5)
    #expect(try Program(text: program.text) == program)
  }

  @Test func `replicas' gradients are added once a step for each layer, shards only`() throws {
    let (plan, order) = try planned(Self.skewed, placement: .eplb, redundant: 8)
    let program = lower(plan, order: order, seed: 1)
    for code in program.codes {
      let sums = (0..<code.count).filter { code.purpose[$0] == .replicaGradients }
      let reductions = (0..<code.count).filter {
        code.purpose[$0] == .gradients
          && program.communicators[Int(code.communicator[$0])].name == "expert_data"
      }
      #expect(sums.count == 5, "both stages lie on both ranks")
      for sum in sums {
        let before = reductions.last { $0 < sum }
        #expect(before.map { code.tag[$0] == code.tag[sum] } == true)
        #expect(before.map { code.bytes[sum] <= code.bytes[$0] / Int64(plan.expertCopies) + 4 } == true)
        #expect(program.communicators[Int(code.communicator[sum])].name == "expert")
      }
    }
    let single = lower(try planned(Self.skewed, placement: .eplb).plan, order: order, seed: 1)
    #expect(single.codes.allSatisfy { !$0.purpose.contains(.replicaGradients) })
  }

  @Test func `ranks apart compute their own pairs, and the fullest sets the pace`() throws {
    let (plan, order) = try planned(Self.skewed, schedule: .oneForwardOneBackward)
    let draw = try #require(RoutingDraw(model: plan.model, popularity: Self.skewed, seed: 1))
    let traffic = TrafficTable(plan, drawnBy: draw)
    let program = lower(plan, order: order, seed: 1, traffic: traffic)
    #expect(try Program(text: program.text) == program)
    let timeline = try run(program, plan)
    for key in traffic.keys {
      let pairs = traffic.pairs(at: key) ?? []
      #expect(pairs.reduce(0, +) == Int32(4 * plan.residualTokens * 2), "two experts for every token")
    }
    // On one rank, more pairs take longer; and a rank without the most waits.
    var lengths: [Int32: Set<Int64>] = [:]
    for rank in 0..<program.ranks {
      let code = program.codes[Int(program.codeOfRank[rank])]
      for task in 0..<code.count where code.kind[task] == .compute {
        guard let pairs = program.expertPairs(rank: rank, task: task),
          program.works[Int(code.work[task])].pass == .forward
        else { continue }
        lengths[pairs, default: []].insert(timeline.ended[rank][task] - timeline.began[rank][task])
      }
    }
    let sorted = lengths.sorted { $0.key < $1.key }
    #expect(sorted.count > 8)
    let (few, many) = (sorted.first?.value.min() ?? 0, sorted.last?.value.max() ?? 0)
    #expect(few > 0 && few < many)
    // The symmetric step has every layer's fullest rank in one: no shorter than ranks apart, but for chance.
    let symmetric = try run(lower(plan, order: order, seed: 1), plan).makespan
    #expect(timeline.makespan.seconds < symmetric.seconds * 1.1)
    #expect(timeline.makespan.seconds > symmetric.seconds * 0.8)
  }

  @Test func `a work for as many pairs as it stands for is itself`() throws {
    let (plan, order) = try planned(Self.skewed, schedule: .oneForwardOneBackward)
    let draw = try #require(RoutingDraw(model: plan.model, popularity: Self.skewed, seed: 1))
    let program = lower(plan, order: order, seed: 1, traffic: TrafficTable(plan, drawnBy: draw))
    let works = program.works.indices.filter { program.works[$0].idle >= 0 }
    #expect(!works.isEmpty)
    for work in works {
      #expect(program.kernels(of: work, pairs: 0) == program.works[Int(program.works[work].idle)].kernels)
    }
    var broken = program
    broken.works[works[0]].idle = 9999
    #expect(throws: VerificationError.self) { try VerifiedProgram(broken) }
  }
}
