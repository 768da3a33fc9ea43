import Foundation
import Models

/// Where a token's chosen experts lie, averaged over tokens: what dispatch and combine carry.
public struct ExpertTraffic: Hashable, Sendable {
  /// Distinct nodes, the token's own included.
  public var nodesPerToken: Double
  /// Distinct nodes, the token's own excluded: copies that cross the network.
  public var remoteNodesPerToken: Double
  /// Distinct ranks, the token's own included.
  public var ranksPerToken: Double
  /// Copies that go on over NVLink: ranks reached other than the one a copy landed on.
  public var forwardedPerToken: Double

  /// Draws the choices of `tokens` tokens from a router whose scores are independent and alike for all
  /// experts.
  ///
  /// Groups are chosen by the sum of their two best scores and experts by score within them, as DeepSeek-V3's
  /// router does; without group limits that is a uniform choice. Experts lie on the ranks in order,
  /// `ranksPerNode` consecutive ranks on a node; tokens start on the ranks in turn.
  /// - Precondition: `ranks` divides the experts.
  /// - Complexity: O(tokens × experts × log experts).
  public init(balanced mixture: Mixture, ranks: Int, ranksPerNode: Int, tokens: Int = 2048, seed: UInt64) {
    precondition(mixture.routedExperts % ranks == 0, "experts are divided evenly")
    var generator = SeededGenerator(seed: seed, stream: "routing")
    let perRank = mixture.routedExperts / ranks
    let nodes = (ranks + ranksPerNode - 1) / ranksPerNode
    var (sumNodes, sumRemote, sumRanks, sumForwarded) = (0, 0, 0, 0)
    var scores = Array(repeating: 0.0, count: mixture.routedExperts)
    for token in 0..<tokens {
      for expert in scores.indices { scores[expert] = generator.nextNormal() }
      let source = token % ranks
      var reachesRank = Array(repeating: false, count: ranks)
      for expert in mixture.choice(of: scores) { reachesRank[expert / perRank] = true }
      sumRanks += reachesRank.count { $0 }
      for node in 0..<nodes {
        let members = node * ranksPerNode..<min(ranks, (node + 1) * ranksPerNode)
        let reached = members.count { reachesRank[$0] }
        guard reached > 0 else { continue }
        sumNodes += 1
        if !members.contains(source) { sumRemote += 1 }
        let landing = node * ranksPerNode + source % ranksPerNode
        sumForwarded += reached - (members.contains(landing) && reachesRank[landing] ? 1 : 0)
      }
    }
    let count = Double(tokens)
    nodesPerToken = Double(sumNodes) / count
    remoteNodesPerToken = Double(sumRemote) / count
    ranksPerToken = Double(sumRanks) / count
    forwardedPerToken = Double(sumForwarded) / count
  }
}

extension Mixture {
  /// The experts that one token's scores choose, ascending; ties go to the lowest index.
  ///
  /// Source: DeepSeek-V3, arXiv 2412.19437, section 2.1.2, and its released inference code.
  public func choice(of scores: [Double]) -> [Int] {
    let perGroup = routedExperts / groups
    var open = Array(0..<routedExperts)
    if limitedGroups < groups {
      let groupScores = (0..<groups).map { group -> Double in
        let members = scores[group * perGroup..<(group + 1) * perGroup]
        var (best, second) = (-Double.infinity, -Double.infinity)
        for score in members {
          if score > best {
            (best, second) = (score, best)
          } else if score > second {
            second = score
          }
        }
        return perGroup > 1 ? best + second : best
      }
      let chosen = groupScores.indices.sorted { (groupScores[$1], $0) < (groupScores[$0], $1) }.prefix(
        limitedGroups)
      open = chosen.sorted().flatMap { Array($0 * perGroup..<($0 + 1) * perGroup) }
    }
    return open.sorted { (scores[$1], $0) < (scores[$0], $1) }.prefix(topK).sorted()
  }
}

extension SeededGenerator {
  /// Standard normal, by Box and Muller's transform.
  mutating func nextNormal() -> Double {
    let (u, v) = (nextUnit(), nextUnit())
    return (-2 * log(u)).squareRoot() * cos(2 * .pi * v)
  }
}
