import Operators
import TestSupport

@testable import Programs

/// Tasks of a code before they are built, so that tests can break them.
typealias Draft = [(task: Code.Task, after: [TaskIndex])]

func code(_ name: String, _ draft: Draft) -> Code {
  var code = Code(name: name)
  code.beginSlot(TaskSlot(phase: .optimizer))
  for (task, after) in draft { code.append(task, after: after) }
  return code
}

let someWork = Work(
  name: "attention forward", pass: .forward,
  kernels: [.memoryPass(MemoryPass(bytesRead: 1, bytesWritten: 1))])

/// A legal program of shared codes: events (a message between two codes, a collective of all) in one global order.
///
/// Rank `c * copies + i` is the i-th copy of code c. Pipelines hold one copy of each code, teams all copies of one.
func drawLegalProgram(_ random: inout SeededGenerator) -> (program: Program, drafts: [Draft]) {
  let codes = random.pick(1...4)
  let copies = random.pick(1...3)
  let ranks = codes * copies
  var communicators = [
    Communicator(
      name: "pipeline", ranks: ranks,
      groups: (0..<copies).map { copy in (0..<codes).map { $0 * copies + copy } }),
    Communicator(
      name: "team", ranks: ranks, groups: (0..<codes).map { code in (0..<copies).map { code * copies + $0 } }),
    Communicator(name: "world", ranks: ranks, groups: [Array(0..<ranks)]),
  ]
  if random.chance(3) {
    // Pipelines whose members are not alike placed: symmetry is lost, everything else holds.
    communicators[1] = Communicator(
      name: "odd", ranks: ranks,
      groups: [(0..<ranks).filter { $0 % 2 == 0 }, (0..<ranks).filter { $0 % 2 == 1 }])
  }
  var drafts = [Draft](repeating: [], count: codes)
  func add(_ task: Code.Task, to code: Int) {
    let count = drafts[code].count
    let after = (0..<random.pick(0...2)).compactMap { _ in
      count == 0 ? nil : TaskIndex(random.pick(0...count - 1))
    }
    drafts[code].append((task, after))
  }
  for event in 0..<random.pick(1...14) {
    switch random.pick(0...3) {
    case 0:
      var task = Code.Task(.compute, on: .compute)
      task.work = 0
      add(task, to: random.pick(0...codes - 1))
    case 1 where codes > 1:
      let from = random.pick(0...codes - 1)
      let to = (from + random.pick(1...codes - 1)) % codes
      for (kind, own, peer) in [(TaskKind.send, from, to), (.receive, to, from)] {
        var task = Code.Task(
          kind, on: .pipeline(isSend: kind == .send, isForward: true, toHigherRank: peer > own))
        task.communicator = 0
        task.peer = Int32(peer)
        task.tag = Int32(event % 3)
        task.bytes = 64
        add(task, to: own)
      }
    default:
      let communicator = random.pick(0...2)
      // A team may meet alone; the others take everybody along.
      let only = communicator == 1 && communicators[1].name == "team" ? random.pick(0...codes - 1) : nil
      var task = Code.Task(
        random.chance(2) ? .allReduce : .barrier, on: random.chance(2) ? .communication : .reduction)
      task.communicator = Int32(communicator)
      task.bytes = Int64(random.pick(0...2))
      for code in 0..<codes where only == nil || only == code { add(task, to: code) }
    }
  }
  let program = Program(
    name: "random", codes: drafts.enumerated().map { code("code \($0.offset)", $0.element) },
    codeOfRank: (0..<ranks).map { Int32($0 / copies) }, communicators: communicators, works: [someWork])
  return (program, drafts)
}

/// The same program after a change that may or may not break it.
func drawMutation(of program: Program, _ drafts: [Draft], _ random: inout SeededGenerator) -> Program {
  var program = program
  var drafts = drafts
  let index = random.pick(0...drafts.count - 1)
  if drafts[index].isEmpty { return program }
  let task = random.pick(0...drafts[index].count - 1)
  switch random.pick(0...8) {
  case 0:
    let other = random.pick(0...drafts[index].count - 1)
    let moved = drafts[index][task].task
    drafts[index][task].task = drafts[index][other].task
    drafts[index][other].task = moved
  case 1: drafts[index][task].after.append(TaskIndex(random.pick(0...drafts[index].count - 1)))
  case 2: drafts[index][task].task.bytes += 1
  case 3: drafts[index][task].task.tag += 1
  case 4: drafts[index][task].task.peer = Int32(random.pick(-1...drafts.count))
  case 5: drafts[index][task].task.communicator = Int32(random.pick(0...3))
  case 6: drafts[index].append(drafts[index][task])
  case 7: drafts[index].removeLast()
  default:
    let rank = random.pick(0...program.ranks - 1)
    program.codeOfRank[rank] = Int32(random.pick(0...drafts.count - 1))
  }
  for index in drafts.indices {
    drafts[index] = drafts[index].map { ($0.task, $0.after.filter { $0 < drafts[index].count }) }
  }
  program.codes = drafts.enumerated().map { code("code \($0.offset)", $0.element) }
  return program
}

extension Program {
  /// The same program with a code for each rank.
  var expanded: Program {
    var program = self
    program.codes = codeOfRank.map { codes[Int($0)] }
    program.codeOfRank = (0..<ranks).map(Int32.init)
    return program
  }
}

