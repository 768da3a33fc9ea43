import CKernels

/// The tokens that dispatch brought to a rank, laid out for its experts and back.
///
/// A received token carries `topK` choices; those of this rank's experts become rows, ordered by expert and then as
/// received: by source rank and token. A token that chose two experts here came once and makes two rows. Memory is
/// kept from one micro-batch to the next and grows only with the largest.
public final class ReceivedTokens {
  /// Experts of this rank: `firstExpert ..< firstExpert + experts`.
  public let firstExpert: Int
  public let experts: Int
  public let topK: Int
  /// Tokens received.
  public private(set) var tokens = 0
  /// Rows of all experts.
  public private(set) var rows = 0

  private var offsetsBuffer: GrowingBuffer<Int32>
  private var sourcesBuffer: GrowingBuffer<Int32>
  private var slotsBuffer: GrowingBuffer<Int32>
  private var weightsBuffer: GrowingBuffer<Float>
  private var startsBuffer: GrowingBuffer<Int32>
  private var tokenRowsBuffer: GrowingBuffer<Int32>
  private var tokenWeightsBuffer: GrowingBuffer<Float>

  /// - Parameter capacity: Tokens to make room for at once.
  public init(firstExpert: Int, experts: Int, topK: Int, capacity: Int = 0) {
    self.firstExpert = firstExpert
    self.experts = experts
    self.topK = topK
    offsetsBuffer = GrowingBuffer(capacity: experts + 1)
    startsBuffer = GrowingBuffer(capacity: capacity + 1)
    sourcesBuffer = GrowingBuffer(capacity: capacity * topK)
    slotsBuffer = GrowingBuffer(capacity: capacity * topK)
    weightsBuffer = GrowingBuffer(capacity: capacity * topK)
    tokenRowsBuffer = GrowingBuffer(capacity: capacity * topK)
    tokenWeightsBuffer = GrowingBuffer(capacity: capacity * topK)
    offsetsBuffer.base.update(repeating: 0, count: experts + 1)
    startsBuffer.base[0] = 0
  }

  /// `[experts + 1]`: the rows of expert e are `offsets[e] ..< offsets[e + 1]`.
  public var offsets: UnsafePointer<Int32> { UnsafePointer(offsetsBuffer.base) }
  /// `[rows]`: the received token of each row.
  public var sources: UnsafePointer<Int32> { UnsafePointer(sourcesBuffer.base) }
  /// `[rows]`: its choice, as an index into `[tokens, topK]`.
  public var slots: UnsafePointer<Int32> { UnsafePointer(slotsBuffer.base) }
  /// `[rows]`: its weight.
  public var weights: UnsafePointer<Float> { UnsafePointer(weightsBuffer.base) }
  /// What the experts need to know.
  public var expertRows: ExpertRows { ExpertRows(offsets: offsets, sources: sources, weights: weights) }

  /// Lays out received tokens.
  ///
  /// - Parameters:
  ///   - choices: `[tokens, topK]`, experts of the whole model; those of other ranks, and -1, are passed over.
  ///   - weights: `[tokens, topK]`.
  public func arrange(choices: UnsafePointer<Int32>, weights: UnsafePointer<Float>, tokens: Int) {
    self.tokens = tokens
    let slots = tokens * topK
    startsBuffer.reserve(tokens + 1)
    sourcesBuffer.reserve(slots)
    slotsBuffer.reserve(slots)
    weightsBuffer.reserve(slots)
    tokenRowsBuffer.reserve(slots)
    tokenWeightsBuffer.reserve(slots)
    let offsets = offsetsBuffer.base
    offsets.update(repeating: 0, count: experts + 1)
    for slot in 0..<slots {
      if let expert = local(choices[slot]) { offsets[expert] += 1 }
    }
    var total: Int32 = 0
    for expert in 0...experts {
      let count = offsets[expert]
      offsets[expert] = total
      total += expert < experts ? count : 0
    }
    rows = Int(total)
    // Filling moves each offset to the end of its expert, which is the start of the next one.
    var place = 0
    let starts = startsBuffer.base
    for token in 0..<tokens {
      starts[token] = Int32(truncatingIfNeeded: place)
      for slot in token * topK..<(token + 1) * topK {
        guard let expert = local(choices[slot]) else { continue }
        let row = offsets[expert]
        offsets[expert] += 1
        sourcesBuffer.base[Int(row)] = Int32(truncatingIfNeeded: token)
        slotsBuffer.base[Int(row)] = Int32(truncatingIfNeeded: slot)
        weightsBuffer.base[Int(row)] = weights[slot]
        tokenRowsBuffer.base[place] = row
        tokenWeightsBuffer.base[place] = weights[slot]
        place += 1
      }
    }
    starts[tokens] = Int32(truncatingIfNeeded: place)
    for expert in stride(from: experts, to: 0, by: -1) { offsets[expert] = offsets[expert - 1] }
    offsets[0] = 0
  }

