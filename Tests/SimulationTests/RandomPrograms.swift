import Operators
import Programs
import TestSupport
import Timing
import Units

/// A legal program of shared codes with costs: events in one global order, each appended to the codes that take part.
///
/// - Parameter sharing: Tasks load links and slow down beside compute.
func drawProgram(
  _ random: inout SeededGenerator, sharing: Bool
) throws -> (verified: VerifiedProgram, costs: ProgramCosts) {
  let codeCount = random.pick(1...4)
  let copies = random.pick(1...2)
  let ranks = codeCount * copies
  let communicators = [
    Communicator(
      name: "pipeline", ranks: ranks,
      groups: (0..<copies).map { copy in (0..<codeCount).map { $0 * copies + copy } }),
    Communicator(
      name: "team", ranks: ranks,
      groups: (0..<codeCount).map { code in (0..<copies).map { code * copies + $0 } }),
  ]
  var codes = (0..<codeCount).map { Code(name: "code \($0)") }
  var costs = [[Cost]](repeating: [], count: codeCount)
  func add(_ task: Code.Task, to code: Int, _ cost: Cost) {
    let count = codes[code].count
    let after = (0..<random.pick(0...2)).compactMap { _ in
      count == 0 ? nil : TaskIndex(random.pick(0...count - 1))
    }
    codes[code].append(task, after: after)
    costs[code].append(cost)
  }
  func cost() -> Cost {
    var cost = Cost(alone: Span(picoseconds: Int64(random.chance(6) ? 0 : random.pick(1...9) * 1000)))
    if sharing {
      func share() -> Double { random.chance(2) ? 0 : Double(random.pick(1...10)) / 10 }
      cost.linkShare = (share(), share(), share(), share())
      cost.slowdownBesideCompute = random.chance(2) ? 1 : 1 + Double(random.pick(1...8)) / 8
    }
    return cost
  }
  for event in 0..<random.pick(1...30) {
    switch random.pick(0...3) {
    case 0, 1:
      var task = Code.Task(.compute, on: .compute)
      task.work = 0
      add(task, to: random.pick(0...codeCount - 1), Cost(alone: cost().alone))
    case 2 where codeCount > 1:
      let from = random.pick(0...codeCount - 1)
      let to = (from + random.pick(1...codeCount - 1)) % codeCount
      let isForward = random.chance(2)
      let price = cost()
      for (kind, own, peer) in [(TaskKind.send, from, to), (.receive, to, from)] {
        var task = Code.Task(
          kind, on: .pipeline(isSend: kind == .send, isForward: isForward, toHigherRank: peer > own))
        task.communicator = 0
        task.peer = Int32(peer)
        task.tag = Int32(event)
        add(task, to: own, price)
      }
    default:
      let communicator = random.pick(0...1)
      let only = random.pick(0...codeCount - 1)
      var task = Code.Task(.allReduce, on: random.chance(2) ? .communication : .reduction)
      task.communicator = Int32(communicator)
      let price = cost()
      for code in 0..<codeCount where communicator == 0 || only == code { add(task, to: code, price) }
    }
  }
  let program = Program(
    name: "random", codes: codes, codeOfRank: (0..<ranks).map { Int32($0 / copies) },
    communicators: communicators,
    works: [Work(name: "work", pass: .forward, kernels: [])])
  let verified = try VerifiedProgram(program)
  return (verified, ProgramCosts(verified) { costs[$0][$1] })
}

/// The same costs where ranks share processors: compute wants one whole, a transfer some part, all of one or none.
func sharingProcessors(
  _ verified: VerifiedProgram, _ costs: ProgramCosts, _ random: inout SeededGenerator
) -> ProgramCosts {
  let processors = SharedProcessors(
    processorsPerNode: random.pick(1...3), ranksPerNode: random.pick(1...verified.program.ranks))
  return ProgramCosts(verified, processors: processors) { code, task in
    var cost = costs.cost(role: verified.roles.codeOfRole.firstIndex(of: Int32(code))!, task: task)
    let isCompute = verified.program.codes[code].kind[task] == .compute
    cost.processorShare = isCompute ? 1 : Double(cost.alone.picoseconds / 1000 % 5) / 4
    return cost
  }
}
