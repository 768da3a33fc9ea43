import Operators
import TestSupport
import Testing

@testable import Programs

/// A small program of two ranks, each with its own code, in one group called `pair`.
private func pair(_ first: Draft, _ second: Draft) -> Program {
  Program(
    name: "pair", codes: [code("left", first), code("right", second)], codeOfRank: [0, 1],
    communicators: [Communicator(name: "pair", ranks: 2, groups: [[0, 1]])], works: [someWork])
}

private func compute(memory: Int64 = 0) -> Code.Task {
  var task = Code.Task(.compute, on: .compute)
  task.work = 0
  task.memory = memory
  return task
}

private func message(_ kind: TaskKind, peer: Int32, tag: Int32 = 0, bytes: Int64 = 8, on lane: Lane? = nil)
  -> Code.Task
{
  var task = Code.Task(
    kind, on: lane ?? .pipeline(isSend: kind == .send, isForward: true, toHigherRank: peer == 1))
  task.communicator = 0
  task.peer = peer
  task.tag = tag
  task.bytes = bytes
  return task
}

private func collective(_ kind: TaskKind, bytes: Int64 = 8) -> Code.Task {
  var task = Code.Task(kind, on: .communication)
  task.communicator = 0
  task.bytes = bytes
  return task
}

private func refusal(of program: Program) -> VerificationError? {
  do {
    _ = try VerifiedProgram(program)
    return nil
  } catch {
    return error
  }
}

@Suite struct `The verifier accepts` {
  @Test func `a message with its receive, whichever is posted first`() {
    #expect(refusal(of: pair([(message(.send, peer: 1), [])], [(message(.receive, peer: 0), [])])) == nil)
    #expect(refusal(of: pair([(message(.receive, peer: 1), [])], [(message(.send, peer: 0), [])])) == nil)
  }

  @Test func `a program of nothing`() {
    #expect(refusal(of: Program(name: "empty")) == nil)
    #expect(refusal(of: pair([], [])) == nil)
  }

  @Test func `messages of one address in the order of their sending`() throws {
    let verified = try VerifiedProgram(
      pair(
        [
          (message(.send, peer: 1, tag: 1), []), (message(.send, peer: 1, tag: 2), []),
          (message(.send, peer: 1, tag: 1), []),
        ],
        [
          (message(.receive, peer: 0, tag: 1), []), (message(.receive, peer: 0, tag: 2), []),
          (message(.receive, peer: 0, tag: 1), []),
        ]))
    #expect(verified.meetings.meetingOfTask[0] == verified.meetings.meetingOfTask[1])
    #expect(verified.meetings.count == 3)
  }
}

@Suite struct `The verifier refuses` {
  @Test func `a send that nobody receives`() {
    let error = refusal(of: pair([(message(.send, peer: 1), [])], []))
    guard case .unmatched(let text) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(text.contains("rank 0") && text.contains("left #0 send") && text.contains("pair[1]"))
  }

