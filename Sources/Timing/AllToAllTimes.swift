import Programs
import Units

/// Bytes that one member of an all-to-all moves, in the direction in which it moves more.
public struct AllToAllLoad: Hashable, Sendable {
  /// To or from other ranks of its node.
  public var near: Int64
  /// To or from ranks of other nodes.
  public var far: Int64

  public init(near: Int64, far: Int64) {
    self.near = near
    self.far = far
  }

  /// Even shards of a buffer.
  public init(bytes: Int64, shape: GroupShape) {
    let share = Double(bytes) / Double(max(1, shape.ranks))
    near = Int64((share * Double(shape.ranksPerNode - 1)).rounded())
    far = Int64((share * Double(shape.ranks - shape.ranksPerNode)).rounded())
  }

  /// - Parameter nodeOfMember: The node of each member.
  /// - Complexity: O(members).
  public init(_ splits: Splits, member: Int, nodeOfMember: [Int]) {
    var out = (near: Int64(0), far: Int64(0))
    var back = out
    for other in nodeOfMember.indices where other != member {
      if nodeOfMember[other] == nodeOfMember[member] {
        out.near += splits.sent[other]
        back.near += splits.received[other]
      } else {
        out.far += splits.sent[other]
        back.far += splits.received[other]
      }
    }
    near = max(out.near, back.near)
    far = max(out.far, back.far)
  }
}

extension CollectiveTimes {
  /// What an all-to-all takes for one member; all wait for the fullest, because a meeting goes at its slowest
  /// participant's pace.
  ///
  /// Messages to all others are under way at once, as NCCL's grouped sends and receives are: no ring, one step.
  /// A member's bytes within its node go over NVLink beside those that leave it, which take its own share of the
  /// node's cards.
  public func allToAll(_ load: AllToAllLoad, shape: GroupShape) -> Cost {
    guard shape.ranks > 1 else { return .free }
    let near = Double(load.near) / nvlinkBandwidth
    let far = shape.nodes > 1 ? Double(load.far) / networkBandwidthPerGPU(nodes: shape.nodes) : 0
    let alone = Span(modelled: max(near, far)) + allToAllLatency(shape)
    return Cost(alone: alone, linkShare: linkShares(load, alone: alone))
  }
}
