import Programs

/// The transport's channels of a program: one for each communicator and lane on which collectives run, and where
/// exchanges take two hops one for each hop besides.
struct Channels {
  private struct Key: Hashable, Comparable {
    var communicator: Int32
    var lane: UInt8
    /// Members of a node where exchanges take two hops; 0 for all other collectives.
    var perNode: Int

    static func < (a: Key, b: Key) -> Bool {
      (a.communicator, a.lane, a.perNode) < (b.communicator, b.lane, b.perNode)
    }

    init(_ program: Program, _ code: Code, _ task: Int) {
      communicator = code.communicator[task]
      lane = code.lane[task].rawValue
      let isExchange = code.kind[task] == .dispatch || code.kind[task] == .combine
      perNode = isExchange ? program.exchanges[Int(code.work[task])].membersPerNode ?? 0 : 0
    }
  }

  /// `[channel][group][member]`, the same list on every rank.
  let groups: [[[Int]]]
  /// This rank's places: one, or one for each hop.
  private let places: [Key: [GroupPlace]]

  init(_ program: Program, rank: Int) {
    var used: Set<Key> = []
    for code in program.codes {
      for task in 0..<code.count where code.kind[task].isCollective {
        used.insert(Key(program, code, task))
      }
    }
    var groups: [[[Int]]] = []
    var places: [Key: [GroupPlace]] = [:]
    for key in used.sorted() {
      let communicator = program.communicators[Int(key.communicator)]
      let whole = (0..<communicator.groupCount).map { communicator.group($0).map(Int.init) }
      for channel in key.perNode == 0 ? [whole] : Self.hops(of: whole, perNode: key.perNode) {
        if let group = channel.first(where: { $0.contains(rank) }) {
          places[key, default: []].append(
            GroupPlace(channel: groups.count, group: group, member: group.firstIndex(of: rank) ?? 0))
        }
        groups.append(channel)
      }
    }
    self.groups = groups
    self.places = places
  }

  /// The groups of the first hop, the members of one place on all nodes; and of the second, the members of a node.
  private static func hops(of groups: [[Int]], perNode: Int) -> [[[Int]]] {
    let first = groups.flatMap { group in
      (0..<min(perNode, group.count)).map { place in
        stride(from: place, to: group.count, by: perNode).map { group[$0] }
      }
    }
    let second = groups.flatMap { group in
      stride(from: 0, to: group.count, by: perNode).map { Array(group[$0..<$0 + perNode]) }
    }
    return [first, second]
  }

  /// Where a rank stands in the groups of a collective task: one place, or one for each hop of an exchange.
  func places(of task: Int, in code: Code, program: Program) -> [GroupPlace] {
    guard let places = places[Key(program, code, task)] else {
      preconditionFailure("a collective without a channel")
    }
    return places
  }
}
