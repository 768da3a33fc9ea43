import Units

/// What it costs ranks on shared processors to hand bytes to each other, by size.
///
/// The copies are work of the ranks' own processors. Times are processor time, so they also hold where ranks outnumber
/// processors and the clock on the wall says little.
public struct ProcessorTransport: Hashable, Sendable {
  /// Ascending in bytes.
  public var messages: MeasurementTable<MessageCost>
  /// Ascending in ranks, then in bytes.
  public var allToAlls: MeasurementTable<AllToAllCost>

  /// - Precondition: Both tables have rows.
  public init(messages: MeasurementTable<MessageCost>, allToAlls: MeasurementTable<AllToAllCost>) {
    precondition(!messages.rows.isEmpty && !allToAlls.rows.isEmpty, "a transport has measurements")
    self.messages = messages
    self.allToAlls = allToAlls
    self.messages.rows.sort { $0.bytes < $1.bytes }
    self.allToAlls.rows.sort { ($0.ranks, $0.bytes) < ($1.ranks, $1.bytes) }
  }

  /// Time of a message between two ranks with a processor each, and the share of it that each end works.
  public func message(_ bytes: Int64) -> (time: Span, processorShare: Double) {
    func value(_ cost: (MessageCost) -> Span) -> Double {
      beyond(Double(bytes), messages.rows.map { (Double($0.bytes.count), cost($0).seconds) })
    }
    let time = value(\.time)
    return (Span(modelled: time), min(1, value(\.processorTime) / time))
  }

  /// Processor time of one of the ranks in an all-to-all.
  ///
  /// - Parameter bytes: To each other rank, on average.
  public func allToAll(ranks: Int, bytes: Double) -> Span {
    guard ranks > 1 else { return .zero }
    let counts = Set(allToAlls.rows.map(\.ranks)).sorted()
    let times = counts.map { count in
      let rows = allToAlls.rows.filter { $0.ranks == count }
      return (Double(count), beyond(bytes, rows.map { (Double($0.bytes.count), $0.processorTime.seconds) }))
    }
    guard let last = times.last else { return .zero }
    // More ranks than were measured: as many more messages.
    let factor = max(1, Double(ranks - 1) / (last.0 - 1))
    return Span(modelled: interpolated(at: Double(ranks), times) * factor)
  }
}

/// A time between measured sizes; beyond the largest it grows with the size.
private func beyond(_ size: Double, _ points: [(x: Double, y: Double)]) -> Double {
  let growth = points.last.map { max(1, size / $0.x) } ?? 1
  return interpolated(at: max(size, points.first?.x ?? 1), points) * growth
}

/// One size of message between two ranks that have a processor each.
public struct MessageCost: Hashable, Sendable {
  public var bytes: Bytes
  /// From the call of the sender to the end of the receiver's.
  public var time: Span
  /// Of one end, the mean of both.
  public var processorTime: Span

  public init(bytes: Bytes, time: Span, processorTime: Span) {
    self.bytes = bytes
    self.time = time
    self.processorTime = processorTime
  }
}

/// One size of all-to-all among some ranks of a node.
public struct AllToAllCost: Hashable, Sendable {
  public var ranks: Int
  /// From each rank to each other one.
  public var bytes: Bytes
  /// Of one rank.
  public var processorTime: Span

  public init(ranks: Int, bytes: Bytes, processorTime: Span) {
    self.ranks = ranks
    self.bytes = bytes
    self.processorTime = processorTime
  }
}
