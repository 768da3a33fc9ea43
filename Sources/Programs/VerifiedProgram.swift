import Operators

/// A program that is proven to run to its end: back ends take it and need no checks of their own.
///
/// Proven: every send has its receive; every member of a group meets its collectives in the same order;
/// nothing waits in a circle (lane order included); every chunk stands exactly once and no backward precedes
/// its forward; activation memory never goes below zero; a table of traffic speaks of every exchange; what a member of
/// an uneven all-to-all sends is what the other awaits.
public struct VerifiedProgram: Sendable {
  public let program: Program
  public let roles: Roles
  public let meetings: Meetings
  /// Per code, who waits for each task (the edges reversed).
  public let dependents: [Adjacency]

  /// - Throws: ``VerificationError`` that names ranks and tasks.
  /// - Complexity: O(tasks of the roles + edges + ranks × communicators).
  public init(_ program: Program) throws(VerificationError) {
    try checkReferences(of: program)
    try checkChunks(of: program)
    try checkWorks(of: program)
    try checkTraffic(of: program)
    try checkSplits(of: program)
    let roles = Roles(of: program)
    let meetings = try Meetings(of: program, roles: roles)
    try checkTransposition(of: program, roles: roles, meetings: meetings)
    let dependents = program.codes.map { Adjacency(reversing: $0) }
    self.program = program
    self.roles = roles
    self.meetings = meetings
    self.dependents = dependents
    var interpreter = Interpreter(program, roles: roles, meetings: meetings, dependents: dependents)
    try interpreter.run()
  }

  public func code(ofRole role: Int) -> Code { program.codes[Int(roles.codeOfRole[role])] }
}

/// Lists of numbers, back to back: `targets[offsets[i]..<offsets[i + 1]]` belong to `i`.
public struct Adjacency: Hashable, Sendable {
  public private(set) var offsets: [Int32]
  public private(set) var targets: [Int32]

  public subscript(index: Int) -> ArraySlice<Int32> {
    targets[Int(offsets[index])..<Int(offsets[index + 1])]
  }

  init(reversing code: Code) {
    var counts = Array(repeating: Int32(0), count: code.count + 1)
    for target in code.dependencies { counts[Int(target) + 1] += 1 }
    for index in 0..<code.count { counts[index + 1] += counts[index] }
    offsets = counts
    targets = Array(repeating: 0, count: code.dependencies.count)
    var cursor = counts
    for task in 0..<code.count {
      for dependency in code.dependencies(of: task) {
        targets[Int(cursor[Int(dependency)])] = Int32(task)
        cursor[Int(dependency)] += 1
      }
    }
  }

  init(lists: [[Int32]]) {
    offsets = [0]
    targets = []
    for list in lists {
      targets.append(contentsOf: list)
      offsets.append(Int32(targets.count))
    }
  }
}

private func checkReferences(of program: Program) throws(VerificationError) {
  if let rank = program.codeOfRank.firstIndex(where: { !program.codes.indices.contains(Int($0)) }) {
    throw .brokenReference("rank \(rank) runs code \(program.codeOfRank[rank]) of \(program.codes.count)")
  }
  for communicator in program.communicators where communicator.groupOfRank.count != program.ranks {
    throw .brokenReference(
      "communicator \(communicator.name) speaks of \(communicator.groupOfRank.count) ranks")
  }
  for (index, code) in program.codes.enumerated() {
    if let target = code.dependencies.first(where: { $0 < 0 || $0 >= code.count }) {
      throw .brokenReference("\(code.name) has an edge to task \(target) of \(code.count)")
    }
    try checkMemory(of: code, index: index, in: program)
    for task in 0..<code.count {
      let kind = code.kind[task]
      if kind == .compute {
        if code.work[task] < 0 || code.work[task] >= program.works.count {
          throw .brokenReference("\(program.describe(code: index, task: task)) has no work")
        }
        continue
      }
      if !program.communicators.indices.contains(Int(code.communicator[task])) {
        throw .brokenReference("\(program.describe(code: index, task: task)) has no communicator")
      }
      if kind == .dispatch || kind == .combine, !program.exchanges.indices.contains(Int(code.work[task])) {
        throw .brokenReference("\(program.describe(code: index, task: task)) has no exchange")
      }
      if kind == .dispatch || kind == .combine,
        let perNode = program.exchanges[Int(code.work[task])].membersPerNode
      {
        let communicator = program.communicators[Int(code.communicator[task])]
        guard perNode > 0,
          (0..<communicator.groupCount).allSatisfy({ communicator.group($0).count % perNode == 0 })
        else {
          throw .brokenReference(
            "\(program.describe(code: index, task: task)) has nodes of \(perNode) that do not divide its group"
          )
        }
      }
      if code.bytes[task] < 0 || code.elementBytes[task] < 1
        || code.bytes[task] % Int64(code.elementBytes[task]) != 0
      {
        throw .brokenReference(
          "\(program.describe(code: index, task: task)) carries \(code.bytes[task]) bytes, "
            + "\(code.elementBytes[task]) an element")
      }
    }
  }
}

