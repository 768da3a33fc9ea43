import Fleets
import Models
import Routing
import Testing
import Units

/// A published cell: ranks, dispatch and combine in GB/s, over NVLink in the first row, else over cards.
private struct Row: Sendable {
  var ranks: Int
  var dispatch: Double
  var combine: Double
}

/// DeepEP's normal kernels on H800: 4,096 tokens of 7,168, 8 experts of 256 in at most 4 nodes.
///
/// Source: DeepEP README since its release 1.1 (EP16 43/43, EP32 58/57, EP64 51/50). Rates: 44 GB/s of a 50 GB/s card, 141
/// GB/s of NVLink between nodes (EP16), 153 and 158 within one (EP8); nothing else is fitted.
private let published = [
  Row(ranks: 8, dispatch: 153, combine: 158), Row(ranks: 16, dispatch: 43, combine: 43),
  Row(ranks: 32, dispatch: 58, combine: 57), Row(ranks: 64, dispatch: 51, combine: 50),
]

private func study(_ ranks: Int, isCombine: Bool) throws -> ExchangeStudy {
  let tokens = 4096
  let nodes = ranks / 8
  // The benchmark keeps a token to the best four nodes.
  let mixture = Mixture(
    routedExperts: 256, sharedExperts: 0, topK: 8, expertIntermediate: 2048, groups: nodes,
    limitedGroups: min(nodes, 4), scoring: .sigmoid, hasSelectionBias: false, firstDenseLayers: 0)
  let draw = RoutingDraw(mixture: mixture, layers: [0], popularity: .balanced, seed: 1)
  let nvlink = ranks > 8 ? 141.0 : isCombine ? 158.0 : 153.0
  return try ExchangeStudy(
    choices: draw.sample(layer: 0, tokens: ranks * tokens), topK: 8, experts: 256, members: ranks,
    ranksPerNode: 8,
    rowBytes: isCombine ? 14336 : 7392,
    rates: .init(card: BytesPerSecond(44e9), nvlink: BytesPerSecond(nvlink * 1e9)), isCombine: isCombine)
}

@Suite struct `An exchange alone` {
  @Test(arguments: [8, 16, 32, 64], [false, true])
  func `comes within 8 % of DeepEP's published bandwidth`(ranks: Int, isCombine: Bool) throws {
    let row = try #require(published.first { $0.ranks == ranks })
    let study = try study(ranks, isCombine: isCombine)
    let bandwidth = ranks == 8 ? study.logicalLinkBandwidth : study.logicalCardBandwidth
    let expected = isCombine ? row.combine : row.dispatch
    #expect(abs(bandwidth.value / 1e9 / expected - 1) < 0.08, "\(bandwidth.value / 1e9) for \(expected)")
  }

  @Test func `of two nodes is bound by NVLink, of four and more by cards`() throws {
    let two = try study(16, isCombine: false)
    #expect(two.nvlinkUse.value == 1)
    #expect(two.cardUse.value < 0.6)
    for ranks in [32, 64] {
      let more = try study(ranks, isCombine: false)
      #expect(more.cardUse.value == 1)
      #expect(more.nvlinkUse.value < 0.9)
    }
  }

  @Test func `has a flow from every rank to every other node`() throws {
    #expect(try study(64, isCombine: false).flows == 64 * 7)
    #expect(try study(8, isCombine: false).flows == 0)
  }
}
