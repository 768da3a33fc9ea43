import TestSupport
import Testing

@testable import Programs

@Suite struct `Bytes between ranks` {
  private func expectBytes(of program: Program, rank: Int, task: Int, _ sent: Int, _ received: Int) {
    #expect(program.bytesSent(rank: rank, task: task) == Int64(sent))
    #expect(program.bytesReceived(rank: rank, task: task) == Int64(received))
  }

  /// One collective of all ranks, which run one code.
  private func collective(_ kind: TaskKind, members: Int, elements: Int, elementBytes: Int) -> Program {
    var task = Code.Task(kind, on: .reduction)
    task.communicator = 0
    task.bytes = Int64(elements * elementBytes)
    task.elementBytes = Int32(elementBytes)
    return Program(
      name: "one", codes: [code("all", [(task, [])])], codeOfRank: Array(repeating: 0, count: members),
      communicators: [Communicator(name: "all", ranks: members, groups: [Array(0..<members)])])
  }

  @Test func `shards follow one another, cover the buffer and differ by one element at most`() {
    var random = SeededGenerator(seed: 61)
    for _ in 0..<500 {
      let (members, elements) = (random.pick(1...70), random.pick(0...1000))
      var next = 0
      for member in 0..<members {
        let part = shard(ofMember: member, members: members, elements: elements)
        #expect(part.lowerBound == next && part.lowerBound == member * elements / members)
        #expect(part.count == elements / members || part.count == elements / members + 1)
        next = part.upperBound
      }
      #expect(next == elements)
    }
    #expect(shard(ofMember: 6, members: 7, elements: .max).upperBound == .max, "no product overflows")
  }

