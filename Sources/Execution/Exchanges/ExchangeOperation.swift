import Kernels

/// Bytes on their way out and in, and what lies between two hops; one serves a lane, whose operations run one after the
/// other.
final class Staging {
  var outgoing = GrowingBuffer<UInt8>()
  var incoming = GrowingBuffer<UInt8>()
  /// Copies that came back, before they are summed, and the gradients of their weights.
  var returned = GrowingBuffer<Float>()
  var returnedGradients = GrowingBuffer<Float>()
  /// Sums of the copies that came back to where they had landed, on their way home.
  var landed = GrowingBuffer<Float>()
  var landedGradients = GrowingBuffer<Float>()
}

/// A dispatch or a combine, forward or backward, in a group of more than one rank, straight or in two hops.
///
/// A dispatch whose layout is not known yet first tells every member how many copies it gets; then all rows travel in
/// one all-to-all, each copy with its choices and weights (forward dispatch) or their gradients (backward combine)
/// behind its row. Of two hops each is such an exchange: rows that landed go on as the bytes that they are, and rows
/// that come back are summed where they had landed.
final class ExchangeOperation: Operation {
  enum Direction {
    /// Rows, choices and weights to the experts.
    case dispatch
    /// Experts' outputs back.
    case combine
    /// Gradients of the outputs to the experts.
    case dispatchGradient
    /// Gradients of the rows and of the weights back.
    case combineGradient
  }

  private enum Step { case counts, rows, done }

  private let direction: Direction
  private let exchange: ExpertExchange
  private let format: RowPayload
  private let staging: Staging
  private let transport: any Transport
  /// This rank's place in the group of each hop.
  private let places: [GroupPlace]
  /// `[tokens, width]` at the tokens' own rank, read by a dispatch.
  private let source: UnsafePointer<Float>
  private let mixture: MixtureBuffers
  private let finish: () -> Void
  private var step: Step
  /// The hop at hand.
  private var index: Int
  private(set) var request: TransportRequest?

  init(
    _ direction: Direction, _ exchange: ExpertExchange, mixture: MixtureBuffers, source: UnsafePointer<Float>,
    format: RowPayload, staging: Staging, transport: any Transport, places: [GroupPlace],
    finish: @escaping () -> Void = {}
  ) {
    precondition(places.count == exchange.hops.count, "a place for each hop")
    self.direction = direction
    self.exchange = exchange
    self.mixture = mixture
    self.source = source
    self.format = format
    self.staging = staging
    self.transport = transport
    self.places = places
    self.finish = finish
    step = direction == .dispatch ? .counts : .rows
    index = direction == .dispatch || direction == .dispatchGradient ? 0 : places.count - 1
  }

  func advance() throws -> Bool {
    while step != .done {
      guard let request else {
        self.request = try step == .counts ? startCounts() : startRows()
        continue
      }
      guard try transport.test(request) else { return false }
      self.request = nil
      if step == .counts {
        step = .rows
      } else {
        arrive()
      }
    }
    finish()
    return true
  }

  // MARK: Sizes

  /// Whether copies go from their tokens to the experts.
  private var isOutward: Bool { direction == .dispatch || direction == .dispatchGradient }

  private var hop: ExchangeHop { exchange.hops[index] }

  private var rowBytes: Int { format.bytesPerRow(exchange.width) }

  /// Bytes behind each row.
  private var metadataBytes: Int {
    switch direction {
    case .dispatch: 8 * exchange.topK
    case .combineGradient: 4 * exchange.topK
    case .combine, .dispatchGradient: 0
    }
  }

  private var copyBytes: Int { rowBytes + metadataBytes }

  // MARK: Transfers

  private func startCounts() throws -> TransportRequest {
    for member in 0..<hop.members {
      hop.sentCounts.pointer[member] = Int32(hop.layout.count(rank: member))
    }
    let ranges = places[index].countRanges
    return try transport.allToAll(
      channel: places[index].channel, source: hop.sentCounts.pointer, outgoing: ranges,
      destination: hop.receivedCounts.pointer, incoming: ranges)
  }

  private func startRows() throws -> TransportRequest {
    let outgoing = hop.ranges(of: isOutward ? hop.sentCounts : hop.receivedCounts, bytesPerCopy: copyBytes)
    let incoming = hop.ranges(of: isOutward ? hop.receivedCounts : hop.sentCounts, bytesPerCopy: copyBytes)
    let out = staging.outgoing.pointer(count: outgoing.last?.upperBound ?? 0)
    isOutward ? packCopies(out) : packResults(out)
    // What came in the hop before has been read by now.
    let into = staging.incoming.pointer(count: incoming.last?.upperBound ?? 0)
    return try transport.allToAll(
      channel: places[index].channel, source: out, outgoing: outgoing, destination: into, incoming: incoming)
  }

  private func arrive() {
    switch direction {
    case .dispatch:
      takeChoices()
      if index + 1 < exchange.hops.count {
        let next = exchange.hops[index + 1]
        next.layout.arrange(choices: hop.choices.pointer, tokens: hop.receivedTotal)
        index += 1
        step = .counts
        return
      }
      let total = exchange.receivedTotal
      unpackRows(into: exchange.rows.pointer(count: total * exchange.width), count: total)
      exchange.received.arrange(choices: hop.choices.pointer, weights: hop.weights.pointer, tokens: total)
    case .dispatchGradient:
      if index + 1 < exchange.hops.count {
        index += 1
        return
      }
      let total = exchange.receivedTotal
      unpackRows(into: exchange.gradients.pointer(count: total * exchange.width), count: total)
    case .combine, .combineGradient:
      unpackResults()
      if index > 0 {
        index -= 1
        return
      }
    }
    step = .done
  }

