import Models
import Testing

@testable import Routing

/// DeepSeek-V3's experts, or others, in groups of which a token may choose some.
private func mixture(experts: Int = 256, topK: Int = 8, groups: Int = 1, limited: Int = 1) -> Mixture {
  Mixture(
    routedExperts: experts, sharedExperts: 0, topK: topK, expertIntermediate: 2048, groups: groups,
    limitedGroups: limited, scoring: .sigmoid, hasSelectionBias: false, firstDenseLayers: 0)
}

/// Within one per cent, or a thousandth where nothing is expected.
private func isClose(_ value: Double, _ expected: Double) -> Bool {
  abs(value - expected) <= max(0.01 * expected, 1e-3)
}

@Suite struct `Traffic of balanced routing` {
  /// Share of the choices of k from e experts that miss m of them: C(e - m, k) / C(e, k).
  private func missing(_ m: Int, of e: Int, choosing k: Int) -> Double {
    (0..<k).reduce(1.0) { $0 * Double(max(0, e - m - $1)) / Double(e - $1) }
  }

  static let shapes = [
    (256, 8, 64, 8), (256, 8, 32, 8), (256, 8, 16, 8), (256, 8, 8, 8), (8, 2, 4, 2), (8, 2, 8, 4),
    (64, 6, 16, 4), (60, 4, 6, 4),
  ]

  @Test(arguments: shapes) func `meets the closed form without group limits`(
    experts: Int, topK: Int, ranks: Int, ranksPerNode: Int
  ) {
    let traffic = ExpertTraffic(
      balanced: mixture(experts: experts, topK: topK), ranks: ranks, ranksPerNode: ranksPerNode,
      tokens: experts > 64 ? 3000 : 12_000, seed: 3)
    let ofRank = 1 - missing(experts / ranks, of: experts, choosing: topK)
    #expect(isClose(traffic.ranksPerToken, Double(ranks) * ofRank))
    // Each rank is as likely the landing one: its own copy is not sent on.
    if ranks % ranksPerNode == 0 {
      let nodes = ranks / ranksPerNode
      let ofNode = 1 - missing(experts / nodes, of: experts, choosing: topK)
      #expect(isClose(traffic.nodesPerToken, Double(nodes) * ofNode))
      #expect(isClose(traffic.remoteNodesPerToken, Double(nodes - 1) * ofNode))
      #expect(isClose(traffic.forwardedPerToken, Double(ranks - nodes) * ofRank))
    }
  }

  /// Mean nodes, remote nodes and ranks of a token, and copies over NVLink, of DeepSeek-V3's gating with a
  /// node a group and at most four nodes a token, drawn by PyTorch over 32,768 tokens.
  static let deepseek = [
    (8, 1.0, 0.0, 5.2984, 4.634), (16, 1.9931, 0.9968, 6.528, 5.7129), (32, 3.6107, 2.7094, 7.2669, 6.363),
    (64, 3.9659, 3.468, 7.4893, 6.5552), (128, 3.9954, 3.7461, 7.6721, 6.7102),
    (256, 3.9994, 3.8722, 8.0, 6.999),
  ]

  @Test(arguments: deepseek) func `meets DeepSeek-V3's gating drawn elsewhere`(
    ranks: Int, nodes: Double, remote: Double, reached: Double, forwarded: Double
  ) {
    let groups = ranks / 8
    let traffic = ExpertTraffic(
      balanced: mixture(groups: groups, limited: min(4, groups)), ranks: ranks, ranksPerNode: 8, tokens: 3000,
      seed: 4)
    #expect(isClose(traffic.nodesPerToken, nodes))
    #expect(isClose(traffic.remoteNodesPerToken, remote))
    #expect(isClose(traffic.ranksPerToken, reached))
    #expect(isClose(traffic.forwardedPerToken, forwarded))
  }

  @Test func `is the same for the same seed and no other`() {
    func draw(_ seed: UInt64) -> ExpertTraffic {
      ExpertTraffic(
        balanced: mixture(groups: 8, limited: 4), ranks: 64, ranksPerNode: 8, tokens: 256, seed: seed)
    }
    #expect(draw(1) == draw(1))
    #expect(draw(1) != draw(2))
  }