  @Test(arguments: TaskKind.allCases.filter { $0.isCollective && $0 != .dispatch && $0 != .combine })
  func `whatever is sent is received`(kind: TaskKind) throws {
    var random = SeededGenerator(seed: 62)
    for _ in 0..<100 {
      let (members, elements) = (random.pick(1...9), random.pick(0...40))
      let program = collective(kind, members: members, elements: elements, elementBytes: random.pick(1...8))
      let sent = (0..<members).map { program.bytesSent(rank: $0, task: 0) }
      let received = (0..<members).map { program.bytesReceived(rank: $0, task: 0) }
      #expect(sent.reduce(0, +) == received.reduce(0, +) && (sent + received).allSatisfy { $0 >= 0 })
      if members == 1 { #expect(sent == [0]) }
    }
  }

  @Test func `a reduce-scatter hands over all but the own shard, an all-gather hands that to everybody`() {
    // Ten elements of four bytes on four ranks: shards of two, three, two, three.
    let scatter = collective(.reduceScatter, members: 4, elements: 10, elementBytes: 4)
    let gather = collective(.allGather, members: 4, elements: 10, elementBytes: 4)
    let both = collective(.allReduce, members: 4, elements: 10, elementBytes: 4)
    for (rank, own) in [8, 12, 8, 12].enumerated() {
      let (rest, copies) = (40 - own, 3 * own)
      expectBytes(of: scatter, rank: rank, task: 0, rest, copies)
      expectBytes(of: gather, rank: rank, task: 0, copies, rest)
      expectBytes(of: both, rank: rank, task: 0, rest + copies, rest + copies)
    }
  }

  /// Dispatch and combine of a forward chunk on a pair of ranks, or more.
  static func exchange(traffic: TrafficTable?, members: Int = 2, perNode: Int? = nil) -> Program {
    var code = Code(name: "pair")
    code.beginSlot(
      TaskSlot(phase: .forward, forward: StageChunk(stage: 0, part: 0, microBatch: 1, batch: 5)))
    for (index, kind) in [TaskKind.dispatch, .combine].enumerated() {
      var task = Code.Task(kind, on: .communication)
      task.communicator = 0
      task.work = Int32(index)
      task.layer = 3
      task.pass = .forward
      task.tag = kind == .combine ? Exchange.knownLayoutTag : 0
      code.append(task, after: [])
    }
    func exchange(_ metadata: Int) -> Exchange {
      Exchange(
        tokens: 8, nodesPerToken: 1, remoteNodesPerToken: 0, ranksPerToken: 1.5, forwardedPerToken: 1,
        bytesPerToken: 100, metadataBytesPerToken: metadata, membersPerNode: perNode)
    }
    return Program(
      name: "pair", codes: [code], codeOfRank: Array(repeating: 0, count: members),
      communicators: [Communicator(name: "expert", ranks: members, groups: [Array(0..<members)])],
      exchanges: [exchange(16), exchange(0)], traffic: traffic)
  }

  @Test func `dispatch and combine follow the table, each row with what travels beside it`() throws {
    var traffic = TrafficTable(members: 2)
    traffic.set([5, 7, 6, 2], at: TrafficTable.Key(layer: 3, batch: 5, group: 0))
    let program = Self.exchange(traffic: traffic)
    let verified = try VerifiedProgram(program)
    #expect(verified.roles.count == 2 && !verified.roles.isSymmetric, "ranks are told apart")
    // Seven rows there, six back; the counts go ahead of an unknown layout.
    expectBytes(of: program, rank: 0, task: 0, 7 * 116 + 4, 6 * 116 + 4)
    expectBytes(of: program, rank: 1, task: 0, 6 * 116 + 4, 7 * 116 + 4)
    expectBytes(of: program, rank: 0, task: 1, 6 * 100, 7 * 100)
    expectBytes(of: program, rank: 1, task: 1, 7 * 100, 6 * 100)
    // Without it, what half of all copies are on average.
    let average = Self.exchange(traffic: nil)
    expectBytes(of: average, rank: 0, task: 0, 6 * 116 + 4, 6 * 116 + 4)
    expectBytes(of: average, rank: 1, task: 1, 600, 600)
  }

  @Test func `in two hops a row goes once to a node, and on from where it landed`() throws {
    var traffic = TrafficTable(members: 4, membersPerNode: 2)
    traffic.set(
      [1, 2, 3, 4, 0, 1, 2, 0, 3, 0, 1, 1, 1, 1, 1, 1], nodeRows: [2, 5, 1, 2, 3, 2, 2, 1],
      at: TrafficTable.Key(layer: 3, batch: 5, group: 0))
    let program = Self.exchange(traffic: traffic, members: 4, perNode: 2)
    _ = try VerifiedProgram(program)
    // Rank 0 sends 5 rows to the other node and hands on 2 + 0; it gets 3 from there, and 0 + 1 from its neighbour.
    expectBytes(of: program, rank: 0, task: 0, 7 * 116 + 8, 4 * 116 + 8)
    expectBytes(of: program, rank: 0, task: 1, 4 * 100, 7 * 100)
    for task in 0..<2 {
      let bytes = (0..<4).map { program.bytes(rank: $0, task: task) }
      #expect(bytes.reduce(0) { $0 + $1.sent } == bytes.reduce(0) { $0 + $1.received })
    }
    #expect(try Program(text: program.text) == program)
    // A table that does not count by node says too little.
    var flat = TrafficTable(members: 4)
    flat.set(Array(repeating: 1, count: 16), at: TrafficTable.Key(layer: 3, batch: 5, group: 0))
    for wrong in [
      Self.exchange(traffic: flat, members: 4, perNode: 2),
      Self.exchange(traffic: nil, members: 4, perNode: 3),
      Self.exchange(traffic: nil, members: 4, perNode: 0),
    ] {
      #expect(throws: VerificationError.self) { try VerifiedProgram(wrong) }
    }
  }

  @Test func `a table is the same whatever the order of its making`() {
    let keys = (0..<6).map { TrafficTable.Key(layer: $0 % 2, batch: $0 / 2, group: 0) }
    var (one, other) = (TrafficTable(members: 1), TrafficTable(members: 1))
    for (index, key) in keys.enumerated() { one.set([Int32(index)], at: key) }
    for (index, key) in keys.enumerated().reversed() { other.set([Int32(index)], at: key) }
    #expect(one == other && one.hashValue == other.hashValue && one.keys == keys.sorted())
    other.set([9], at: keys[0])
    #expect(one != other && other.rows(at: keys[0]) == [9] && other.keys.count == 6)
  }
}
