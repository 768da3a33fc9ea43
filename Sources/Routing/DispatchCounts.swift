/// What one exchange of tokens between the ranks of an expert group carries, counted from the tokens' choices.
///
/// A token goes once to every rank that holds an expert it chose. Over the network it goes once to every other node
/// with such a rank, to the GPU in the source's own place there, and from that GPU over NVLink to the others.
/// Source: DeepEP, `get_dispatch_layout` and its internode kernels.
public struct DispatchCounts: Hashable, Sendable {
  /// Ranks of the group, each a source and a destination.
  public let members: Int
  /// Nodes of `ranksPerNode` consecutive members; the last may have fewer.
  public let nodes: Int
  /// Tokens from each member to each: `[source, destination]`, once a token, own tokens on the diagonal.
  public private(set) var rows: [Int32]
  /// Tokens from each member to each node, once a token: `[source, node]`, the own node included.
  public private(set) var nodeRows: [Int32]
  /// Copies that leave each member's node over the network: `[source]`.
  public private(set) var networkCopies: [Int32]
  /// Copies that go on over NVLink: `[from, to]`.
  public private(set) var linkCopies: [Int32]
  /// Choices of each expert: `[source, expert]`.
  public private(set) var choicesOfExpert: [Int32]
  /// Rows that each slot computes, all sources together: `[slot]`.
  public private(set) var rowsOfSlot: [Int32]

  /// Counts one exchange.
  ///
  /// - Parameters:
  ///   - choices: `[member, token, topK]` experts, as many tokens from each member; negative entries choose nothing.
  ///   - placement: Whose GPUs are the members.
  /// - Precondition: Choices are below the placement's experts.
  /// - Complexity: O(choices + tokens × members).
  public init(choices: [Int32], topK: Int, placement: ExpertPlacement, ranksPerNode: Int) {
    let members = placement.gpus
    precondition(topK > 0 && ranksPerNode > 0, "counts are positive")
    precondition(choices.count % (members * topK) == 0, "as many tokens from each member")
    self.members = members
    nodes = (members + ranksPerNode - 1) / ranksPerNode
    rows = Array(repeating: 0, count: members * members)
    nodeRows = Array(repeating: 0, count: members * nodes)
    networkCopies = Array(repeating: 0, count: members)
    linkCopies = Array(repeating: 0, count: members * members)
    choicesOfExpert = Array(repeating: 0, count: members * placement.experts)
    rowsOfSlot = Array(repeating: 0, count: placement.expertOfSlot.count)
    let tokens = choices.count / (members * topK)
    var isReached = Array(repeating: false, count: members)
    for token in 0..<members * tokens {
      let source = token / tokens
      for choice in choices[token * topK..<(token + 1) * topK] where choice >= 0 {
        let slot = placement.slot(of: Int(choice), token: token)
        choicesOfExpert[source * placement.experts + Int(choice)] += 1
        rowsOfSlot[slot] += 1
        isReached[placement.gpu(ofSlot: slot)] = true
      }
      count(&isReached, from: source, ranksPerNode: ranksPerNode)
    }
  }

  /// Enters one token's ranks and forgets them.
  private mutating func count(_ isReached: inout [Bool], from source: Int, ranksPerNode: Int) {
    for node in 0..<nodes {
      let first = node * ranksPerNode
      // Where a smaller last node has no such place, its last GPU takes the copy.
      let landing = min(first + source % ranksPerNode, members - 1)
      var reaches = false
      for rank in first..<min(first + ranksPerNode, members) where isReached[rank] {
        isReached[rank] = false
        reaches = true
        rows[source * members + rank] += 1
        if rank != landing { linkCopies[landing * members + rank] += 1 }
      }
      guard reaches else { continue }
      nodeRows[source * nodes + node] += 1
      if node != source / ranksPerNode { networkCopies[source] += 1 }
    }
  }

  /// Tokens that each member receives, its own included: `[destination]`.
  public var received: [Int32] {
    (0..<members).map { destination in
      (0..<members).reduce(0) { $0 + rows[$1 * members + destination] }
    }
  }
}
