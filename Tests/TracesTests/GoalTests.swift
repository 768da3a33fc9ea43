import Documents
import Foundation
import Programs
import Testing

@testable import Traces

private let small = """
  // two ranks
  num_ranks 2

  rank 0 {
  l1: calc 100 cpu 3
  l2: send 8b to 1 tag 7 cpu 1 nic 2
  l2 requires l1
  /* a remark
     over lines */ l3: recv 16b from -1 tag -1
  l3 irequires l2
  calc 5
  }
  rank 1 {
  a_1: recv 8b from 0 tag 7
  }

  """

private func schedule(_ text: String) throws -> GoalSchedule {
  try GoalSchedule(text: ByteSource(bytes: Array(text.utf8), named: "x.goal"))
}

private func schedule(_ bytes: [UInt8]) throws -> GoalSchedule {
  try GoalSchedule(binary: ByteSource(bytes: bytes, named: "x.bin"))
}

private func refusal(_ read: () throws -> Void) -> Diagnostic? {
  do {
    try read()
    return nil
  } catch {
    return error as? Diagnostic
  }
}

@Suite struct `GOAL schedules` {
  @Test func `operations and what they wait for are read from text`() throws {
    let schedule = try schedule(small)
    let rank = schedule.ranks[0]
    #expect(rank.kind == [.calculation, .send, .receive, .calculation])
    #expect(rank.size == [100, 8, 16, 5])
    #expect(rank.peer == [0, 1, GoalSchedule.anyone, 0])
    #expect(rank.tag == [0, 7, .max, 0])
    #expect(rank.cpu == [3, 1, 0, 0] && rank.nic == [0, 2, 0, 0])
    #expect(rank.requires == [GoalSchedule.Edge(1, after: 0)])
    #expect(rank.startRequires == [GoalSchedule.Edge(2, after: 1)])
  }

  @Test func `text and binary are the same schedule`() throws {
    let read = try schedule(small)
    #expect(try schedule(read.text) == read)
    #expect(try schedule(read.binary) == read)
  }