/// Works that depend on pairs of token and expert are comparable with what they are for none.
private func checkWorks(of program: Program) throws(VerificationError) {
  for work in program.works where work.idle >= 0 {
    guard Int(work.idle) < program.works.count, work.rows > 0, work.rows.isFinite else {
      throw .brokenReference("work \"\(work.name)\" names no work for no rows, or no rows")
    }
    let idle = program.works[Int(work.idle)]
    guard idle.kernels.count == work.kernels.count,
      zip(idle.kernels, work.kernels).allSatisfy({ $0.isSameKind(as: $1) })
    else {
      throw .disagreement("work \"\(work.name)\" has other kernels than \"\(idle.name)\"")
    }
  }
}

extension Kernel {
  fileprivate func isSameKind(as other: Kernel) -> Bool {
    switch (self, other) {
    case (.matrixProduct(let a), .matrixProduct(let b)):
      a.kind == b.kind && a.columns == b.columns && a.count == b.count && a.format == b.format
    case (.memoryPass(let a), .memoryPass(let b)): a.launches == b.launches
    case (.fusedAttention(let a), .fusedAttention(let b)): a == b
    default: false
    }
  }
}

/// Every exchange of every rank stands in the table, with as many members as its group has.
private func checkTraffic(of program: Program) throws(VerificationError) {
  guard let traffic = program.traffic else { return }
  // Members of a group run the same exchanges, or the meetings refuse them; so one member of each code will do.
  struct Place: Hashable {
    var communicator: Int32
    var group: Int32
    var code: Int32
  }
  var seen: Set<Place> = []
  for rank in 0..<program.ranks {
    let code = program.codes[Int(program.codeOfRank[rank])]
    for task in 0..<code.count where code.kind[task] == .dispatch || code.kind[task] == .combine {
      let communicator = program.communicators[Int(code.communicator[task])]
      let place = Place(
        communicator: code.communicator[task], group: communicator.groupOfRank[rank],
        code: program.codeOfRank[rank])
      if seen.contains(place) { continue }
      let perNode = program.exchanges[Int(code.work[task])].membersPerNode
      guard communicator.group(ofRank: rank).count == traffic.members,
        program.traffic(rank: rank, task: task) != nil, perNode == nil || perNode == traffic.membersPerNode
      else {
        throw .brokenReference(
          "rank \(rank): the traffic does not speak of "
            + program.describe(code: Int(program.codeOfRank[rank]), task: task))
      }
    }
    for (index, communicator) in program.communicators.enumerated() {
      seen.insert(
        Place(
          communicator: Int32(index), group: communicator.groupOfRank[rank], code: program.codeOfRank[rank]))
    }
  }
}

/// Memory is counted on the compute lane alone, whose order is the same on every back end; so what is proven
/// for the interpreter's order holds for all.
private func checkMemory(of code: Code, index: Int, in program: Program) throws(VerificationError) {
  var total: Int64 = 0
  for task in 0..<code.count where code.memory[task] != 0 {
    guard code.lane[task] == .compute else {
      throw .negativeMemory(
        "\(program.describe(code: index, task: task)) counts memory away from the compute lane")
    }
    let (sum, overflows) = total.addingReportingOverflow(Int64(clamping: code.memory[task].magnitude))
    guard !overflows else {
      throw .negativeMemory(
        "\(program.describe(code: index, task: task)) counts more memory than there can be")
    }
    total = sum
  }
}

/// Every chunk once: a forward, and either one full backward or one input gradient and one weight gradient.
private func checkChunks(of program: Program) throws(VerificationError) {
  struct Seen {
    var forward = false
    var input = false
    var weight = false
  }
  for code in program.codes {
    var seen: [StageChunk: Seen] = [:]
    func refuse(_ chunk: StageChunk, _ what: String) -> VerificationError {
      .chunks("\(code.name): micro-batch \(chunk.microBatch) of stage \(chunk.stage) \(what)")
    }
    for slot in code.slots {
      // A pair's backward is of a chunk that went forward before, not of the pair's own.
      defer { if let chunk = slot.forward { seen[chunk, default: Seen()].forward = true } }
      if let chunk = slot.forward, seen[chunk]?.forward == true { throw refuse(chunk, "goes forward twice") }
      guard let chunk = slot.backward else { continue }
      guard seen[chunk]?.forward == true else { throw refuse(chunk, "goes backward before it went forward") }
      let doesInput = slot.phase != .backwardWeight
      let doesWeight = slot.phase != .backwardInput
      if doesInput {
        if seen[chunk]!.input { throw refuse(chunk, "goes backward twice") }
        seen[chunk]!.input = true
      }
      if doesWeight {
        if !seen[chunk]!.input { throw refuse(chunk, "has its weight gradient before its input gradient") }
        if seen[chunk]!.weight { throw refuse(chunk, "has its weight gradient twice") }
        seen[chunk]!.weight = true
      }
    }
    let isTraining = isTraining(code)
    let open = seen.filter { _, chunk in
      chunk.input != chunk.weight || (isTraining && chunk.forward != chunk.input)
    }
    if let chunk = open.keys.min(by: { ($0.stage, $0.microBatch) < ($1.stage, $1.microBatch) }) {
      throw refuse(chunk, "never comes back")
    }
  }
}

/// A code without any backward slot is inference, where forwards stand alone.
private func isTraining(_ code: Code) -> Bool { code.slots.contains { $0.backward != nil } }
