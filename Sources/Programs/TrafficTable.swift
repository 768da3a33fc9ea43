/// How many rows each rank of an expert group sends to each other, by layer, micro-batch and group.
///
/// A token travels to a rank once, however many of its experts lie there. Drawn, recorded or measured; where
/// a program has one, its ranks are not alike.
public struct TrafficTable: Hashable, Sendable {
  /// One exchange's place in the step.
  public struct Key: Hashable, Comparable, Sendable {
    /// Model layer; layers of multi-token prediction follow the decoder's.
    public var layer: Int
    /// Micro-batch among all of the step: ``StageChunk/batch``.
    public var batch: Int
    /// Group of the communicator `expert`, which lists the plan's expert groups in order.
    public var group: Int

    public init(layer: Int, batch: Int, group: Int) {
      self.layer = layer
      self.batch = batch
      self.group = group
    }

    public static func < (a: Key, b: Key) -> Bool {
      (a.layer, a.batch, a.group) < (b.layer, b.batch, b.group)
    }
  }

  /// Ranks of an expert group.
  public let members: Int
  /// Consecutive members that form a node, where the table also counts rows by node; nil: it does not.
  public let membersPerNode: Int?
  private var offsets: [Key: Int] = [:]
  private var counts: [Int32] = []
  private var expertPairs: [Key: [Int32]] = [:]

  /// Nodes that ``nodeRows(at:)`` speaks of.
  public var nodes: Int { membersPerNode.map { members / $0 } ?? 0 }

  /// - Precondition: `members` is positive, and a multiple of `membersPerNode`.
  public init(members: Int, membersPerNode: Int? = nil) {
    precondition(members > 0, "a group has members")
    precondition(membersPerNode.map { $0 > 0 && members % $0 == 0 } ?? true, "nodes are alike")
    self.members = members
    self.membersPerNode = membersPerNode
  }

  /// Enters the rows of one exchange, replacing what stood there.
  ///
  /// - Parameters:
  ///   - rows: `[source][destination]`, own rows on the diagonal.
  ///   - nodeRows: `[source][node]`: tokens of which some member of the node receives a row, the own node included;
  ///     empty in a table without nodes.
  /// - Precondition: `members` × `members` and `members` × ``nodes`` numbers, none negative.
  public mutating func set(_ rows: [Int32], nodeRows: [Int32] = [], at key: Key) {
    precondition(rows.count == members * members && rows.allSatisfy { $0 >= 0 }, "rows of all members")
    precondition(
      nodeRows.count == members * nodes && nodeRows.allSatisfy { $0 >= 0 }, "rows of all members by node")
    if let offset = offsets[key] {
      counts.replaceSubrange(offset..<offset + rows.count + nodeRows.count, with: rows + nodeRows)
    } else {
      offsets[key] = counts.count
      counts += rows
      counts += nodeRows
    }
  }

  /// `[source][destination]`, or nil where the table does not speak of the exchange.
  public func rows(at key: Key) -> ArraySlice<Int32>? {
    offsets[key].map { counts[$0..<$0 + members * members] }
  }

  /// Enters how many pairs of token and expert each member computes, which a token's one row does not tell.
  ///
  /// - Precondition: `members` numbers, none negative, at a key that has rows.
  public mutating func setPairs(_ pairs: [Int32], at key: Key) {
    precondition(pairs.count == members && pairs.allSatisfy { $0 >= 0 }, "pairs of all members")
    precondition(offsets[key] != nil, "the exchange has rows")
    expertPairs[key] = pairs
  }

  /// Pairs of token and expert that each member computes, `[member]`; nil where members compute alike.
  public func pairs(at key: Key) -> [Int32]? { expertPairs[key] }

  public var hasPairs: Bool { !expertPairs.isEmpty }

  /// `[source][node]`, empty in a table without nodes; nil where the table does not speak of the exchange.
  public func nodeRows(at key: Key) -> ArraySlice<Int32>? {
    offsets[key].map { counts[$0 + members * members..<$0 + members * (members + nodes)] }
  }

  /// In ascending order.
  public var keys: [Key] { offsets.keys.sorted() }

  public static func == (a: TrafficTable, b: TrafficTable) -> Bool {
    a.members == b.members && a.membersPerNode == b.membersPerNode && a.offsets.count == b.offsets.count
      && a.offsets.keys.allSatisfy {
        a.rows(at: $0) == b.rows(at: $0) && a.nodeRows(at: $0) == b.nodeRows(at: $0)
      }
      && a.expertPairs == b.expertPairs
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(members)
    hasher.combine(membersPerNode)
    for key in keys {
      hasher.combine(key)
      hasher.combine(rows(at: key))
      hasher.combine(pairs(at: key))
      hasher.combine(nodeRows(at: key))
    }
  }
}