/// A program of anything at all, for the text form: most of them could not run.
func drawAnything(_ random: inout SeededGenerator) -> Program {
  func name() -> String {
    let letters = Array("ab\"\\\n\r #=é🦆\t")
    return String((0..<random.pick(0...6)).map { _ in letters[random.pick(0...letters.count - 1)] })
  }
  func real() -> Double {
    random.chance(2) ? Double(random.pick(0...9)) : Double.random(in: 0...1e12, using: &random)
  }
  let ranks = random.pick(0...40)
  let codes = random.pick(1...3)
  var program = Program(name: name())
  program.codeOfRank = (0..<ranks).map { _ in Int32(random.pick(0...codes)) }
  program.communicators = (0..<random.pick(0...3)).map { _ in
    var members = Array(0..<ranks).filter { _ in !random.chance(4) }
    if random.chance(2) { members.shuffle(using: &random) }
    var groups: [[Int]] = [[]]
    for member in members {
      if random.chance(5) { groups.append([]) }
      groups[groups.count - 1].append(member)
    }
    return Communicator(name: name(), ranks: ranks, groups: groups)
  }
  program.exchanges = (0..<random.pick(0...2)).map { _ in
    Exchange(
      tokens: real(), nodesPerToken: real(), remoteNodesPerToken: real(), ranksPerToken: real(),
      forwardedPerToken: real(), bytesPerToken: real(), metadataBytesPerToken: random.pick(0...64),
      fullestRank: random.chance(2) ? 1 : real(), fullestNode: random.chance(2) ? 1 : real(),
      membersPerNode: random.chance(3) ? random.pick(1...4) : nil)
  }
  program.works = (0..<random.pick(0...3)).map { _ in
    var work = Work(
      name: name(), pass: Pass.allCases[random.pick(0...2)],
      section: Section.allCases[random.pick(0...Section.allCases.count - 1)],
      kernels: (0..<random.pick(0...3)).map { _ in drawKernel(&random) })
    if random.chance(3) { (work.rows, work.idle) = (real(), Int32(random.pick(0...9))) }
    return work
  }
  program.codes = (0..<codes).map { _ in drawAnyCode(name(), &random) }
  if random.chance(3) {
    let perNode = random.chance(2) ? random.pick(1...2) : nil
    var traffic = TrafficTable(members: (perNode ?? 1) * random.pick(1...3), membersPerNode: perNode)
    for _ in 0..<random.pick(0...4) {
      let rows = (0..<traffic.members * traffic.members).map { _ in Int32(random.pick(0...99)) }
      let key = TrafficTable.Key(
        layer: random.pick(0...3), batch: random.pick(0...3), group: random.pick(0...3))
      let nodeRows = (0..<traffic.members * traffic.nodes).map { _ in Int32(random.pick(0...99)) }
      traffic.set(rows, nodeRows: nodeRows, at: key)
      if random.chance(2) { traffic.setPairs(Array(rows.prefix(traffic.members)), at: key) }
    }
    program.traffic = traffic
  }
  return program
}

private func drawKernel(_ random: inout SeededGenerator) -> Kernel {
  let format = Format.allCases[random.pick(0...Format.allCases.count - 1)]
  switch random.pick(0...2) {
  case 0:
    return .matrixProduct(
      MatrixProduct(
        MatrixProduct.Kind.allCases[random.pick(0...2)], rows: Double(random.pick(0...9)) / 3,
        columns: random.pick(0...9999), depth: 7, count: random.pick(1...3), format: format))
  case 1:
    return .fusedAttention(
      FusedAttention(
        sequences: 1.5, queries: random.pick(1...9), keys: random.pick(1...9), queryHeads: random.pick(1...9),
        keyValueHeads: 2, queryKeyDimension: 3, valueDimension: 4, isCausal: random.chance(2),
        isBackward: random.chance(2), format: format))
  default:
    return .memoryPass(
      MemoryPass(
        bytesRead: 1e300.squareRoot().rounded() / 1e140, bytesWritten: 2, launches: random.pick(0...3)))
  }
}

private func drawAnyCode(_ name: String, _ random: inout SeededGenerator) -> Code {
  var code = Code(name: name)
  func chunk() -> StageChunk? {
    random.chance(2)
      ? nil
      : StageChunk(
        stage: random.pick(0...3), part: random.pick(0...1), microBatch: random.pick(0...9),
        batch: random.chance(2) ? nil : random.pick(0...19))
  }
  for _ in 0..<random.pick(0...12) {
    if code.slots.isEmpty || random.chance(3) {
      code.beginSlot(TaskSlot(phase: Phase.allCases[random.pick(0...5)], forward: chunk(), backward: chunk()))
    }
    if random.chance(5) { continue }
    var task = Code.Task(
      TaskKind.allCases[random.pick(0...TaskKind.allCases.count - 1)],
      on: Lane.all[random.pick(0...Lane.count - 1)])
    task.segment = Int32(random.pick(-1...3))
    task.pass = TaskPass.allCases[random.pick(0...TaskPass.allCases.count - 1)]
    task.purpose = TaskPurpose.allCases[random.pick(0...TaskPurpose.allCases.count - 1)]
    task.elementBytes = Int32(random.pick(1...4))
    task.work = Int32(random.pick(-1...3))
    task.communicator = Int32(random.pick(-1...3))
    task.peer = Int32(random.pick(-1...3))
    task.tag = Int32(random.pick(-2...9))
    task.bytes = Int64(random.pick(0...1_000_000))
    task.layer = Int32(random.pick(-1...5))
    task.memory = Int64(random.pick(-9...9))
    code.append(task, after: (0..<random.pick(0...3)).map { _ in TaskIndex(random.pick(0...12)) })
  }
  return code
}
