import Programs

/// The transport's channels of a program: one for each communicator and lane on which collectives run.
struct Channels {
  private struct Key: Hashable {
    var communicator: Int32
    var lane: UInt8
  }

  /// `[channel][group][member]`.
  let groups: [[[Int]]]
  private let indices: [Key: Int]

  /// The same list on every rank.
  init(_ program: Program) {
    var used: Set<Key> = []
    for code in program.codes {
      for task in 0..<code.count where code.kind[task].isCollective {
        used.insert(Key(communicator: code.communicator[task], lane: code.lane[task].rawValue))
      }
    }
    let keys = used.sorted { ($0.communicator, $0.lane) < ($1.communicator, $1.lane) }
    groups = keys.map { key in
      let communicator = program.communicators[Int(key.communicator)]
      return (0..<communicator.groupCount).map { communicator.group($0).map(Int.init) }
    }
    indices = Dictionary(uniqueKeysWithValues: keys.enumerated().map { ($1, $0) })
  }

  /// Where a rank stands in a collective task's group.
  func place(of task: Int, in code: Code, program: Program, rank: Int) -> GroupPlace {
    let communicator = program.communicators[Int(code.communicator[task])]
    let key = Key(communicator: code.communicator[task], lane: code.lane[task].rawValue)
    guard let channel = indices[key] else { preconditionFailure("a collective without a channel") }
    return GroupPlace(
      channel: channel, group: communicator.group(ofRank: rank).map(Int.init),
      member: Int(communicator.indexOfRank[rank]))
  }
}
