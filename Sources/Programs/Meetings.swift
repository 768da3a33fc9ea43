/// Where tasks of several roles meet: a send with its receive, the members of a collective.
///
/// A meeting takes place once all its participants have arrived.
public struct Meetings: Hashable, Sendable {
  /// `[role][task]`: the meeting of a task, or -1 for compute.
  public private(set) var meetingOfTask: [[Int32]]
  /// Participants of meeting m: `role` and `task` at `offsets[m]..<offsets[m + 1]`; the sender stands first.
  public private(set) var offsets: [Int32] = [0]
  public private(set) var role: [Int32] = []
  public private(set) var task: [Int32] = []

  public var count: Int { offsets.count - 1 }

  public func participants(of meeting: Int) -> Range<Int> {
    Int(offsets[meeting])..<Int(offsets[meeting + 1])
  }

  private struct Address: Hashable {
    var communicator: Int32
    var from: Int32
    var to: Int32
    var tag: Int32
  }

  init(of program: Program, roles: Roles) throws(VerificationError) {
    meetingOfTask = roles.codeOfRole.map { Array(repeating: -1, count: program.codes[Int($0)].count) }
    try matchMessages(of: program, roles: roles)
    try matchCollectives(of: program, roles: roles)
  }

  private mutating func add(_ participants: [(role: Int32, task: Int32)]) {
    for participant in participants {
      meetingOfTask[Int(participant.role)][Int(participant.task)] = Int32(count)
      role.append(participant.role)
      task.append(participant.task)
    }
    offsets.append(Int32(role.count))
  }

  /// The n-th send from one role to another with a tag meets the n-th receive of it.
  private mutating func matchMessages(of program: Program, roles: Roles) throws(VerificationError) {
    var receives: [Address: [(role: Int32, task: Int32)]] = [:]
    var cursors: [Address: Int] = [:]
    var sends: [(address: Address, role: Int32, task: Int32)] = []
    for role in 0..<roles.count {
      let codeIndex = Int(roles.codeOfRole[role])
      let code = program.codes[codeIndex]
      var groups = [[Int32]?](repeating: nil, count: program.communicators.count)
      for task in 0..<code.count where code.kind[task] == .send || code.kind[task] == .receive {
        let communicator = Int(code.communicator[task])
        let group =
          groups[communicator] ?? roles.groupRoles(of: role, in: program.communicators[communicator])
        groups[communicator] = group
        let peer = Int(code.peer[task])
        guard group.indices.contains(peer) else {
          throw .brokenReference(
            "\(program.describe(code: codeIndex, task: task)): the group has \(group.count) members")
        }
        guard group[peer] != Int32(role) else {
          throw .unmatched("\(program.describe(code: codeIndex, task: task)) speaks to itself")
        }
        let isSend = code.kind[task] == .send
        let address = Address(
          communicator: Int32(communicator), from: isSend ? Int32(role) : group[peer],
          to: isSend ? group[peer] : Int32(role), tag: code.tag[task])
        if isSend {
          sends.append((address, Int32(role), Int32(task)))
        } else {
          receives[address, default: []].append((Int32(role), Int32(task)))
        }
      }
    }
    for send in sends {
      let cursor = cursors[send.address, default: 0]
      let sender = Int(roles.codeOfRole[Int(send.role)])
      guard let list = receives[send.address], cursor < list.count else {
        throw .unmatched(
          "rank \(roles.representative[Int(send.role)]): "
            + program.describe(code: sender, task: Int(send.task)))
      }
      let receive = list[cursor]
      cursors[send.address] = cursor + 1
      let sent = program.codes[sender].bytes[Int(send.task)]
      let awaited = program.codes[Int(roles.codeOfRole[Int(receive.role)])].bytes[Int(receive.task)]
      guard sent == awaited else {
        throw .disagreement(
          "\(program.describe(code: sender, task: Int(send.task))) sends \(sent) bytes where \(awaited) are awaited"
        )
      }
      add([(send.role, send.task), receive])
    }
    for role in 0..<roles.count {
      let codeIndex = Int(roles.codeOfRole[role])
      let code = program.codes[codeIndex]
      for task in 0..<code.count where code.kind[task] == .receive && meetingOfTask[role][task] < 0 {
        throw .unmatched(
          "rank \(roles.representative[role]): " + program.describe(code: codeIndex, task: task))
      }
    }
  }

