import Foundation
import Models
import Tensors
import TestSupport
import Testing

@testable import Routing

private struct Layout: Decodable {
  var ranks: Int
  var nodes: Int
  var nExperts: Int
  var topK: Int
}

@Suite struct DispatchCountsTests {
  @Test func `an exchange counts what the golden layout counts`() throws {
    let file = try TensorFile(goldenPath("moe/ep_layout.safetensors"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let layout = try decoder.decode(Layout.self, from: Data(#require(file.metadata["config"]).utf8))
    let counts = DispatchCounts(
      choices: try file.int32s("topk_idx"), topK: layout.topK,
      placement: ExpertPlacement(contiguous: layout.nExperts, gpus: layout.ranks),
      ranksPerNode: layout.ranks / layout.nodes)
    #expect(try counts.rows == file.int32s("num_tokens_per_rank"))
    #expect(try counts.nodeRows == file.int32s("num_tokens_per_rdma_rank"))
    #expect(try counts.choicesOfExpert == file.int32s("num_tokens_per_expert"))
    #expect(try counts.rowsOfSlot == file.int32s("recv_tokens_per_expert"))
    #expect(try counts.received == file.int32s("recv_tokens_per_rank"))
    #expect(try counts.networkCopies == file.int32s("ib_send_tokens"))
    #expect(try counts.linkCopies == file.int32s("nvlink_tokens"))
  }

  @Test func `counts are those of a plain walk over the tokens, whatever the placement`() {
    for seed in 0..<60 {
      var generator = SeededGenerator(seed: UInt64(seed), stream: "counts")
      let members = Int.random(in: 1...8, using: &generator)
      let perNode = Int.random(in: 1...4, using: &generator)
      let experts = members * Int.random(in: 1...3, using: &generator)
      let topK = Int.random(in: 1...min(4, experts), using: &generator)
      let tokens = Int.random(in: 0...9, using: &generator)
      let placement = ExpertBalancing(replicas: experts + members, groups: 1, nodes: 1, gpus: members)
        .placement(loads: (0..<experts).map { _ in Float.random(in: 0...9, using: &generator) })
      let choices = (0..<members * tokens).flatMap { _ in
        (0..<experts).shuffled(using: &generator).prefix(topK).map { Int32($0) }
      }
      let counts = DispatchCounts(choices: choices, topK: topK, placement: placement, ranksPerNode: perNode)
      for source in 0..<members {
        var remote: Int32 = 0
        var toRank = Array(repeating: Int32(0), count: members)
        var toNode = Array(repeating: Int32(0), count: counts.nodes)
        for token in source * tokens..<(source + 1) * tokens {
          let ranks = Set(
            choices[token * topK..<(token + 1) * topK].map {
              placement.gpu(ofSlot: placement.slot(of: Int($0), token: token))
            })
          let nodes = Set(ranks.map { $0 / perNode })
          for rank in ranks { toRank[rank] += 1 }
          for node in nodes { toNode[node] += 1 }
          remote += Int32(nodes.subtracting([source / perNode]).count)
        }
        #expect(Array(counts.rows[source * members..<(source + 1) * members]) == toRank)
        #expect(Array(counts.nodeRows[source * counts.nodes..<(source + 1) * counts.nodes]) == toNode)
        #expect(counts.networkCopies[source] == remote)
      }
      #expect(counts.rowsOfSlot.reduce(0, +) == Int32(choices.count))
      #expect(counts.choicesOfExpert.reduce(0, +) == Int32(choices.count))
      // Every copy arrives: by itself, over the network, or over NVLink from where it landed.
      let landed = counts.rows.reduce(0, +) - counts.linkCopies.reduce(0, +)
      #expect(landed <= counts.nodeRows.reduce(0, +) && landed >= 0)
    }
  }

  @Test func `entries that choose nothing are not counted`() {
    let counts = DispatchCounts(
      choices: [-1, 3, -1, -1], topK: 2, placement: ExpertPlacement(contiguous: 4, gpus: 2), ranksPerNode: 1)
    #expect(counts.rows == [0, 1, 0, 0])
    #expect(counts.networkCopies == [1, 0])
  }

  @Test func `the balancer evens out what a skewed draw puts on the GPUs`() throws {
    let mixture = Mixture(routedExperts: 32, topK: 4, expertIntermediate: 1, groups: 8, limitedGroups: 4)
    let draw = RoutingDraw(mixture: mixture, layers: [0], popularity: .zipf(exponents: [1]), seed: 11)
    func busiest(_ placement: ExpertPlacement, batch: Int) -> Double {
      let choices = draw.choices(layer: 0, batch: batch, sources: 0..<8, tokens: 256)
      let rows = DispatchCounts(choices: choices, topK: 4, placement: placement, ranksPerNode: 4).rowsOfSlot
      let each = (0..<8).map { gpu in
        rows[gpu * placement.slotsPerGPU..<(gpu + 1) * placement.slotsPerGPU].reduce(0, +)
      }
      return Double(each.max() ?? 0) * 8 / Double(each.reduce(0, +))
    }
    let past = DispatchCounts(
      choices: draw.choices(layer: 0, batch: 0, sources: 0..<8, tokens: 256), topK: 4,
      placement: ExpertPlacement(contiguous: 32, gpus: 8), ranksPerNode: 4)
    let balancing = ExpertBalancing(replicas: 48, groups: 8, nodes: 2, gpus: 8)
    #expect(balancing.isHierarchical)
    let placement = balancing.placement(loads: past.rowsOfSlot.map(Float.init))
    // Placed by one micro-batch, measured on another.
    let (before, after) = (
      busiest(ExpertPlacement(contiguous: 32, gpus: 8), batch: 1), busiest(placement, batch: 1)
    )
    #expect(before > 1.3)
    #expect(after < 1.15 && after < before)
  }
}
