import CKernels

/// Which tokens of a rank go to which ranks: once to each rank that holds one of the experts they chose.
///
/// The experts lie in order on the ranks of the expert group, the same number on each. Copies are sent by destination
/// and then by token. Memory is allocated once. Source: DeepEP, `get_dispatch_layout`.
public final class DispatchLayout {
  /// Tokens of the last arrangement; before the first, the most that there is room for.
  public private(set) var tokens: Int
  public let topK: Int
  public let experts: Int
  public let ranks: Int
  public let ranksPerNode: Int

  /// `[ranks + 1]`: the copies for rank r are `offsets[r] ..< offsets[r + 1]`.
  public let offsets: UnsafeMutablePointer<Int32>
  /// `[copies]`: the token of each copy.
  public let copies: UnsafeMutablePointer<Int32>
  /// `[experts]`: tokens of each expert.
  public let expertCounts: UnsafeMutablePointer<Int32>
  /// `[nodes]`: tokens that some rank of the node receives, the own node included.
  public let nodeCounts: UnsafeMutablePointer<Int32>

  // Copies of each token in the order of their destinations: what comes back is summed in that order.
  private let starts: UnsafeMutablePointer<Int32>
  private let tokenCopies: UnsafeMutablePointer<Int32>
  private let destinations: UnsafeMutablePointer<Int32>
  private let capacity: Int

  /// - Parameter tokens: The most that are ever arranged.
  public init(tokens: Int, topK: Int, experts: Int, ranks: Int, ranksPerNode: Int? = nil) {
    precondition(ranks > 0 && experts % ranks == 0, "every rank holds the same number of experts")
    let ranksPerNode = ranksPerNode ?? ranks
    precondition(ranks % ranksPerNode == 0, "every node holds the same number of ranks")
    self.tokens = tokens
    capacity = tokens
    self.topK = topK
    self.experts = experts
    self.ranks = ranks
    self.ranksPerNode = ranksPerNode
    let most = max(1, tokens * min(ranks, topK))
    offsets = .allocate(capacity: ranks + 1)
    copies = .allocate(capacity: most)
    expertCounts = .allocate(capacity: experts)
    nodeCounts = .allocate(capacity: ranks / ranksPerNode)
    starts = .allocate(capacity: tokens + 1)
    tokenCopies = .allocate(capacity: most)
    destinations = .allocate(capacity: max(topK, 1))
    offsets.update(repeating: 0, count: ranks + 1)
    starts.update(repeating: 0, count: tokens + 1)
  }

  deinit {
    for buffer in [offsets, copies, expertCounts, nodeCounts, starts, tokenCopies, destinations] {
      buffer.deallocate()
    }
  }

  public var nodes: Int { ranks / ranksPerNode }
  public var expertsPerRank: Int { experts / ranks }
  /// Copies sent in all, those to the own rank included.
  public var copyCount: Int { Int(offsets[ranks]) }

  /// Copies for one rank.
  public func count(rank: Int) -> Int { Int(offsets[rank + 1] - offsets[rank]) }

  /// The ranks of one token, ascending and once each, in `destinations`; returns how many.
  private func findDestinations(_ choices: UnsafePointer<Int32>) -> Int {
    var count = 0
    for slot in 0..<topK where choices[slot] >= 0 {
      let rank = choices[slot] / Int32(truncatingIfNeeded: expertsPerRank)
      var place = 0
      while place < count && destinations[place] < rank { place += 1 }
      if place < count && destinations[place] == rank { continue }
      for later in stride(from: count, to: place, by: -1) { destinations[later] = destinations[later - 1] }
      destinations[place] = rank
      count += 1
    }
    return count
  }

