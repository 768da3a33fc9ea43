import Programs

/// Rows that one rank moves in an exchange, in the direction in which it moves more.
public struct ExchangeLoad: Hashable, Sendable {
  /// Rows to or from all ranks, its own included: what DeepEP counts for NVLink.
  public var rows: Int64
  /// Rows to or from ranks on other nodes, one for each rank.
  public var remoteRows: Int64

  public init(rows: Int64, remoteRows: Int64) {
    self.rows = rows
    self.remoteRows = remoteRows
  }

  /// - Parameters:
  ///   - rows: `[source][destination]` as dispatched.
  ///   - nodeOfMember: The node of each member.
  /// - Complexity: O(members).
  public init(rows: ArraySlice<Int32>, member: Int, nodeOfMember: [Int]) {
    let members = nodeOfMember.count
    let own = Int64(rows[rows.startIndex + member * members + member])
    var node: (out: Int64, back: Int64) = (0, 0)
    var remote: (out: Int64, back: Int64) = (0, 0)
    for other in 0..<members where other != member {
      let out = Int64(rows[rows.startIndex + member * members + other])
      let back = Int64(rows[rows.startIndex + other * members + member])
      if nodeOfMember[other] == nodeOfMember[member] {
        node = (node.out + out, node.back + back)
      } else {
        remote = (remote.out + out, remote.back + back)
      }
    }
    // Links carry both directions at once, so the fuller one counts; a combine only swaps them.
    remoteRows = max(remote.out, remote.back)
    self.rows = own + max(node.out + remote.out, node.back + remote.back)
  }
}
