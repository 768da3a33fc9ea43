import Tensors
import TestSupport
import Testing

@testable import Kernels

@Suite struct DispatchLayoutTests {
  private struct Group: Decodable {
    var ranks, nodes, tokens, experts, topK, hidden: Int

    private enum CodingKeys: String, CodingKey {
      case ranks, nodes, tokens, hidden
      case experts = "n_experts"
      case topK = "top_k"
    }
  }

  @Test func `counts, order and hops are those of the golden file`() throws {
    let file = try goldenFile("ep_layout")
    let group: Group = try file.described("config")
    let all = try file.int32s("topk_idx")
    let (ranks, nodes, tokens) = (group.ranks, group.nodes, group.tokens)
    let choicesOfRank = tokens * group.topK
    let (inRank, inNode) = (try file.uint8s("is_token_in_rank"), try file.uint8s("is_token_in_node"))
    let perRank = try file.int32s("num_tokens_per_rank")
    let perNode = try file.int32s("num_tokens_per_rdma_rank")
    let perExpert = try file.int32s("num_tokens_per_expert")
    var within = [Int32](repeating: 0, count: ranks * ranks)
    var receivedCounts = [Int32](repeating: 0, count: ranks)
    // What each rank receives: choices of its copies, source rank and token of each, in the order of the sources.
    var received = [(choices: [Int32], weights: [Float], origin: [(Int, Int32)])](
      repeating: ([], [], []), count: ranks)
    for rank in 0..<ranks {
      let layout = DispatchLayout(
        tokens: tokens, topK: group.topK, experts: group.experts, ranks: ranks, ranksPerNode: ranks / nodes
      )
      let choices = Array(all[rank * choicesOfRank..<(rank + 1) * choicesOfRank])
      let weights = try Array(file.floats("topk_weights")[rank * choicesOfRank..<(rank + 1) * choicesOfRank])
      layout.arrange(choices: choices)
      var copyChoices = [Int32](repeating: -9, count: layout.copyCount * group.topK)
      var copyWeights = [Float](repeating: .nan, count: copyChoices.count)
      layout.gatherChoices(choices, weights: weights, intoChoices: &copyChoices, weights: &copyWeights)
      for destination in 0..<ranks {
        #expect(layout.count(rank: destination) == Int(perRank[rank * ranks + destination]))
        receivedCounts[destination] += Int32(layout.count(rank: destination))
        let range = Int(layout.offsets[destination])..<Int(layout.offsets[destination + 1])
        let sent = range.map { layout.copies[$0] }
        let expected = (0..<tokens).filter { inRank[(rank * tokens + $0) * ranks + destination] == 1 }
        #expect(sent == expected.map(Int32.init))
        let slots = range.lowerBound * group.topK..<range.upperBound * group.topK
        received[destination].choices += copyChoices[slots]
        received[destination].weights += copyWeights[slots]
        received[destination].origin += sent.map { (rank, $0) }
      }
      for node in 0..<nodes {
        #expect(layout.nodeCounts[node] == perNode[rank * nodes + node])
        let tokensOfNode = (0..<tokens).filter { inNode[(rank * tokens + $0) * nodes + node] == 1 }
        #expect(tokensOfNode.count == Int(layout.nodeCounts[node]))
      }
      for expert in 0..<group.experts {
        #expect(layout.expertCounts[expert] == perExpert[rank * group.experts + expert])
      }
      let leaving = layout.addHops(rank: rank, within: &within)
      #expect(try leaving == Int(file.int32s("ib_send_tokens")[rank]))
      #expect(try leaving * group.hidden * 2 == Int(file.int32s("ib_send_bytes_bf16")[rank]))
      let bytes = leaving * (group.hidden + group.hidden / 128 * 4)
      #expect(try bytes == Int(file.int32s("ib_send_bytes_fp8")[rank]))
    }
    #expect(try within == file.int32s("nvlink_tokens"))
    #expect(try receivedCounts == file.int32s("recv_tokens_per_rank"))
    let offsets = try file.int32s("expert_row_offsets")
    let (rows, rowRanks) = (try file.int32s("expert_rows_src_token"), try file.int32s("expert_rows_src_rank"))
    let each = group.experts / ranks
    for rank in 0..<ranks {
      let tokens = ReceivedTokens(firstExpert: rank * each, experts: each, topK: group.topK)
      let arrived = received[rank]
      tokens.arrange(choices: arrived.choices, weights: arrived.weights, tokens: arrived.origin.count)
      for expert in 0...each {
        #expect(tokens.offsets[expert] == offsets[rank * each + expert] - offsets[rank * each])
      }
      for row in 0..<tokens.rows {
        let (source, token) = arrived.origin[Int(tokens.sources[row])]
        let place = Int(offsets[rank * each]) + row
        #expect(source == Int(rowRanks[place]) && token == rows[place])
      }
    }
    #expect(
      try (0..<group.experts).map { offsets[$0 + 1] - offsets[$0] } == file.int32s("recv_tokens_per_expert")
    )
  }

  /// Random choices of distinct experts; some tokens choose fewer.
  static func choices(_ generator: inout SeededGenerator, tokens: Int, topK: Int, experts: Int) -> [Int32] {
    (0..<tokens).flatMap { _ in
      let distinct = (0..<experts).shuffled(using: &generator).prefix(topK).map(Int32.init)
      return distinct.map { generator.chance(7) ? -1 : $0 }
    }
  }

  @Test(arguments: 0..<30)
  func `tokens sent, run and sent back sum to what one rank alone would make`(seed: Int) {
    var generator = SeededGenerator(seed: UInt64(seed))
    let ranksPerNode = generator.pick(1...3)
    let ranks = ranksPerNode * generator.pick(1...3)
    let experts = ranks * generator.pick(1...4)
    let topK = generator.pick(1...min(experts, 5))
    let tokens = generator.pick(0...9)
    let width = generator.pick(1...19)
    let choices = Self.choices(&generator, tokens: tokens, topK: topK, experts: experts)
    let weights = generator.floats(tokens * topK)
    let rows = generator.floats(tokens * width)
    let upstream = generator.floats(tokens * width)
    // Each expert multiplies by a number of its own.
    let factors = generator.floats(experts)
    let layout = DispatchLayout(
      tokens: tokens, topK: topK, experts: experts, ranks: ranks, ranksPerNode: ranksPerNode)
    // Twice: what an earlier micro-batch left must not matter.
    layout.arrange(choices: choices.map { _ in 0 })
    layout.arrange(choices: choices)
    let copies = layout.copyCount
    var copyRows = [Float](repeating: .nan, count: copies * width + 1)
    var copyGradients = copyRows
    var copyChoices = [Int32](repeating: -9, count: copies * topK + 1)
    var copyWeights = [Float](repeating: .nan, count: copies * topK + 1)
    layout.gather(rows, width: width, into: &copyRows)
    layout.gather(upstream, width: width, into: &copyGradients)
    layout.gatherChoices(choices, weights: weights, intoChoices: &copyChoices, weights: &copyWeights)
    var back = [Float](repeating: .nan, count: copies * width + 1)
    var backGradients = back
    var backWeightGradients = [Float](repeating: .nan, count: copies * topK + 1)
    for rank in 0..<ranks {
      let first = Int(layout.offsets[rank])
      let received = ReceivedTokens(
        firstExpert: rank * layout.expertsPerRank, experts: layout.expertsPerRank, topK: topK)
      let count = layout.count(rank: rank)
      received.arrange(
        choices: Array(copyChoices[(first * topK)...]), weights: Array(copyWeights[(first * topK)...]),
        tokens: count)
      var permuted = [Float](repeating: .nan, count: received.rows * width + 1)
      received.permute(Array(copyRows[(first * width)...]), width: width, into: &permuted)
      func scale(_ values: inout [Float]) {
        for expert in 0..<layout.expertsPerRank {
          for row in Int(received.offsets[expert])..<Int(received.offsets[expert + 1]) {
            for column in 0..<width {
              values[row * width + column] *= factors[rank * layout.expertsPerRank + expert]
            }
          }
        }
      }
      scale(&permuted)
      var result = [Float](repeating: .nan, count: count * width + 1)
      received.combine(permuted, width: width, into: &result)
      back.replaceSubrange(first * width..<(first + count) * width, with: result.dropLast())
      var weightGradients = [Float](repeating: .nan, count: count * topK + 1)
      var rowGradients = permuted
      received.combineGradient(
        Array(copyGradients[(first * width)...]), outputs: permuted, width: width,
        rowGradients: &rowGradients,
        weightGradients: &weightGradients)
      scale(&rowGradients)
      received.sum(rowGradients, width: width, into: &result)
      backGradients.replaceSubrange(first * width..<(first + count) * width, with: result.dropLast())
      backWeightGradients.replaceSubrange(
        first * topK..<(first + count) * topK, with: weightGradients.dropLast())
    }
    var y = [Float](repeating: .nan, count: tokens * width + 1)
    layout.sum(back, width: width, into: &y)
    var dx = y
    layout.sum(backGradients, width: width, into: &dx)
    var weightGradients = [Float](repeating: .nan, count: tokens * topK + 1)
    layout.sumWeightGradients(backWeightGradients, choices: choices, into: &weightGradients)
    for token in 0..<tokens {
      var factor: Float = 0
      for slot in token * topK..<(token + 1) * topK where choices[slot] >= 0 {
        factor += weights[slot] * factors[Int(choices[slot])]
        var expected: Float = 0
        for column in token * width..<(token + 1) * width {
          expected += upstream[column] * rows[column] * factors[Int(choices[slot])]
        }
        #expect(abs(weightGradients[slot] - expected) < 1e-5)
      }
      for slot in token * topK..<(token + 1) * topK where choices[slot] < 0 {
        #expect(weightGradients[slot] == 0)
      }
      for column in token * width..<(token + 1) * width {
        #expect(abs(y[column] - factor * rows[column]) < 1e-5)
        #expect(abs(dx[column] - factor * upstream[column]) < 1e-5)
      }
    }
  }
}