  @Test func `the binary form is that of txt2bin`() throws {
    // Written down by hand from txt2bin's source: rank 0 waits, rank 1 sends.
    let bytes = try schedule("num_ranks 1\nrank 0 {\na: calc 258\nb: calc 1 cpu 2\nb requires a\n}\n").binary
    let expected: [UInt8] =
      [0x7f, 0x10, 0, 0, 0, 0, 0, 0] + [1, 0, 0, 0, 2, 0]
      + [22, 0, 0, 0, 0, 0, 0, 0] + [116, 0, 0, 0, 0, 0, 0, 0]
      + [2, 0, 0, 0, 1, 0, 0, 0] + [0, 0, 0, 0]
      + [0, 0, 0, 0, 3, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
      + [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
      + [1, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]
      + [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0] + [1, 0, 0, 0]
    #expect(bytes == expected)
  }

  @Test func `as a recording, calculations have times and messages their ends`() throws {
    let recording = try goalRecording(schedule(small), .goal, file: "x.goal")
    #expect(recording.worldSize == 2)
    let rank = recording.ranks[0]
    #expect(rank.duration == [100_000, RankRecording.unknownTime, RankRecording.unknownTime, 5000])
    #expect(rank.stream == [3, 1, 0, 0])
    #expect(rank.communications.map(\.kind) == [.send, .receive])
    #expect(rank.communications.map(\.peer) == [1, nil])
    #expect(rank.communications[0].inputBytes == 8 && rank.communications[1].outputBytes == 16)
    // The receive may start once the send has, which waits for the first calculation.
    #expect((0..<4).map { Array(rank.dependencies(of: $0)) } == [[], [0], [0], []])
    #expect(recording.notes.count == 1)
  }

  @Test(arguments: [
    ("num_ranks 2", "num_ranks 0", "byte 23"), ("num_ranks 2", "num_ranks 9999999999", "byte 23"),
    ("rank 1 {", "rank 0 {", "byte 191"), ("rank 1 {", "rank 2 {", "byte 191"),
    ("8b to 1", "8b to 2", "byte 69"),
    ("8b to", "8 to", "byte 63"), ("calc 100", "calc -1", "byte 44"), ("calc 5", "work 5", "byte 177"),
    ("l2 requires l1", "l2 requires l9", "byte 101"), ("l3: recv", "l1: recv", "byte 133"),
    ("cpu 3", "cpu 256", "byte 52"), ("l1: calc", "1: calc", "byte 35"),
    ("8b from 0 tag 7\n}", "8b from 0 tag 7\n", "byte 222"), ("lines */", "lines", "byte 220"),
    ("8b", "99999999999999999999b", "byte 63"),
  ])
  func `an error names its byte`(old: String, new: String, place: String) {
    let text = small.replacing(old, with: new, maxReplacements: 1)
    let diagnostic = refusal { _ = try schedule(text) }
    #expect(diagnostic?.path == place, "\(diagnostic.map { "\($0)" } ?? "read")")
    #expect(diagnostic?.file == "x.goal" && diagnostic?.status == .data)
  }

  @Test func `a file cut off anywhere is refused`() throws {
    let binary = try schedule(small).binary
    for count in 0..<binary.count {
      #expect(refusal { _ = try schedule(Array(binary[..<count])) }?.path != nil, "\(count) bytes")
    }
    let text = Array(small.utf8)
    for count in 0..<text.count - 2 {
      #expect(
        refusal { _ = try schedule(String(decoding: text[..<count], as: UTF8.self)) }?.path != nil,
        "\(count) bytes")
    }
  }

  @Test func `10,000 mutants of text are read or refused, and never crash`() {
    expectSurvival(of: [Array(small.utf8)], words: ["rank", "requires", "/*", "b to", "cpu 255"]) { source in
      _ = try goalRecording(GoalSchedule(text: source), .goal, file: "mutant")
    }
  }

  @Test func `10,000 binary mutants are read or refused, and never crash`() throws {
    let binary = try schedule(small).binary
    expectSurvival(of: [binary], words: ["\u{1}\u{0}\u{0}\u{0}"]) { source in
      _ = try goalRecording(GoalSchedule(binary: source), .goalBinary, file: "mutant")
    }
  }

  @Test(.enabled(if: recordedTraces != nil, "the recordings lie beside the project, and are not here"))
  func `the recorded broadcast tree reaches all 32 ranks`() throws {
    let recording = try readGoal(try #require(recordedTraces) + "/goal/binary_tree_32.goal")
    #expect(recording.ranks.count == 32)
    var sends: Set<[Int]> = []
    var receives: Set<[Int]> = []
    for rank in recording.ranks {
      for communication in rank.communications {
        let peer = Int(try #require(communication.peer))
        if communication.kind == .send {
          sends.insert([rank.rank, peer])
        } else {
          receives.insert([peer, rank.rank])
        }
      }
    }
    #expect(sends == receives && sends.count == 31)
  }
}

@Suite struct `Programs as GOAL schedules` {
  @Test func `come back the same, as text and as binary`() throws {
    for program in try loweredPrograms() + [everyKind()] {
      let verified = try VerifiedProgram(program)
      let goal = GoalProgram(verified, timeline: inventedTimeline(verified))
      let text = try schedule(goal.schedule.text(comments: goal.comments))
      #expect(text == goal.schedule, "\(program.name)")
      #expect(try text.carriedProgram(file: "x") == program, "\(program.name)")
      let binary = try schedule(goal.schedule.binary)
      #expect(binary == goal.schedule, "\(program.name)")
      #expect(try goalRecording(binary, .goalBinary, file: "x").program == program, "\(program.name)")
    }
  }

  @Test func `every message that is sent is received, and the whole runs to its end`() throws {
    for program in try loweredPrograms() + [everyKind()] {
      let goal = GoalProgram(try VerifiedProgram(program))
      #expect(try runs(goal.schedule) == goal.schedule.ranks.reduce(0) { $0 + $1.count }, "\(program.name)")
    }
  }

  @Test func `collectives move the bytes that the program counts`() throws {
    let program = try everyKind()
    let goal = GoalProgram(try VerifiedProgram(program))
    // Rings, chains and straight sends differ in who sends what, not in how much all ranks send together.
    func total(_ kind: TaskKind) -> Int64 {
      (0..<program.ranks).reduce(0) { sum, rank in
        let code = program.codes[Int(program.codeOfRank[rank])]
        return sum
          + (0..<code.count).reduce(Int64(0)) {
            $0 + (code.kind[$1] == kind ? program.bytesSent(rank: rank, task: $1) : 0)
          }
      }
    }
    let expected = TaskKind.allCases.reduce(Int64(0)) { $0 + total($1) }
    let all = goal.schedule.ranks.reduce(Int64(0)) { sum, rank in
      sum + (0..<rank.count).reduce(Int64(0)) { $0 + (rank.kind[$1] == .send ? Int64(rank.size[$1]) : 0) }
    }
    // Beside rows, a dispatch counts 4 bytes to each other member; a barrier's 2 rounds are a byte each, of 3 members.
    let counts = Int64(3 * 2 * 4)
    #expect(all == expected - counts + 3 * 2)
  }

  @Test func `operations that were changed are refused`() throws {
    let goal = GoalProgram(try VerifiedProgram(everyKind()))
    let text = goal.schedule.text.replacing("b to 1", with: "1b to 1", maxReplacements: 1)
    let diagnostic = refusal { _ = try schedule(text).carriedProgram(file: "x.goal") }
    #expect(diagnostic?.problem == "the operations are not those of the program that the file carries")
  }

  @Test func `comments name the collectives`() throws {
    let goal = GoalProgram(try VerifiedProgram(everyKind()))
    let lines = goal.schedule.text(comments: goal.comments).split(separator: "\n")
    #expect(lines.contains("// all_reduce in world, 3 members: ring"))
    #expect(lines.contains("// dispatch in expert, 3 members: pairwise"))
  }
}

/// Runs a schedule without a clock: operations that were done.
private func runs(_ schedule: GoalSchedule) throws -> Int {
  struct Address: Hashable {
    var from: Int
    var to: Int
    var tag: UInt32
  }
  var waiting = schedule.ranks.map { rank -> [Int] in
    var counts = [Int](repeating: 0, count: rank.count)
    for edge in rank.requires { counts[Int(edge.operation)] += 1 }
    return counts
  }
  let after = schedule.ranks.map { rank -> [[Int]] in
    var lists = [[Int]](repeating: [], count: rank.count)
    for edge in rank.requires { lists[Int(edge.target)].append(Int(edge.operation)) }
    return lists
  }
  var ready: [(rank: Int, operation: Int)] = []
  for (rank, counts) in waiting.enumerated() {
    for (index, count) in counts.enumerated() where count == 0 { ready.append((rank, index)) }
  }
  var sent: [Address: [UInt64]] = [:]
  var awaited: [Address: [(operation: Int, size: UInt64)]] = [:]
  var done = 0
  func complete(_ rank: Int, _ operation: Int) {
    done += 1
    for next in after[rank][operation] {
      waiting[rank][next] -= 1
      if waiting[rank][next] == 0 { ready.append((rank, next)) }
    }
  }
  func match(_ address: Address) {
    while let size = sent[address]?.first, let receive = awaited[address]?.first {
      #expect(size == receive.size)
      sent[address]?.removeFirst()
      awaited[address]?.removeFirst()
      complete(address.to, receive.operation)
    }
  }
  while let (rank, operation) = ready.popLast() {
    let operations = schedule.ranks[rank]
    switch operations.kind[operation] {
    case .calculation: complete(rank, operation)
    case .send:
      let address = Address(from: rank, to: Int(operations.peer[operation]), tag: operations.tag[operation])
      sent[address, default: []].append(operations.size[operation])
      complete(rank, operation)
      match(address)
    case .receive:
      let address = Address(from: Int(operations.peer[operation]), to: rank, tag: operations.tag[operation])
      awaited[address, default: []].append((operation, operations.size[operation]))
      match(address)
    }
  }
  #expect(sent.values.allSatisfy { $0.isEmpty })
  return done
}
