import Models
import Testing

@testable import Routing

/// Loads of an expert group in the long run.
@Suite struct `The load of experts` {
  private static let model = Model(
    name: "m", source: "test", family: .deepseekV3, hidden: 64, layers: 2, vocabulary: 64,
    maximumSequence: 64,
    tiedEmbeddings: true,
    attention: .grouped(GroupedAttention(queryHeads: 1, keyValueHeads: 1, headDimension: 64)),
    feedForward: FeedForward(intermediate: 64),
    mixture: Mixture(routedExperts: 32, topK: 4, expertIntermediate: 1, groups: 8, limitedGroups: 4))

  private func sample(_ popularity: ExpertPopularity, seed: UInt64 = 3) throws -> RoutingSample {
    try #require(RoutingSample(model: Self.model, popularity: popularity, seed: seed))
  }

  private func load(_ layer: RoutingSample.Layer, _ placement: ExpertPlacement) -> ExpertLoad {
    ExpertLoad(layer, topK: 4, placement: placement, ranksPerNode: 4)
  }

  @Test func `is one everywhere where experts are balanced`() throws {
    let layers = try sample(.balanced).layers
    #expect(layers.map(\.layer) == [0, 1])
    let load = load(layers[0], ExpertPlacement(contiguous: 32, gpus: 8))
    #expect(load.imbalance == 1 && load.work == Array(repeating: 1, count: 8))
    #expect(load.replicatedSlots == 0)
    // Every rank is as likely as any other, apart from what the sample does not settle.
    let traffic = ExpertTraffic(
      balanced: try #require(Self.model.mixture), ranks: 8, ranksPerNode: 4, tokens: 8192, seed: 5)
    #expect(abs(load.ranksPerToken / traffic.ranksPerToken - 1) < 0.02)
    #expect((1..<1.05).contains(load.fullestRank) && (1..<1.05).contains(load.fullestNode))
    #expect(load.nodesPerToken <= 2)
  }

  @Test func `is what a long draw counts`() throws {
    let layer = try sample(.zipf(exponents: [0.5])).layers[1]
    let placement = ExpertPlacement(contiguous: 32, gpus: 8)
    let load = load(layer, placement)
    let draw = RoutingDraw(
      mixture: try #require(Self.model.mixture), layers: [0, 1], popularity: .zipf(exponents: [0.5]), seed: 3)
    let counts = DispatchCounts(
      choices: draw.choices(layer: 1, batch: 9, sources: 0..<8, tokens: 1024), topK: 4, placement: placement,
      ranksPerNode: 4)
    for rank in 0..<8 {
      let pairs = counts.rowsOfSlot[rank * 4..<rank * 4 + 4].reduce(0, +)
      #expect(abs(Double(pairs) / 4096 / load.work[rank] - 1) < 0.1)
      #expect(abs(Double(counts.received[rank]) / 8192 / load.rankChance[rank] - 1) < 0.1)
    }
    #expect(load.imbalance > 1.1 && load.fullestRank > 1)
  }

  @Test func `falls when busy experts are held more than once`() throws {
    for layer in try sample(.zipf(exponents: [0.75])).layers {
      let plain = load(layer, ExpertPlacement(contiguous: 32, gpus: 8))
      func balanced(_ replicas: Int, nodes: Int) -> ExpertLoad {
        load(
          layer,
          ExpertBalancing(replicas: replicas, groups: 8, nodes: nodes, gpus: 8)
            .placement(loads: layer.frequencies.map(Float.init)))
      }
      let (moved, hierarchical, global) = (
        balanced(32, nodes: 2), balanced(48, nodes: 2), balanced(48, nodes: 3)
      )
      #expect(moved.replicatedSlots == 0 && moved.imbalance <= plain.imbalance)
      #expect(hierarchical.imbalance < moved.imbalance && hierarchical.imbalance < 1.3)
      #expect(global.imbalance <= hierarchical.imbalance + 0.05 && global.replicatedSlots > 0)
      #expect(abs(hierarchical.work.reduce(0, +) - 8) < 1e-9)
    }
  }

  @Test func `is the same for the same seed and no other`() throws {
    let skewed = ExpertPopularity.zipf(exponents: [1])
    #expect(try sample(skewed) == sample(skewed))
    #expect(try sample(skewed) != sample(skewed, seed: 4))
  }
}