  // MARK: Packing

  /// The choices and weights of the tokens that a hop starts from, `[tokens, topK]`.
  private var atHand: (choices: UnsafePointer<Int32>, weights: UnsafePointer<Float>) {
    guard index > 0 else {
      return (UnsafePointer(mixture.indices.pointer), UnsafePointer(mixture.weights.pointer))
    }
    let before = exchange.hops[index - 1]
    return (UnsafePointer(before.choices.pointer), UnsafePointer(before.weights.pointer))
  }

  /// Copies of the tokens' rows, by destination and then by token.
  private func packCopies(_ bytes: UnsafeMutablePointer<UInt8>) {
    let (layout, topK) = (hop.layout, exchange.topK)
    if index == 0 {
      format.pack(
        source, gathering: layout.copies, rows: layout.copyCount, width: exchange.width, into: bytes,
        stride: copyBytes)
    } else {
      let landed = UnsafeRawPointer(staging.incoming.pointer)
      for copy in 0..<layout.copyCount {
        UnsafeMutableRawPointer(bytes + copy * copyBytes).copyMemory(
          from: landed + Int(layout.copies[copy]) * copyBytes, byteCount: rowBytes)
      }
    }
    guard direction == .dispatch else { return }
    let (choices, weights) = atHand
    let (perRank, first) = (layout.expertsPerRank, Int32(hop.firstExpert))
    for member in 0..<layout.ranks {
      for copy in Int(layout.offsets[member])..<Int(layout.offsets[member + 1]) {
        let token = Int(layout.copies[copy])
        let place = UnsafeMutableRawPointer(bytes + copy * copyBytes + rowBytes)
        for slot in 0..<topK {
          let expert = choices[token * topK + slot]
          let isThere = expert >= 0 && Int(expert) / perRank == member
          let weight = isThere ? weights[token * topK + slot] : 0
          place.storeBytes(of: isThere ? expert + first : -1, toByteOffset: 4 * slot, as: Int32.self)
          place.storeBytes(of: weight, toByteOffset: 4 * (topK + slot), as: Float.self)
        }
      }
    }
  }

  /// What goes back of the tokens received, in the order in which they came: what the experts made of them, or the sum
  /// of what came back to here.
  private func packResults(_ bytes: UnsafeMutablePointer<UInt8>) {
    let (topK, total) = (exchange.topK, hop.receivedTotal)
    guard total > 0 else { return }
    let isFirst = index == exchange.hops.count - 1
    let results = isFirst ? exchange.results.pointer : staging.landed.pointer
    format.pack(results, rows: total, width: exchange.width, into: bytes, stride: copyBytes)
    guard direction == .combineGradient else { return }
    let gradients = isFirst ? exchange.weightGradients.pointer : staging.landedGradients.pointer
    for copy in 0..<total {
      UnsafeMutableRawPointer(bytes + copy * copyBytes + rowBytes).copyMemory(
        from: gradients + copy * topK, byteCount: 4 * topK)
    }
  }

  // MARK: Unpacking

  private func unpackRows(into rows: UnsafeMutablePointer<Float>, count: Int) {
    format.unpack(
      staging.incoming.pointer, stride: copyBytes, rows: count, width: exchange.width, into: rows)
  }

  /// The choices and weights of the rows that came; before a further hop counted from its first expert.
  private func takeChoices() {
    let (total, topK) = (hop.receivedTotal, exchange.topK)
    let choices = hop.choices.pointer(count: total * topK)
    let weights = hop.weights.pointer(count: total * topK)
    let bytes = UnsafeRawPointer(staging.incoming.pointer)
    for copy in 0..<total {
      let place = bytes + copy * copyBytes + rowBytes
      UnsafeMutableRawPointer(choices + copy * topK).copyMemory(from: place, byteCount: 4 * topK)
      UnsafeMutableRawPointer(weights + copy * topK).copyMemory(from: place + 4 * topK, byteCount: 4 * topK)
    }
    guard index + 1 < exchange.hops.count else { return }
    let first = Int32(exchange.hops[index + 1].firstExpert)
    for slot in 0..<total * topK where choices[slot] >= 0 { choices[slot] -= first }
  }

  /// Rows that came back, summed for each token in the order of the members.
  private func unpackResults() {
    let (layout, width, topK) = (hop.layout, exchange.width, exchange.topK)
    let total = layout.copyCount
    let rows = staging.returned.pointer(count: max(1, total) * width)
    unpackRows(into: rows, count: total)
    let isHome = index == 0
    let sums = isHome ? mixture.routed.pointer : staging.landed.pointer(count: layout.tokens * width)
    layout.sum(rows, width: width, into: sums, accumulate: isHome && direction == .combineGradient)
    guard direction == .combineGradient else { return }
    let bytes = UnsafeRawPointer(staging.incoming.pointer)
    let gradients = staging.returnedGradients.pointer(count: max(1, total) * topK)
    for copy in 0..<total {
      UnsafeMutableRawPointer(gradients + copy * topK).copyMemory(
        from: bytes + copy * copyBytes + rowBytes, byteCount: 4 * topK)
    }
    let target =
      isHome ? mixture.weightGradients.pointer : staging.landedGradients.pointer(count: layout.tokens * topK)
    layout.sumWeightGradients(gradients, choices: atHand.choices, into: target)
  }
}
