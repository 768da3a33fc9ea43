import Routing

/// Tokens of one layer whose ranks have been counted, in blocks: what a rank's micro-batch reaches is the sum of blocks
/// drawn with replacement.
///
/// Scoring every expert for every token of a step would be 10^12 scores. Tokens of a layer are alike and
/// independent, so a micro-batch is drawn from a pool of scored ones, block by block; sums of independent
/// tokens stay what they are.
struct TokenPool: Sendable {
  static let blockTokens = 64

  let members: Int
  let nodes: Int
  let ranksPerNode: Int
  let blocks: Int
  /// One block's counts: rows to each node, ranks reached on each node, rows to each rank, choices on each rank.
  let width: Int
  private let counts: [Int32]

  /// Experts in order, without replicas.
  init(choices: [Int32], topK: Int, experts: Int, members: Int, ranksPerNode: Int) {
    self.init(
      choices: choices, topK: topK, placement: ExpertPlacement(contiguous: experts, gpus: members),
      ranksPerNode: ranksPerNode)
  }

  /// - Parameters:
  ///   - choices: `[token, topK]`, a whole number of blocks.
  ///   - placement: Of the experts on the group's members; replicas take tokens in turn.
  init(choices: [Int32], topK: Int, placement: ExpertPlacement, ranksPerNode: Int) {
    let members = placement.gpus
    self.members = members
    self.ranksPerNode = ranksPerNode
    nodes = (members + ranksPerNode - 1) / ranksPerNode
    width = 2 * nodes + 2 * members
    let tokens = choices.count / topK
    blocks = tokens / Self.blockTokens
    // Members that hold each expert, one after the other.
    let holders = placement.slotsOfExpert.map { $0.map { Int32(placement.gpu(ofSlot: $0)) } }
    var first: [Int32] = [0]
    for list in holders { first.append(first[first.count - 1] + Int32(list.count)) }
    let holderOf = holders.flatMap { $0 }
    var counts = Array(repeating: Int32(0), count: blocks * width)
    var isReached = Array(repeating: false, count: members)
    for token in 0..<blocks * Self.blockTokens {
      let base = token / Self.blockTokens * width
      for choice in choices[token * topK..<(token + 1) * topK] {
        let replicas = first[Int(choice) + 1] - first[Int(choice)]
        let own = replicas == 1 ? 0 : token % Int(replicas)
        let rank = Int(holderOf[Int(first[Int(choice)]) + own])
        counts[base + 2 * nodes + members + rank] += 1
        isReached[rank] = true
      }
      for node in 0..<nodes {
        var reached: Int32 = 0
        for rank in node * ranksPerNode..<min(members, (node + 1) * ranksPerNode) where isReached[rank] {
          isReached[rank] = false
          reached += 1
          counts[base + 2 * nodes + rank] += 1
        }
        if reached > 0 { counts[base + node] += 1 }
        counts[base + nodes + node] += reached
      }
    }
    self.counts = counts
  }

  func count(_ block: Int, _ place: Int) -> Int32 { counts[block * width + place] }

  /// The counts of one source's tokens, `[width]`.
  ///
  /// - Complexity: O(tokens ÷ block × width).
  func draw(tokens: Int, _ generator: inout SeededGenerator, into sum: inout [Int32]) {
    for place in 0..<width { sum[place] = 0 }
    counts.withUnsafeBufferPointer { counts in
      sum.withUnsafeMutableBufferPointer { sum in
        var left = tokens
        while left >= Self.blockTokens {
          let block = Int(generator.next() % UInt64(blocks))
          let own = counts.baseAddress! + block * width
          for place in 0..<width { sum[place] &+= own[place] }
          left -= Self.blockTokens
        }
        // What does not fill a block is a share of one.
        if left > 0 {
          let own = counts.baseAddress! + Int(generator.next() % UInt64(blocks)) * width
          for place in 0..<width {
            sum[place] += (own[place] * Int32(left) + Int32(Self.blockTokens / 2)) / Int32(Self.blockTokens)
          }
        }
      }
    }
  }
}

/// What one exchange carries between the members of its group, counted as DeepEP counts it.
struct ExchangeRows {
  let members: Int
  let nodes: Int
  /// `[source, node]`, own nodes included.
  var nodeRows: [Int32]
  /// Rows that a member receives, its own included, once for each token.
  var received: [Int32]
  /// Rows that a member hands on within its node, those that stay on it included.
  var forwarded: [Int32]
  /// The same without those that stay: what NVLink carries out of the member, and into it.
  var linkOut: [Int32]
  var linkIn: [Int32]
  /// Pairs of token and expert that a member computes.
  var computed: [Int32]

  init(members: Int, nodes: Int) {
    self.members = members
    self.nodes = nodes
    nodeRows = Array(repeating: 0, count: members * nodes)
    received = Array(repeating: 0, count: members)
    forwarded = received
    linkOut = received
    linkIn = received
    computed = received
  }

  /// Draws every member's tokens.
  mutating func draw(
    _ pool: TokenPool, tokens: Int, _ generator: inout SeededGenerator, scratch: inout [Int32]
  ) {
    for member in 0..<members {
      received[member] = 0
      forwarded[member] = 0
      linkOut[member] = 0
      linkIn[member] = 0
      computed[member] = 0
    }
    for source in 0..<members {
      pool.draw(tokens: tokens, &generator, into: &scratch)
      add(scratch, from: source, ranksPerNode: pool.ranksPerNode)
    }
  }

  /// Enters one source's counts, in the form of a pool's.
  mutating func add(_ counts: [Int32], from source: Int, ranksPerNode: Int) {
    for node in 0..<nodes {
      nodeRows[source * nodes + node] = counts[node]
      let landing = min(node * ranksPerNode + source % ranksPerNode, members - 1)
      let own = counts[2 * nodes + landing]
      forwarded[landing] += counts[nodes + node]
      linkOut[landing] += counts[nodes + node] - own
      linkIn[landing] -= own
    }
    for rank in 0..<members {
      received[rank] += counts[2 * nodes + rank]
      linkIn[rank] += counts[2 * nodes + rank]
      computed[rank] += counts[2 * nodes + members + rank]
    }
  }
}