  /// The n-th collective of every member of a group is one meeting.
  private mutating func matchCollectives(of program: Program, roles: Roles) throws(VerificationError) {
    for (index, communicator) in program.communicators.enumerated() {
      let sequences = (0..<roles.count).map { role -> [Int32] in
        let code = program.codes[Int(roles.codeOfRole[role])]
        return (0..<code.count).compactMap { task in
          code.kind[task].isCollective && code.communicator[task] == index ? Int32(task) : nil
        }
      }
      var isMatched = Array(repeating: false, count: roles.count)
      for role in 0..<roles.count where !isMatched[role] && !sequences[role].isEmpty {
        let members = Array(Set(roles.groupRoles(of: role, in: communicator))).sorted()
        guard members.contains(Int32(role)) else {
          throw .unmatched(
            "\(program.codes[Int(roles.codeOfRole[role])].name) is in no group of \(communicator.name)")
        }
        for member in members { isMatched[Int(member)] = true }
        try meet(members, sequences: sequences, in: communicator, program: program, roles: roles)
      }
    }
  }

  private mutating func meet(
    _ members: [Int32], sequences: [[Int32]], in communicator: Communicator, program: Program, roles: Roles
  ) throws(VerificationError) {
    func describe(_ member: Int32, _ task: Int32) -> String {
      "rank \(roles.representative[Int(member)]): "
        + program.describe(code: Int(roles.codeOfRole[Int(member)]), task: Int(task))
    }
    let longest = members.map { sequences[Int($0)].count }.max() ?? 0
    for ordinal in 0..<longest {
      var participants: [(role: Int32, task: Int32)] = []
      for member in members {
        guard ordinal < sequences[Int(member)].count else {
          let joined = members.first { ordinal < sequences[Int($0)].count }
          throw .unmatched(
            "rank \(roles.representative[Int(member)]) never joins "
              + (joined.map { describe($0, sequences[Int($0)][ordinal]) } ?? communicator.name))
        }
        participants.append((member, sequences[Int(member)][ordinal]))
      }
      let first = participants[0]
      let firstCode = Int(roles.codeOfRole[Int(first.role)])
      for other in participants.dropFirst() {
        let code = Int(roles.codeOfRole[Int(other.role)])
        guard
          program.codes[code].meets(
            Int(other.task), program.codes[firstCode], Int(first.task), comparesChunk: program.traffic != nil)
        else {
          throw .disagreement("\(describe(first.role, first.task)), but \(describe(other.role, other.task))")
        }
      }
      add(participants)
    }
  }
}

extension Code {
  /// Whether two tasks are the same collective: of one kind, size and purpose, of one bucket, and of one
  /// micro-batch where what is exchanged depends on it.
  fileprivate func meets(_ task: Int, _ other: Code, _ otherTask: Int, comparesChunk: Bool) -> Bool {
    // Members of an uneven all-to-all hold buffers of their own size; their parts are compared one by one.
    let isUneven = kind[task] == .allToAll && work[task] >= 0
    guard kind[task] == other.kind[otherTask], isUneven || bytes[task] == other.bytes[otherTask],
      elementBytes[task] == other.elementBytes[otherTask], purpose[task] == other.purpose[otherTask],
      bucket(ofTask: task) == other.bucket(ofTask: otherTask)
    else { return false }
    guard comparesChunk, kind[task] == .dispatch || kind[task] == .combine else { return true }
    return layer[task] == other.layer[otherTask]
      && chunk(ofTask: task)?.batch == other.chunk(ofTask: otherTask)?.batch
      && pass[task] == other.pass[otherTask]
  }
}
