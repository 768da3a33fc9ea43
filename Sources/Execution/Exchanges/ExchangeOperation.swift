import Kernels

/// Bytes on their way out and in; one pair serves a lane, whose operations run one after the other.
final class Staging {
  var outgoing = GrowingBuffer<UInt8>()
  var incoming = GrowingBuffer<UInt8>()
}

/// A dispatch or a combine, forward or backward, in a group of more than one rank.
///
/// A dispatch whose layout is not known yet first tells every member how many copies it gets; then all rows travel in
/// one all-to-all, each copy with its choices and weights (forward dispatch) or their gradients (backward combine)
/// behind its row.
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
  private let place: GroupPlace
  /// `[tokens, width]` at the tokens' own rank, read by a dispatch.
  private let source: UnsafePointer<Float>
  private let mixture: MixtureBuffers
  private let finish: () -> Void
  private var step: Step
  private(set) var request: TransportRequest?

  init(
    _ direction: Direction, _ exchange: ExpertExchange, mixture: MixtureBuffers, source: UnsafePointer<Float>,
    format: RowPayload, staging: Staging, transport: any Transport, place: GroupPlace,
    finish: @escaping () -> Void = {}
  ) {
    self.direction = direction
    self.exchange = exchange
    self.mixture = mixture
    self.source = source
    self.format = format
    self.staging = staging
    self.transport = transport
    self.place = place
    self.finish = finish
    step = direction == .dispatch ? .counts : .rows
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
        unpack()
        step = .done
      }
    }
    finish()
    return true
  }

  // MARK: Sizes

  /// Whether copies go from their tokens to the experts.
  private var isOutward: Bool { direction == .dispatch || direction == .dispatchGradient }

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

  private func startCounts() throws -> TransportRequest {
    for member in 0..<place.members {
      exchange.sentCounts.pointer[member] = Int32(exchange.layout.count(rank: member))
    }
    let ranges = (0..<place.members).map { 4 * $0..<4 * ($0 + 1) }
    return try transport.allToAll(
      channel: place.channel, source: exchange.sentCounts.pointer, outgoing: ranges,
      destination: exchange.receivedCounts.pointer, incoming: ranges)
  }

  private func startRows() throws -> TransportRequest {
    let sent = isOutward ? exchange.sentCounts : exchange.receivedCounts
    let received = isOutward ? exchange.receivedCounts : exchange.sentCounts
    let outgoing = exchange.ranges(of: sent, bytesPerCopy: copyBytes)
    let incoming = exchange.ranges(of: received, bytesPerCopy: copyBytes)
    let out = staging.outgoing.pointer(count: outgoing.last?.upperBound ?? 0)
    let into = staging.incoming.pointer(count: incoming.last?.upperBound ?? 0)
    isOutward ? packCopies(out) : packResults(out)
    return try transport.allToAll(
      channel: place.channel, source: out, outgoing: outgoing, destination: into, incoming: incoming)
  }

  // MARK: Packing

  /// Copies of the tokens' rows, by destination and then by token.
  private func packCopies(_ bytes: UnsafeMutablePointer<UInt8>) {
    let (layout, topK) = (exchange.layout, exchange.topK)
    format.pack(
      source, gathering: layout.copies, rows: layout.copyCount, width: exchange.width, into: bytes,
      stride: copyBytes)
    guard direction == .dispatch else { return }
    let perRank = layout.expertsPerRank
    for member in 0..<layout.ranks {
      for copy in Int(layout.offsets[member])..<Int(layout.offsets[member + 1]) {
        let token = Int(layout.copies[copy])
        let place = UnsafeMutableRawPointer(bytes + copy * copyBytes + rowBytes)
        for slot in 0..<topK {
          let expert = mixture.indices.pointer[token * topK + slot]
          let isThere = expert >= 0 && Int(expert) / perRank == member
          let weight = isThere ? mixture.weights.pointer[token * topK + slot] : 0
          place.storeBytes(of: isThere ? expert : -1, toByteOffset: 4 * slot, as: Int32.self)
          place.storeBytes(of: weight, toByteOffset: 4 * (topK + slot), as: Float.self)
        }
      }
    }
  }

  /// What the experts made of the tokens received, in the order in which they came.
  private func packResults(_ bytes: UnsafeMutablePointer<UInt8>) {
    let (topK, total) = (exchange.topK, exchange.receivedTotal)
    guard total > 0 else { return }
    format.pack(exchange.results.pointer, rows: total, width: exchange.width, into: bytes, stride: copyBytes)
    guard direction == .combineGradient else { return }
    for copy in 0..<total {
      UnsafeMutableRawPointer(bytes + copy * copyBytes + rowBytes).copyMemory(
        from: exchange.weightGradients.pointer + copy * topK, byteCount: 4 * topK)
    }
  }

  // MARK: Unpacking

  private func unpack() {
    switch direction {
    case .dispatch: unpackTokens()
    case .dispatchGradient:
      unpackRows(into: exchange.gradients.pointer(count: exchange.receivedTotal * exchange.width))
    case .combine, .combineGradient: unpackResults()
    }
  }

  private func unpackRows(into rows: UnsafeMutablePointer<Float>) {
    format.unpack(
      staging.incoming.pointer, stride: copyBytes, rows: exchange.receivedTotal, width: exchange.width,
      into: rows)
  }

  private func unpackTokens() {
    let (total, topK) = (exchange.receivedTotal, exchange.topK)
    unpackRows(into: exchange.rows.pointer(count: total * exchange.width))
    let choices = exchange.choices.pointer(count: total * topK)
    let weights = exchange.weights.pointer(count: total * topK)
    let bytes = UnsafeRawPointer(staging.incoming.pointer)
    for copy in 0..<total {
      let place = bytes + copy * copyBytes + rowBytes
      UnsafeMutableRawPointer(choices + copy * topK).copyMemory(from: place, byteCount: 4 * topK)
      UnsafeMutableRawPointer(weights + copy * topK).copyMemory(from: place + 4 * topK, byteCount: 4 * topK)
    }
    exchange.received.arrange(choices: choices, weights: weights, tokens: total)
  }

  /// Rows that came back, summed for each token in the order of the ranks.
  private func unpackResults() {
    let (layout, width, topK) = (exchange.layout, exchange.width, exchange.topK)
    let total = layout.copyCount
    let rows = mixture.returned.pointer(count: max(1, total) * width)
    let bytes = UnsafeRawPointer(staging.incoming.pointer)
    format.unpack(bytes, stride: copyBytes, rows: total, width: width, into: rows)
    layout.sum(rows, width: width, into: mixture.routed.pointer, accumulate: direction == .combineGradient)
    guard direction == .combineGradient else { return }
    let gradients = mixture.returnedWeightGradients.pointer(count: max(1, total) * topK)
    for copy in 0..<total {
      UnsafeMutableRawPointer(gradients + copy * topK).copyMemory(
        from: bytes + copy * copyBytes + rowBytes, byteCount: 4 * topK)
    }
    layout.sumWeightGradients(
      gradients, choices: mixture.indices.pointer, into: mixture.weightGradients.pointer)
  }
}
