import Kernels

/// The tokens of one micro-batch and layer on their way to experts and back: who sends what to whom.
///
/// It is kept from the forward's dispatch to the last weight gradient. In a group of one rank nothing travels, and the
/// experts read the tokens where they are.
final class ExpertExchange {
  let layout: DispatchLayout
  let received: ReceivedTokens
  let topK: Int
  let width: Int
  /// Tokens that came from each member, and the rows of ``rows`` they take.
  let receivedCounts: Buffer<Int32>
  let sentCounts: Buffer<Int32>
  /// `[received tokens, width]`: inputs of the experts, and later the gradients of their outputs.
  var rows = GrowingBuffer<Float>()
  var gradients = GrowingBuffer<Float>()
  /// `[received tokens, topK]`.
  var choices = GrowingBuffer<Int32>()
  var weights = GrowingBuffer<Float>()
  var weightGradients = GrowingBuffer<Float>()
  /// `[received tokens, width]`: what goes back.
  var results = GrowingBuffer<Float>()
  /// What the experts keep for their later passes.
  var saved = GrowingBuffer<Float>()

  init(tokens: Int, topK: Int, width: Int, experts: Int, ranks: Int, local: Range<Int>) {
    layout = DispatchLayout(tokens: tokens, topK: topK, experts: experts, ranks: ranks)
    received = ReceivedTokens(firstExpert: local.lowerBound, experts: local.count, topK: topK)
    self.topK = topK
    self.width = width
    receivedCounts = Buffer<Int32>(count: ranks)
    sentCounts = Buffer<Int32>(count: ranks)
  }

  var members: Int { layout.ranks }

  /// Copies received in all.
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
