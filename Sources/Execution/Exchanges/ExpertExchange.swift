import Kernels

/// Tokens of one rank on their way to the ranks of a group, and what came from them: all of an exchange, or one of
/// its two hops.
final class ExchangeHop {
  /// Which of the tokens at hand go to which member, once each.
  let layout: DispatchLayout
  /// Of the experts that lie on the group's ranks; choices of the tokens at hand are counted from it.
  let firstExpert: Int
  let topK: Int
  /// Tokens for each member, and from it.
  let sentCounts: Buffer<Int32>
  let receivedCounts: Buffer<Int32>
  /// `[received tokens, topK]`: choices that lie beyond this hop, counted as what comes next needs them; else -1.
  var choices = GrowingBuffer<Int32>()
  var weights = GrowingBuffer<Float>()

  init(tokens: Int, topK: Int, experts: Int, firstExpert: Int = 0, members: Int) {
    layout = DispatchLayout(tokens: tokens, topK: topK, experts: experts, ranks: members)
    self.firstExpert = firstExpert
    self.topK = topK
    sentCounts = Buffer<Int32>(count: members)
    receivedCounts = Buffer<Int32>(count: members)
  }

  var members: Int { layout.ranks }

  /// Tokens received in all.
  var receivedTotal: Int { receivedCounts.elements.reduce(0) { $0 + Int($1) } }

  /// Byte ranges of so many copies for each member, one after the other.
  func ranges(of counts: Buffer<Int32>, bytesPerCopy: Int) -> [Range<Int>] {
    var end = 0
    return counts.elements.map { count in
      let start = end
      end += Int(count) * bytesPerCopy
      return start..<end
    }
  }
}

/// The tokens of one micro-batch and layer on their way to experts and back: who sends what to whom.
///
/// It is kept from the forward's dispatch to the last weight gradient. In a group of one rank nothing travels, and the
/// experts read the tokens where they are.
final class ExpertExchange {
  /// One straight to every rank; or two, to the nodes and on within the node.
  let hops: [ExchangeHop]
  let received: ReceivedTokens
  let topK: Int
  let width: Int
  /// Where there are two hops, the tokens by rank and by node, for the step's record of its traffic.
  private let census: DispatchLayout?
  /// `[received tokens, width]`: inputs of the experts, and later the gradients of their outputs.
  var rows = GrowingBuffer<Float>()
  var gradients = GrowingBuffer<Float>()
  /// `[received tokens, topK]`.
  var weightGradients = GrowingBuffer<Float>()
  /// `[received tokens, width]`: what goes back.
  var results = GrowingBuffer<Float>()
  /// What the experts keep for their later passes.
  var saved = GrowingBuffer<Float>()

  /// - Parameters:
  ///   - local: Numbers of this rank's experts; they lie on the ranks of the group in order.
  ///   - perNode: Members of a node, where exchanges take two hops.
  init(
    tokens: Int, topK: Int, width: Int, experts: Int, ranks: Int, perNode: Int?, local: Range<Int>
  ) {
    if let perNode {
      let nodes = ranks / perNode
      let perNodeExperts = experts / nodes
      hops = [
        ExchangeHop(tokens: tokens, topK: topK, experts: experts, members: nodes),
        ExchangeHop(
          tokens: tokens * nodes, topK: topK, experts: perNodeExperts,
          firstExpert: local.lowerBound / perNodeExperts * perNodeExperts, members: perNode),
      ]
      census = DispatchLayout(
        tokens: tokens, topK: topK, experts: experts, ranks: ranks, ranksPerNode: perNode)
    } else {
      hops = [ExchangeHop(tokens: tokens, topK: topK, experts: experts, members: ranks)]
      census = nil
    }
    received = ReceivedTokens(firstExpert: local.lowerBound, experts: local.count, topK: topK)
    self.topK = topK
    self.width = width
  }

  /// Lays out this rank's tokens by the experts they chose, `[tokens, topK]`.
  func arrange(choices: UnsafePointer<Int32>) {
    hops[0].layout.arrange(choices: choices)
    census?.arrange(choices: choices)
  }

  /// Tokens of this rank for each rank of the group, once each, and for each node where there are two hops.
  var counts: (ranks: [Int32], nodes: [Int32]) {
    let layout = census ?? hops[0].layout
    let ranks = (0..<layout.ranks).map { Int32(layout.count(rank: $0)) }
    return (ranks, census.map { layout in (0..<layout.nodes).map { layout.nodeCounts[$0] } } ?? [])
  }

  /// Tokens received for this rank's experts.
  var receivedTotal: Int { hops[hops.count - 1].receivedTotal }
}
