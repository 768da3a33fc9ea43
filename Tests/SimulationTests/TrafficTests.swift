import Clusters
import Plans
import Programs
import Schedules
import Simulation
import TestSupport
import Testing
import Timelines
import Timing
import Units

@Suite struct `With a table of traffic` {
  private struct Setting {
    var plan: ValidPlan
    var order: PipelineOrder
    var traffic: TrafficTable
  }

  /// A mixture on two pipeline ranks of eight, four experts a group, with rows drawn for every exchange.
  private func draw(
    _ schedule: ScheduleName, seed: UInt64, rows: (inout SeededGenerator, _ member: Int) -> Int
  ) throws -> Setting {
    var planned = Planned(schedule: schedule, pipeline: 2, microBatches: 4, data: 4, isMixture: true)
    (planned.predictionDepth, planned.hasSelectionBias, planned.gpusPerNode) = (1, true, 2)
    planned.change = { $0.expert = 4 }
    let (plan, order) = try planned.lowered()
    var random = SeededGenerator(seed: seed)
    var traffic = TrafficTable(members: 4)
    for group in 0..<plan.grid.count(of: .expert) {
      for layer in 0..<plan.model.layers + 1 {
        for batch in 0..<plan.microBatches {
          let counts = (0..<16).map { Int32(rows(&random, $0 / 4)) }
          traffic.set(counts, at: TrafficTable.Key(layer: layer, batch: batch, group: group))
        }
      }
    }
    return Setting(plan: plan, order: order, traffic: traffic)
  }

  private func simulate(
    _ setting: Setting, traffic: TrafficTable?
  ) throws -> (program: Program, timeline: Timeline) {
    let program = lower(setting.plan, order: setting.order, seed: 1, traffic: traffic)
    let verified = try VerifiedProgram(program)
    let costs = try ProgramCosts(verified, on: setting.plan.cluster)
    return (program, Simulator.run(verified, costs: costs))
  }

  /// What a rank hands over, by the rules of each kind and not by the program's own sums.
  private func expected(
    _ program: Program, rank: Int, task: Int, setting: Setting
  ) -> (sent: Int, received: Int) {
    let code = program.codes[Int(program.codeOfRank[rank])]
    let bytes = Int(code.bytes[task])
    if code.kind[task] == .compute { return (0, 0) }
    if code.kind[task] == .send { return (bytes, 0) }
    if code.kind[task] == .receive { return (0, bytes) }
    let group = program.communicators[Int(code.communicator[task])].group(ofRank: rank).map(Int.init)
    let (members, own) = (group.count, group.firstIndex(of: rank) ?? -1)
    if code.kind[task] == .dispatch || code.kind[task] == .combine {
      let key = TrafficTable.Key(
        layer: Int(code.layer[task]), batch: Int(code.chunk(ofTask: task)?.batch ?? -1),
        group: setting.plan.grid.groupIndex(.expert, containing: rank))
      let rows = Array(setting.traffic.rows(at: key) ?? [])
      let others = (0..<members).filter { $0 != own }
      let out = others.reduce(0) { $0 + Int(rows[own * members + $1]) }
      let back = others.reduce(0) { $0 + Int(rows[$1 * members + own]) }
      // bfloat16 rows; two choices of eight bytes on the way there, their gradients on the last way back.
      let isForward = code.pass[task] != .backward
      let isDispatch = code.kind[task] == .dispatch
      let beside = isDispatch && isForward ? 16 : !isDispatch && !isForward ? 8 : 0
      let counts = isDispatch && isForward ? 4 * (members - 1) : 0
      let row = Planned.hidden * 2 + beside
      return isDispatch ? (out * row + counts, back * row + counts) : (back * row, out * row)
    }
    let element = Int(code.elementBytes[task])
    let elements = bytes / element
    let shards = (0..<members).map {
      ((($0 + 1) * elements / members) - ($0 * elements / members)) * element
    }
    let given = shards.indices.filter { $0 != own }.reduce(0) { $0 + shards[$1] }
    let copies = shards[own] * (members - 1)
    switch code.kind[task] {
    case .reduceScatter: return (given, copies)
    case .allGather: return (copies, given)
    default: return (given + copies, given + copies)
    }
  }