  @Test func `a receive that nobody sends to, and a tag that is another`() {
    let error = refusal(of: pair([], [(message(.receive, peer: 0), [])]))
    guard case .unmatched(let text) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(text.contains("rank 1") && text.contains("right #0 receive"))
    let other = refusal(
      of: pair([(message(.send, peer: 1, tag: 3), [])], [(message(.receive, peer: 0, tag: 4), [])]))
    guard case .unmatched = other else { return #expect(Bool(false), "\(other as Any)") }
  }

  @Test func `a rank that sends to itself`() {
    let error = refusal(of: pair([(message(.send, peer: 0), []), (message(.receive, peer: 0), [])], []))
    guard case .unmatched = error else { return #expect(Bool(false), "\(error as Any)") }
  }

  @Test func `two ends of a message that disagree on its bytes`() {
    let error = refusal(
      of: pair([(message(.send, peer: 1, bytes: 8), [])], [(message(.receive, peer: 0, bytes: 9), [])]))
    guard case .disagreement(let text) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(text.contains("8 bytes") && text.contains("9 are awaited"))
  }

  @Test func `members of a group that meet collectives in another order`() {
    let error = refusal(
      of: pair(
        [(collective(.allReduce), []), (collective(.allGather), [])],
        [(collective(.allGather), []), (collective(.allReduce), [])]))
    guard case .disagreement(let text) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(
      text.contains("rank 0") && text.contains("rank 1") && text.contains("all_reduce")
        && text.contains("all_gather"))
    let bytes = refusal(
      of: pair([(collective(.allReduce, bytes: 1), [])], [(collective(.allReduce, bytes: 2), [])]))
    guard case .disagreement = bytes else { return #expect(Bool(false), "\(bytes as Any)") }
  }

  @Test func `members of a group that reduce another bucket, or for another purpose`() {
    func reduction(_ bucket: Bucket, _ purpose: TaskPurpose = .gradients) -> Draft {
      var task = collective(.reduceScatter)
      (task.tag, task.purpose) = (bucket.tag, purpose)
      return [(task, [])]
    }
    let (one, other) = (Bucket(stage: 2, segment: 1), Bucket(stage: 2, segment: 3))
    #expect(Bucket(tag: one.tag) == one && Bucket(tag: other.tag) == other)
    #expect(refusal(of: pair(reduction(one), reduction(one))) == nil)
    guard case .disagreement = refusal(of: pair(reduction(one), reduction(other))) else {
      return #expect(Bool(false))
    }
    guard case .disagreement = refusal(of: pair(reduction(one), reduction(one, .parameters))) else {
      return #expect(Bool(false))
    }
  }

  @Test func `a buffer that does not divide into its elements`() {
    var task = collective(.allReduce, bytes: 9)
    task.elementBytes = 4
    guard case .brokenReference(let text) = refusal(of: pair([(task, [])], [(task, [])])) else {
      return #expect(Bool(false))
    }
    #expect(text.contains("9 bytes, 4 an element"))
  }

  @Test func `an exchange that the traffic does not speak of`() {
    #expect(refusal(of: `Bytes between ranks`.exchange(traffic: nil)) == nil)
    var wrong = TrafficTable(members: 2)
    wrong.set([5, 7, 6, 2], at: TrafficTable.Key(layer: 3, batch: 1, group: 0))
    var large = TrafficTable(members: 3)
    large.set(Array(repeating: 1, count: 9), at: TrafficTable.Key(layer: 3, batch: 5, group: 0))
    for traffic in [TrafficTable(members: 2), wrong, large] {
      guard case .brokenReference(let text) = refusal(of: `Bytes between ranks`.exchange(traffic: traffic))
      else { return #expect(Bool(false)) }
      #expect(text.contains("rank 0: the traffic") && text.contains("#0 dispatch"))
    }
  }

  @Test func `a member that never joins`() {
    let error = refusal(of: pair([(collective(.allReduce), [])], []))
    guard case .unmatched(let text) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(text.contains("rank 1 never joins rank 0"))
  }

  @Test func `a collective of a rank that is in no group`() {
    var program = pair([(collective(.allReduce), [])], [])
    program.communicators = [Communicator(name: "pair", ranks: 2, groups: [])]
    guard case .unmatched = refusal(of: program) else { return #expect(Bool(false)) }
  }

  @Test func `tasks that wait for each other`() {
    let error = refusal(
      of: pair([(collective(.barrier), [1]), (compute(), [0])], [(collective(.barrier), [])]))
    guard case .stuck(let tasks) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(tasks.count == 3)
    #expect(tasks.contains { $0.hasPrefix("rank 0: left #0 barrier") && $0.hasSuffix("waits for #1") })
    #expect(tasks.contains { $0.hasPrefix("rank 0: left #1 compute") && $0.hasSuffix("waits for #0") })
    #expect(
      tasks.contains { $0.hasPrefix("rank 1: right #0 barrier") && $0.hasSuffix("waits for its group") })
  }

  @Test func `a task that waits for a later one of its lane`() {
    let error = refusal(of: pair([(compute(), [1]), (compute(), [])], []))
    guard case .stuck(let tasks) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(tasks.count == 1 && tasks[0].contains("#0") && tasks[0].hasSuffix("waits for #1"))
    guard case .stuck = refusal(of: pair([(compute(), [0])], [])) else { return #expect(Bool(false)) }
  }

  @Test func `two ranks that both send first on a lane they also receive on`() {
    let lane = Lane.communication
    let error = refusal(
      of: pair(
        [(message(.send, peer: 1, on: lane), []), (message(.receive, peer: 1, on: lane), [])],
        [(message(.send, peer: 0, on: lane), []), (message(.receive, peer: 0, on: lane), [])]))
    guard case .stuck(let tasks) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(tasks.count == 2)
    #expect(tasks[0].contains("rank 0: left #0 send") && tasks[1].contains("rank 1: right #0 send"))
    // On lanes of their own both get through.
    #expect(
      refusal(
        of: pair(
          [(message(.send, peer: 1), []), (message(.receive, peer: 1), [])],
          [(message(.send, peer: 0), []), (message(.receive, peer: 0), [])])) == nil)
  }

  @Test func `long lists of stuck ranks with a count`() {
    let program = Program(
      name: "many", codes: [code("self", [(compute(), [0])])], codeOfRank: Array(repeating: 0, count: 20),
      communicators: [Communicator(name: "odd", ranks: 20, groups: [[0], [1, 2]])], works: [someWork])
    guard case .stuck(let tasks) = refusal(of: program) else { return #expect(Bool(false)) }
    #expect(tasks.count == 9 && tasks[8] == "and 12 more")
  }

  @Test func `activations given back that were never taken`() {
    let error = refusal(of: pair([(compute(memory: 5), []), (compute(memory: -6), [])], []))
    guard case .negativeMemory(let text) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(text.contains("rank 0") && text.contains("left #1") && text.contains("-1 bytes"))
    #expect(refusal(of: pair([(compute(memory: 5), []), (compute(memory: -5), [])], [])) == nil)
  }

  @Test func `memory counted where its order is not certain, or beyond counting`() {
    var send = message(.send, peer: 1)
    send.memory = 4
    let error = refusal(of: pair([(send, [])], [(message(.receive, peer: 0), [])]))
    guard case .negativeMemory(let text) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(text.contains("compute lane"))
    let huge = refusal(of: pair([(compute(memory: .max), []), (compute(memory: .min), [])], []))
    guard case .negativeMemory = huge else { return #expect(Bool(false), "\(huge as Any)") }
  }

  static let chunk = StageChunk(stage: 2, part: 0, microBatch: 7)
  static let slots: [([TaskSlot], String?)] = [
    ([.init(phase: .forward, forward: chunk), .init(phase: .backward, backward: chunk)], nil),
    ([.init(phase: .forward, forward: chunk)], nil),
    (
      [
        .init(phase: .forward, forward: chunk), .init(phase: .backwardInput, backward: chunk),
        .init(phase: .backwardWeight, backward: chunk),
      ], nil
    ),
    ([.init(phase: .forward, forward: chunk), .init(phase: .forward, forward: chunk)], "goes forward twice"),
    ([.init(phase: .backward, backward: chunk)], "before it went forward"),
    (
      [.init(phase: .backward, backward: chunk), .init(phase: .forward, forward: chunk)],
      "before it went forward"
    ),
    (
      [
        .init(phase: .forward, forward: chunk), .init(phase: .backward, backward: chunk),
        .init(phase: .backward, backward: chunk),
      ], "goes backward twice"
    ),
    (
      [.init(phase: .forward, forward: chunk), .init(phase: .backwardWeight, backward: chunk)],
      "weight gradient before its input gradient"
    ),
    (
      [
        .init(phase: .forward, forward: chunk), .init(phase: .backward, backward: chunk),
        .init(phase: .backwardWeight, backward: chunk),
      ], "weight gradient twice"
    ),
    (
      [.init(phase: .forward, forward: chunk), .init(phase: .backwardInput, backward: chunk)],
      "never comes back"
    ),
    (
      [
        .init(phase: .forward, forward: chunk), .init(phase: .backward, backward: chunk),
        .init(phase: .forward, forward: StageChunk(stage: 2, part: 0, microBatch: 8)),
      ], "never comes back"
    ),
    ([.init(phase: .overlapped, forward: chunk, backward: chunk)], "before it went forward"),
  ]

  @Test(arguments: slots) func `chunks that do not stand exactly once`(slots: [TaskSlot], problem: String?) {
    var one = Code(name: "one")
    for slot in slots { one.beginSlot(slot) }
    let error = refusal(of: Program(name: "chunks", codes: [one], codeOfRank: [0]))
    guard let problem else { return #expect(error == nil) }
    guard case .chunks(let text) = error else { return #expect(Bool(false), "\(error as Any)") }
    #expect(text.contains(problem) && text.contains("of stage 2"))
  }

  @Test func `indices that point outside their tables`() {
    func expectBroken(_ program: Program, _ word: String) {
      guard case .brokenReference(let text) = refusal(of: program) else {
        return #expect(Bool(false), "\(word): \(refusal(of: program) as Any)")
      }
      #expect(text.contains(word))
    }
    var program = pair([], [])
    program.codeOfRank[1] = 2
    expectBroken(program, "rank 1 runs code 2")
    program = pair([(collective(.allReduce), [])], [(collective(.allReduce), [])])
    program.communicators = []
    expectBroken(program, "communicator")
    program = pair([], [])
    program.communicators = [Communicator(name: "small", ranks: 1, groups: [[0]])]
    expectBroken(program, "small")
    program = pair([(compute(), [])], [])
    program.works = []
    expectBroken(program, "no work")
    expectBroken(pair([(compute(), [1])], []), "edge to task 1")
    expectBroken(pair([(compute(), [-1])], []), "edge to task -1")
    expectBroken(pair([(message(.send, peer: 2), [])], []), "2 members")
    expectBroken(pair([(message(.send, peer: -1), [])], []), "2 members")
    expectBroken(pair([(message(.send, peer: 1, bytes: -1), [])], []), "-1 bytes")
    expectBroken(pair([(collective(.dispatch), [])], [(collective(.dispatch), [])]), "exchange")
  }
}

@Suite struct `Ranks that share code` {
  @Test func `are accepted exactly when every rank on its own is`() throws {
    var random = SeededGenerator(seed: 31)
    var (accepted, refused, shared) = (0, 0, 0)
    for _ in 0..<4000 {
      var (program, drafts) = drawLegalProgram(&random)
      if !random.chance(3) { program = drawMutation(of: program, drafts, &random) }
      let together = refusal(of: program)
      let apart = refusal(of: program.expanded)
      #expect((together == nil) == (apart == nil), "\(program.text)\n\(together as Any)\n\(apart as Any)")
      if together == nil { accepted += 1 } else { refused += 1 }
      if Roles(of: program).count < program.ranks { shared += 1 }
    }
    #expect(accepted > 1000 && refused > 500 && shared > 1000, "\(accepted) \(refused) \(shared)")
  }

  @Test func `progress as they do on their own`() throws {
    var random = SeededGenerator(seed: 32)
    for _ in 0..<300 {
      let program = drawLegalProgram(&random).program
      let together = try VerifiedProgram(program)
      let apart = try VerifiedProgram(program.expanded)
      #expect(together.roles.ranksOfRole.reduce(0, +) == Int32(program.ranks))
      var interpreter = Interpreter(together)
      try interpreter.run()
      var reference = Interpreter(apart)
      try reference.run()
      #expect(reference.completions.count == program.taskCount)
      #expect(
        interpreter.completions.count
          == (0..<together.roles.count).reduce(0) { $0 + together.code(ofRole: $1).count })
    }
  }

  @Test func `are one role only when their groups look alike`() {
    let program = Program(
      name: "mirror", codes: [code("a", []), code("b", [])], codeOfRank: [0, 1, 0, 1],
      communicators: [Communicator(name: "pipeline", ranks: 4, groups: [[0, 1], [3, 2]])])
    #expect(Roles(of: program).count == 4)
    var same = program
    same.communicators = [Communicator(name: "pipeline", ranks: 4, groups: [[0, 1], [2, 3]])]
    #expect(Roles(of: same).count == 2)
  }
}
