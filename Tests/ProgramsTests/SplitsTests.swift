import TestSupport
import Testing

@testable import Programs

@Suite struct `All-to-alls with parts of their own` {
  /// `parts[a][b]`: bytes that rank a sends to rank b.
  private func program(_ parts: [[Int64]]) -> Program {
    let members = parts.indices
    let codes = members.map { rank -> Code in
      var task = Code.Task(.allToAll, on: .communication)
      task.communicator = 0
      task.work = Int32(rank)
      task.bytes = parts[rank].reduce(0, +)
      return code("rank \(rank)", [(task, [])])
    }
    return Program(
      name: "uneven", codes: codes, codeOfRank: members.map(Int32.init),
      communicators: [Communicator(name: "expert", ranks: parts.count, groups: [Array(members)])],
      splits: members.map { a in Splits(sent: parts[a], received: members.map { parts[$0][a] }) })
  }

  private let uneven: [[Int64]] = [[10, 20, 30], [0, 5, 7], [1, 2, 3]]

  @Test func `are proven to be transposed, and count what leaves and what comes`() throws {
    let verified = try VerifiedProgram(program(uneven))
    #expect(verified.meetings.count == 1)
    #expect(verified.program.bytes(rank: 0, task: 0) == (50, 1))
    #expect(verified.program.bytes(rank: 1, task: 0) == (7, 22))
    #expect(verified.program.bytes(rank: 2, task: 0) == (3, 37))
  }

  @Test func `read back as they were written`() throws {
    let program = program(uneven)
    #expect(program.text.contains("splits sent 10 20 30 received 10 0 1\n"))
    #expect(try Program(text: program.text) == program)
    for broken in ["splits sent 1 2 received 3", "splits sent 1", "splits 1", "splits sent -1 received 1"] {
      #expect(throws: ProgramTextError.self) {
        try Program(text: program.text.replacing("splits sent 10 20 30 received 10 0 1", with: broken))
      }
    }
  }

  @Test func `whose ends disagree are refused`() {
    var wrong = program(uneven)
    wrong.splits[1].received[0] = 21
    #expect {
      try VerifiedProgram(wrong)
    } throws: {
      "\($0)".contains("rank 0 sends 20 bytes to rank 1, which awaits 21")
    }
    wrong = program(uneven)
    wrong.splits[1] = Splits(sent: [12, 0], received: [20, 7])
    #expect(throws: VerificationError.self) { try VerifiedProgram(wrong) }
    wrong = program(uneven)
    wrong.splits.removeLast()
    #expect(throws: VerificationError.self) { try VerifiedProgram(wrong) }
    wrong = program(uneven)
    wrong.splits[0].sent[0] = -1
    #expect(throws: VerificationError.self) { try VerifiedProgram(wrong) }
  }
}
