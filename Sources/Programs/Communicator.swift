/// A partition of the ranks into groups of equal standing: all tensor groups, all expert groups, all
/// pipelines.
///
/// Tasks name a communicator and, for messages, a member index; which ranks are meant follows from the rank
/// that runs the code. So ranks share code.
public struct Communicator: Hashable, Sendable {
  /// `tensor`, `expert`, `data`, `pipeline`, …
  public var name: String
  /// `members[offsets[g]..<offsets[g + 1]]` are the ranks of group g, in member order.
  public private(set) var offsets: [Int32]
  public private(set) var members: [Int32]
  /// Group and member index of each rank; -1 for a rank that is in no group.
  public private(set) var groupOfRank: [Int32]
  public private(set) var indexOfRank: [Int32]

  /// - Precondition: Groups are disjoint and their ranks below `ranks`.
  public init(name: String, ranks: Int, groups: [[Int]]) {
    self.name = name
    offsets = [0]
    members = []
    groupOfRank = Array(repeating: -1, count: ranks)
    indexOfRank = groupOfRank
    for (group, list) in groups.enumerated() {
      for (index, rank) in list.enumerated() {
        precondition(groupOfRank[rank] == -1, "rank \(rank) is in two groups of \(name)")
        groupOfRank[rank] = Int32(group)
        indexOfRank[rank] = Int32(index)
        members.append(Int32(rank))
      }
      offsets.append(Int32(members.count))
    }
  }

  public var groupCount: Int { offsets.count - 1 }

  public func group(_ index: Int) -> ArraySlice<Int32> {
    members[Int(offsets[index])..<Int(offsets[index + 1])]
  }

  /// The group that a rank belongs to, in member order; empty where it belongs to none.
  public func group(ofRank rank: Int) -> ArraySlice<Int32> {
    let group = groupOfRank[rank]
    return group < 0 ? [] : self.group(Int(group))
  }
}
