/// What one rank hands to each member of its group in an all-to-all whose parts differ, and what it gets from each.
///
/// Both lists are in member order, the own part among them. That what one member sends is what the other awaits is
/// proven once, when a program is verified.
public struct Splits: Hashable, Sendable {
  public var sent: [Int64]
  public var received: [Int64]

  public init(sent: [Int64], received: [Int64]) {
    self.sent = sent
    self.received = received
  }

  /// Bytes to others and from others, `member`'s own part left out.
  ///
  /// - Precondition: `member` is one of the group.
  /// - Complexity: O(members).
  public func moved(by member: Int) -> (sent: Int64, received: Int64) {
    (sent.reduce(0, +) - sent[member], received.reduce(0, +) - received[member])
  }
}

extension Program {
  /// The splits of a rank's all-to-all; nil where its parts are even, or for another task.
  public func splits(code: Int, task: Int) -> Splits? {
    let code = codes[code]
    guard code.kind[task] == .allToAll, code.work[task] >= 0, Int(code.work[task]) < splits.count else {
      return nil
    }
    return splits[Int(code.work[task])]
  }
}

/// Each all-to-all's splits exist, have a part for each member, and add up within 64 bits.
func checkSplits(of program: Program) throws(VerificationError) {
  guard program.codes.contains(where: { $0.kind.contains(.allToAll) }) else { return }
  for (index, splits) in program.splits.enumerated() {
    guard splits.sent.count == splits.received.count else {
      throw .brokenReference(
        "splits \(index) speak of \(splits.sent.count) and of \(splits.received.count) members")
    }
    // Sums of all parts of a group of 2^20 members stay below 2^63.
    guard (splits.sent + splits.received).allSatisfy({ (0...1 << 42).contains($0) }) else {
      throw .brokenReference("splits \(index) have a part below 0 or above 2^42 bytes")
    }
  }
  var seen: Set<[Int32]> = []
  for rank in 0..<program.ranks {
    let codeIndex = Int(program.codeOfRank[rank])
    let key = [program.codeOfRank[rank]] + program.communicators.map { Int32($0.group(ofRank: rank).count) }
    guard seen.insert(key).inserted else { continue }
    let code = program.codes[codeIndex]
    for task in 0..<code.count where code.kind[task] == .allToAll && code.work[task] >= 0 {
      guard Int(code.work[task]) < program.splits.count else {
        throw .brokenReference("\(program.describe(code: codeIndex, task: task)) has no splits")
      }
      let members = program.communicators[Int(code.communicator[task])].group(ofRank: rank).count
      let splits = program.splits[Int(code.work[task])]
      guard splits.sent.count == members else {
        throw .brokenReference(
          "\(program.describe(code: codeIndex, task: task)) has \(splits.sent.count) splits, its group \(members) "
            + "members"
        )
      }
      guard splits.sent.reduce(0, +) == code.bytes[task] else {
        throw .disagreement(
          "\(program.describe(code: codeIndex, task: task)) carries \(code.bytes[task]) bytes, its splits "
            + "\(splits.sent.reduce(0, +))")
      }
    }
  }
}

/// What each member of an uneven all-to-all sends to another is what that one awaits.
///
/// - Complexity: O(meetings of that kind × members²).
func checkTransposition(
  of program: Program, roles: Roles, meetings: Meetings
) throws(VerificationError) {
  guard !program.splits.isEmpty else { return }
  for meeting in 0..<meetings.count {
    let participants = meetings.participants(of: meeting)
    guard let first = participants.first else { continue }
    let firstRole = Int(meetings.role[first])
    let code = program.codes[Int(roles.codeOfRole[firstRole])]
    let task = Int(meetings.task[first])
    guard code.kind[task] == .allToAll else { continue }
    let communicator = program.communicators[Int(code.communicator[task])]
    let members = communicator.group(ofRank: Int(roles.representative[firstRole]))
    let splits = members.map { rank -> (splits: Splits?, bytes: Int64) in
      let role = roles.roleOfRank[Int(rank)]
      guard let index = participants.first(where: { meetings.role[$0] == role }) else { return (nil, 0) }
      let codeIndex = Int(roles.codeOfRole[Int(role)])
      let task = Int(meetings.task[index])
      return (program.splits(code: codeIndex, task: task), program.codes[codeIndex].bytes[task])
    }
    guard splits.contains(where: { $0.splits != nil }) else { continue }
    for (a, sender) in splits.enumerated() {
      guard let sent = sender.splits?.sent else {
        throw .disagreement(
          "\(program.describe(code: Int(roles.codeOfRole[firstRole]), task: task)): rank "
            + "\(members[members.startIndex + a]) "
            + "has even parts where others' differ")
      }
      for (b, receiver) in splits.enumerated() {
        guard let received = receiver.splits?.received, received[a] == sent[b] else {
          let (from, to) = (members[members.startIndex + a], members[members.startIndex + b])
          throw .disagreement(
            "\(program.describe(code: Int(roles.codeOfRole[firstRole]), task: task)): rank \(from) sends \(sent[b]) "
              + "bytes "
              + "to rank \(to), which awaits \(receiver.splits.map { "\($0.received[a])" } ?? "even parts")")
        }
      }
    }
  }
}
