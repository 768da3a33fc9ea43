import Programs

/// Where a group's ranks sit: how many, on how many nodes.
public struct GroupShape: Hashable, Sendable {
  public var ranks: Int
  public var nodes: Int
  /// Ranks of the group on its fullest node.
  public var ranksPerNode: Int

  public init(ranks: Int, nodes: Int, ranksPerNode: Int) {
    self.ranks = ranks
    self.nodes = nodes
    self.ranksPerNode = ranksPerNode
  }

  /// - Complexity: O(members).
  public init(of members: ArraySlice<Int32>, gpusPerNode: Int) {
    let perNode = Dictionary(grouping: members) { Int($0) / gpusPerNode }.mapValues(\.count)
    self.init(ranks: members.count, nodes: perNode.count, ranksPerNode: perNode.values.max() ?? 0)
  }
}