  private func local(_ expert: Int32) -> Int? {
    let local = Int(expert) - firstExpert
    return local >= 0 && local < experts && expert >= 0 ? local : nil
  }

  /// `[tokens, width]` to `[rows, width]`.
  public func permute(_ received: UnsafePointer<Float>, width: Int, into rows: UnsafeMutablePointer<Float>) {
    ck_gather_rows(received, sources, self.rows, width, rows)
  }

  /// The weighted sum of each token's rows, `[rows, width]` to `[tokens, width]`; the order is that of its choices.
  public func combine(_ rows: UnsafePointer<Float>, width: Int, into result: UnsafeMutablePointer<Float>) {
    ck_sum_rows(
      rows, startsBuffer.base, tokenRowsBuffer.base, tokenWeightsBuffer.base, tokens, width, 0, result)
  }

  /// The plain sum of each token's rows: how input gradients go back.
  public func sum(
    _ rows: UnsafePointer<Float>, width: Int, into result: UnsafeMutablePointer<Float>,
    accumulate: Bool = false
  ) {
    sum(rows, factors: nil, width: width, into: result, accumulate: accumulate)
  }

  private func sum(
    _ rows: UnsafePointer<Float>, factors: UnsafePointer<Float>?, width: Int,
    into result: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let starts = startsBuffer.base
    let indices = tokenRowsBuffer.base
    shareParts(tokens, work: self.rows * width) { part in
      ck_sum_rows(
        rows, starts + part.lowerBound, indices, factors, part.count, width, accumulate ? 1 : 0,
        result + part.lowerBound * width)
    }
  }

  /// The backward of `combine`: the rows' gradients `w * dy`, and the gradients of the weights `<dy, out>`.
  ///
  /// - Parameters:
  ///   - gradient: `dy`, `[tokens, width]`.
  ///   - outputs: `[rows, width]`, what was combined.
  ///   - rowGradients: `[rows, width]`; may be `outputs`.
  ///   - weightGradients: `[tokens, topK]`; zero for choices of other ranks.
  public func combineGradient(
    _ gradient: UnsafePointer<Float>, outputs: UnsafePointer<Float>, width: Int,
    rowGradients: UnsafeMutablePointer<Float>, weightGradients: UnsafeMutablePointer<Float>
  ) {
    weightGradients.update(repeating: 0, count: tokens * topK)
    for row in 0..<rows {
      let dy = gradient + Int(sources[row]) * width
      weightGradients[Int(slots[row])] = ck_dot(dy, outputs + row * width, width)
      ck_scale(weights[row], dy, rowGradients + row * width, width)
    }
  }

  /// Puts one number of each row where its choice is, `[rows]` to `[tokens, topK]`; zero for choices of other ranks.
  public func scatter(_ values: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>) {
    result.update(repeating: 0, count: tokens * topK)
    for row in 0..<rows { result[Int(slots[row])] = values[row] }
  }
}