  @Test func `never leaves one rank or one node`() {
    let alone = ExpertTraffic(balanced: mixture(), ranks: 1, ranksPerNode: 1, tokens: 64, seed: 1)
    #expect(alone.ranksPerToken == 1 && alone.remoteNodesPerToken == 0 && alone.forwardedPerToken == 0)
    let apart = ExpertTraffic(balanced: mixture(), ranks: 8, ranksPerNode: 1, tokens: 64, seed: 1)
    #expect(apart.nodesPerToken == apart.ranksPerToken && apart.forwardedPerToken == 0)
  }
}

@Suite struct `A token's choice of experts` {
  /// All sums of two, all sorts: as the paper puts it, without care for speed.
  private func naiveChoice(_ mixture: Mixture, _ scores: [Double]) -> [Int] {
    let perGroup = mixture.routedExperts / mixture.groups
    var groups: [(score: Double, index: Int)] = []
    for group in 0..<mixture.groups {
      let members = (group * perGroup..<(group + 1) * perGroup).map { scores[$0] }.sorted(by: >)
      groups.append((members.prefix(2).reduce(0, +), group))
    }
    groups.sort { $0.score != $1.score ? $0.score > $1.score : $0.index < $1.index }
    let open = Set(groups.prefix(mixture.limitedGroups).map(\.index))
    var experts = scores.indices.filter { open.contains($0 / perGroup) }.map {
      (score: scores[$0], index: $0)
    }
    experts.sort { $0.score != $1.score ? $0.score > $1.score : $0.index < $1.index }
    return experts.prefix(mixture.topK).map(\.index).sorted()
  }

  @Test func `is the naive one, ties included`() {
    var random = SeededGenerator(seed: 5, stream: "test")
    for _ in 0..<2000 {
      let groups = [1, 2, 4, 8].randomElement(using: &random)!
      let experts = groups * Int.random(in: 1...8, using: &random)
      let limited = Int.random(in: 1...groups, using: &random)
      let topK = Int.random(in: 1...(experts / groups * limited), using: &random)
      let mixture = mixture(experts: experts, topK: topK, groups: groups, limited: limited)
      // Few distinct scores, negative ones among them, so that there are ties.
      let scores = (0..<experts).map { _ in Double(Int.random(in: -4...4, using: &random)) / 2 }
      #expect(mixture.choice(of: scores) == naiveChoice(mixture, scores))
    }
  }

  @Test func `looks at a group's two best together`() {
    let limited = mixture(experts: 6, topK: 2, groups: 2, limited: 1)
    #expect(limited.choice(of: [9, 0, 0, 5, 6, 0]) == [3, 4], "11 together beat 9 alone")
    #expect(mixture(experts: 6, topK: 2).choice(of: [9, 0, 0, 5, 6, 0]) == [0, 4])
  }
}

@Suite struct `The seeded generator` {
  @Test func `is SplitMix64`() {
    // Source: the reference implementation's first numbers for seed 1234567 (prng.di.unimi.it, splitmix64.c).
    var random = SeededGenerator(seed: 1_234_567 ^ 0xcbf2_9ce4_8422_2325, stream: "")
    #expect(
      (0..<3).map { _ in random.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      ])
  }

  @Test func `draws normals of mean 0 and variance 1, and units within 0 and 1`() {
    var random = SeededGenerator(seed: 6, stream: "test")
    let values = (0..<20_000).map { _ in random.nextNormal() }
    #expect(values.allSatisfy { $0.isFinite })
    let mean = values.reduce(0, +) / Double(values.count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
    #expect(abs(mean) < 0.02 && abs(variance - 1) < 0.03)
    #expect((0..<20_000).allSatisfy { _ in (0..<1).contains(random.nextUnit()) })
  }

  @Test func `names streams apart`() {
    var (one, other) = (SeededGenerator(seed: 1, stream: "a"), SeededGenerator(seed: 1, stream: "b"))
    #expect(one.next() != other.next())
  }
}