  @Test(arguments: [ScheduleName.oneForwardOneBackward, .zeroBubble, .dualPipe, .dualPipeV])
  func `what is lowered is what the simulator carries, byte for byte`(schedule: ScheduleName) throws {
    let setting = try draw(schedule, seed: 71) { random, _ in random.pick(0...99) }
    let (program, timeline) = try simulate(setting, traffic: setting.traffic)
    let verified = timeline.program
    #expect(verified.roles.count == program.ranks)
    var total = 0
    for rank in 0..<program.ranks {
      let code = program.codes[Int(program.codeOfRank[rank])]
      for task in 0..<code.count {
        let expected = expected(program, rank: rank, task: task, setting: setting)
        #expect(Int(timeline.sentBytes[rank][task]) == expected.sent)
        #expect(Int(timeline.receivedBytes[rank][task]) == expected.received)
        #expect(program.bytesSent(rank: rank, task: task) == timeline.sentBytes[rank][task])
        total += expected.sent
      }
    }
    #expect(total > 0)
    for meeting in 0..<verified.meetings.count {
      let members = verified.meetings.participants(of: meeting)
      func sum(_ bytes: [[Int64]]) -> Int64 {
        members.reduce(0) { $0 + bytes[Int(verified.meetings.role[$1])][Int(verified.meetings.task[$1])] }
      }
      #expect(sum(timeline.sentBytes) == sum(timeline.receivedBytes), "nothing is lost on the way")
    }
  }

  @Test func `an exchange lasts as long as its slowest member's rows`() throws {
    let even = try draw(.oneForwardOneBackward, seed: 72) { _, _ in 40 }
    let skewed = try draw(.oneForwardOneBackward, seed: 72) { _, member in member == 2 ? 160 : 0 }
    let (program, slow) = try simulate(skewed, traffic: skewed.traffic)
    let quick = try simulate(even, traffic: even.traffic).timeline
    let times = CollectiveTimes(skewed.plan.cluster)
    for (rank, code) in (0..<program.ranks).map({ ($0, program.codes[Int(program.codeOfRank[$0])]) }) {
      for task in 0..<code.count where code.kind[task] == .dispatch && code.pass[task] == .forward {
        func length(_ timeline: Timeline) -> Int64 {
          timeline.ended[rank][task] - timeline.began[rank][task]
        }
        #expect(length(slow) > length(quick))
        // Member 2 sends all: 160 rows to itself and its neighbour each, twice as many to the other node.
        let alone = times.exchange(
          .dispatch, program.exchanges[0], load: ExchangeLoad(rows: 640, remoteRows: 320),
          shape: GroupShape(ranks: 4, nodes: 2, ranksPerNode: 2), layoutIsKnown: false
        ).alone
        #expect(length(slow) >= alone.picoseconds)
      }
    }
  }

  @Test func `a rank that moves the average takes the average's time`() throws {
    let setting = try draw(.oneForwardOneBackward, seed: 73) { _, _ in 1 }
    let program = lower(setting.plan, order: setting.order, seed: 1)
    let times = CollectiveTimes(setting.plan.cluster)
    for exchange in program.exchanges {
      let shape = GroupShape(ranks: 4, nodes: 2, ranksPerNode: 2)
      let rows = exchange.tokens * exchange.ranksPerToken
      let load = ExchangeLoad(rows: Int64(rows.rounded()), remoteRows: Int64((rows / 2).rounded()))
      let (own, average) = (
        times.exchange(.dispatch, exchange, load: load, shape: shape, layoutIsKnown: false).alone.seconds,
        times.exchange(.dispatch, exchange, shape: shape, layoutIsKnown: false).alone.seconds
      )
      #expect(abs(own / average - 1) < 0.02)
    }
  }

  @Test func `a program prints with its table and parses back`() throws {
    let setting = try draw(.dualPipe, seed: 74) { random, _ in random.pick(0...9) }
    let program = lower(setting.plan, order: setting.order, seed: 1, traffic: setting.traffic)
    #expect(try Program(text: program.text) == program)
  }
}