  /// Lays out the tokens by the experts they chose, `[tokens, topK]`; -1 chooses none.
  ///
  /// - Parameter tokens: Nil: as many as there is room for.
  public func arrange(choices: UnsafePointer<Int32>, tokens: Int? = nil) {
    let tokens = tokens ?? capacity
    precondition(tokens <= capacity, "no more tokens than there is room for")
    self.tokens = tokens
    expertCounts.update(repeating: 0, count: experts)
    Router.count(indices: choices, choices: tokens * topK, into: expertCounts)
    nodeCounts.update(repeating: 0, count: nodes)
    offsets.update(repeating: 0, count: ranks + 1)
    var total: Int32 = 0
    for token in 0..<tokens {
      starts[token] = total
      let count = findDestinations(choices + token * topK)
      var node = -1
      for place in 0..<count {
        let rank = Int(destinations[place])
        offsets[rank] += 1
        if rank / ranksPerNode != node {
          node = rank / ranksPerNode
          nodeCounts[node] += 1
        }
        total += 1
      }
    }
    starts[tokens] = total
    var place: Int32 = 0
    for rank in 0...ranks {
      let count = offsets[rank]
      offsets[rank] = place
      place += rank < ranks ? count : 0
    }
    for token in 0..<tokens {
      let count = findDestinations(choices + token * topK)
      for place in 0..<count {
        let rank = Int(destinations[place])
        copies[Int(offsets[rank])] = Int32(truncatingIfNeeded: token)
        tokenCopies[Int(starts[token]) + place] = offsets[rank]
        offsets[rank] += 1
      }
    }
    for rank in stride(from: ranks, to: 0, by: -1) { offsets[rank] = offsets[rank - 1] }
    offsets[0] = 0
  }

  /// The rows to send, `[tokens, width]` to `[copies, width]`.
  public func gather(_ rows: UnsafePointer<Float>, width: Int, into copies: UnsafeMutablePointer<Float>) {
    ck_gather_rows(rows, self.copies, copyCount, width, copies)
  }

  /// The choices and weights that travel with the copies, `[copies, topK]` each: a choice of another rank than the
  /// copy's is -1 and its weight 0.
  public func gatherChoices(
    _ choices: UnsafePointer<Int32>, weights: UnsafePointer<Float>,
    intoChoices copyChoices: UnsafeMutablePointer<Int32>, weights copyWeights: UnsafeMutablePointer<Float>
  ) {
    forEachChoice(choices) { copySlot, slot, isHere in
      copyChoices[copySlot] = isHere ? choices[slot] : -1
      copyWeights[copySlot] = isHere ? weights[slot] : 0
    }
  }

  /// The rows that came back, `[copies, width]`, summed for each token in the order of the ranks: `[tokens, width]`.
  public func sum(
    _ copies: UnsafePointer<Float>, width: Int, into rows: UnsafeMutablePointer<Float>,
    accumulate: Bool = false
  ) {
    ck_sum_rows(copies, starts, tokenCopies, nil, tokens, width, accumulate ? 1 : 0, rows)
  }

  /// The gradients of the weights that came back, `[copies, topK]`, put where their choices are: `[tokens, topK]`.
  public func sumWeightGradients(
    _ copyGradients: UnsafePointer<Float>, choices: UnsafePointer<Int32>,
    into gradients: UnsafeMutablePointer<Float>
  ) {
    gradients.update(repeating: 0, count: tokens * topK)
    forEachChoice(choices) { copySlot, slot, isHere in
      if isHere { gradients[slot] = copyGradients[copySlot] }
    }
  }

  private func forEachChoice(_ choices: UnsafePointer<Int32>, _ body: (Int, Int, Bool) -> Void) {
    let width = Int32(truncatingIfNeeded: expertsPerRank)
    for rank in 0..<ranks {
      for copy in Int(offsets[rank])..<Int(offsets[rank + 1]) {
        for k in 0..<topK {
          let slot = Int(copies[copy]) * topK + k
          let expert = choices[slot]
          body(copy * topK + k, slot, expert >= 0 && Int(expert / width) == rank)
        }
      }
    }
  }

  /// Adds this rank's copies to what crosses between nodes and within them when dispatch takes two hops: over the
  /// network once to each remote node, to the rank of the sender's own place there, and on from it within the node.
  ///
  /// - Parameters:
  ///   - rank: The rank that sends.
  ///   - within: `[ranks, ranks]`, copies from one rank to another of its node.
  /// - Returns: Copies that leave the node.
  public func addHops(rank: Int, within: UnsafeMutablePointer<Int32>) -> Int {
    let ownNode = rank / ranksPerNode
    for destination in 0..<ranks {
      let node = destination / ranksPerNode
      let from = node == ownNode ? rank : node * ranksPerNode + rank % ranksPerNode
      if from != destination {
        within[from * ranks + destination] += offsets[destination + 1] - offsets[destination]
      }
    }
    var leaving = 0
    for node in 0..<nodes where node != ownNode { leaving += Int(nodeCounts[node]) }
    return leaving
  }
}
