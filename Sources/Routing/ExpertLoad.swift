import Models

/// What a layer's routed experts put on the ranks of an expert group, in the long run.
///
/// Loads follow from how often experts are chosen; that tokens whose experts share a rank or a node travel there once
/// is taken from a sample. The chance ups and downs of single micro-batches are left out.
public struct ExpertLoad: Hashable, Sendable {
  public let placement: ExpertPlacement
  /// Pairs of token and expert that each rank computes, over the mean: `[rank]`.
  public let work: [Double]
  /// The chance that a token travels to a rank: `[rank]`.
  public let rankChance: [Double]
  /// The chance that a token travels to a node: `[node]`.
  public let nodeChance: [Double]
  /// Slots of the rank with most of them whose expert is also held by another rank.
  public let replicatedSlots: Int

  /// - Parameters:
  ///   - placement: Whose GPUs are the ranks of the group.
  ///   - ranksPerNode: Consecutive ranks of a node.
  /// - Complexity: O(choices of the sample + tokens × ranks).
  public init(_ layer: RoutingSample.Layer, topK: Int, placement: ExpertPlacement, ranksPerNode: Int) {
    let ranks = placement.gpus
    let tokens = layer.choices.count / topK / ranks * ranks
    precondition(tokens > 0, "every rank has a token of the sample")
    let counts = DispatchCounts(
      choices: Array(layer.choices[..<(tokens * topK)]), topK: topK, placement: placement,
      ranksPerNode: ranksPerNode)
    let loads = placement.loads(layer.frequencies)
    let mean = loads.reduce(0, +) / Double(ranks)
    var sampled = Array(repeating: 0.0, count: ranks)
    for (slot, rows) in counts.rowsOfSlot.enumerated() {
      sampled[placement.gpu(ofSlot: slot)] += Double(rows)
    }
    // Of the tokens that choose experts here, those that choose several are seen once.
    func chance(reached: Double, sampled: Double, load: Double) -> Double {
      min(1, sampled > 0 ? load * reached / sampled : load)
    }
    self.placement = placement
    work = loads.map { mean > 0 ? $0 / mean : 1 }
    rankChance = zip(counts.received, zip(sampled, loads)).map {
      chance(reached: Double($0), sampled: $1.0, load: $1.1)
    }
    nodeChance = (0..<counts.nodes).map { node in
      let members = node * ranksPerNode..<min(ranks, (node + 1) * ranksPerNode)
      let reached = (0..<ranks).reduce(0) { $0 + Int(counts.nodeRows[$1 * counts.nodes + node]) }
      return chance(
        reached: Double(reached), sampled: sampled[members].reduce(0, +), load: loads[members].reduce(0, +))
    }
    var replicated = Array(repeating: 0, count: ranks)
    for slots in placement.slotsOfExpert where Set(slots.map(placement.gpu(ofSlot:))).count > 1 {
      for slot in slots { replicated[placement.gpu(ofSlot: slot)] += 1 }
    }
    replicatedSlots = replicated.max() ?? 0
  }

  /// The rank that computes most, the first of equals.
  public var fullest: Int { work.indices.max { (work[$0], $1) < (work[$1], $0) } ?? 0 }

  /// The fullest rank's rows over the mean: 1 is balanced.
  public var imbalance: Double { work[fullest] }

  // MARK: What a token's way is like on average

  public var ranksPerToken: Double { rankChance.reduce(0, +) }
  public var nodesPerToken: Double { nodeChance.reduce(0, +) }

  /// How many times the average the fullest rank receives over NVLink, its own rows included.
  public var fullestRank: Double { ratio(rankChance) }

  /// How many times the average the cards of the fullest node receive: tokens come to the card in their source's own
  /// place there, as many to each.
  public var fullestNode: Double { ratio(nodeChance) }

  private func ratio(_ chances: [Double]) -> Double {
    let sum = chances.reduce(0, +)
    return sum > 0 ? (chances.max() ?? 0) * Double(chances.count) / sum : 1
  }
}
