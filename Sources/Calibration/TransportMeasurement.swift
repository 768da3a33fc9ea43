import Clusters
import Execution
import Foundation
import Units

/// What ranks pay for handing each other bytes, measured with the calls an executor makes.
///
/// Every rank of a transport takes part; those that are not measured sleep, so that they take no processor from the
/// others.
struct TransportMeasurement {
  private let transport: any Transport
  /// Numbers of ranks among which all-to-alls are measured; channel i has the first `groups[i]` ranks.
  private let groups: [Int]
  private let buffer: UnsafeMutableRawPointer
  private let bytes = 64 << 20

  static let messageSizes = [8, 256, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20]
  static let pairSizes = [4, 256, 4 << 10, 32 << 10, 256 << 10, 1 << 20]

  /// Opens the transport's channels.
  init(_ transport: any Transport) throws {
    self.transport = transport
    groups = Set([2, 4, 8, 16, 32, transport.size]).filter { $0 <= transport.size }.sorted()
    buffer = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    buffer.initializeMemory(as: UInt8.self, repeating: 1, count: bytes)
    try transport.open(channels: groups.map { [Array(0..<$0)] })
  }

  func close() { buffer.deallocate() }

  // MARK: Ranks in step

  /// Waits for all ranks without taking a processor meanwhile: measurements of others may be under way.
  func meetAsleep() throws {
    if transport.rank == 0 {
      for peer in 1..<max(1, transport.size) { _ = try receiveAsleep(1, from: peer) }
      for peer in 1..<max(1, transport.size) { try send([0], to: peer) }
    } else {
      try send([0], to: 0)
      _ = try receiveAsleep(1, from: 0)
    }
  }

  func send(_ values: [Double], to peer: Int) throws {
    try values.withUnsafeBytes { bytes in
      try transport.wait(for: transport.send(bytes, to: peer, tag: 1))
    }
  }

  func receiveAsleep(_ count: Int, from peer: Int) throws -> [Double] {
    var values = [Double](repeating: 0, count: count)
    try values.withUnsafeMutableBytes { bytes in
      let request = try transport.receive(into: bytes, from: peer, tag: 1)
      while try !transport.test(request) { usleep(1000) }
    }
    return values
  }

  /// A value of each rank, in rank order, on rank 0; nothing on the others.
  private func gathered(_ value: [Double]) throws -> [[Double]] {
    guard transport.rank == 0 else {
      try send(value, to: 0)
      return []
    }
    return [value] + (try (1..<transport.size).map { try receiveAsleep(value.count, from: $0) })
  }

  // MARK: Messages

  /// One-way times between ranks 0 and 1, on rank 0; nothing on the others.
  ///
  /// - Parameter sleeps: Whether ranks sleep while they wait, as they do where they outnumber processors.
  func messages(sleeps: Bool) throws -> [MessageCost] {
    transport.sleepWhileWaiting(sleeps)
    var costs: [MessageCost] = []
    for size in Self.messageSizes {
      try meetAsleep()
      var result = [0.0, 0.0]
      if transport.rank < 2 { result = try pingPong(size) }
      let all = try gathered(result)
      guard transport.rank == 0 else { continue }
      let time = all[0][0]
      let work = (all[0][1] + all[1][1]) / 2
      costs.append(
        MessageCost(
          bytes: Bytes(size), time: Span(seconds: max(time, work)), processorTime: Span(seconds: work)))
    }
    return costs
  }

  /// The best one-way time on the wall (the machine may have other work), and the processor time of this end.
  private func pingPong(_ size: Int) throws -> [Double] {
    let rounds = max(5, min(200, (32 << 20) / size))
    let peer = 1 - transport.rank
    var (best, work): (Double, [Double]) = (.infinity, [])
    for batch in 0..<5 {
      let (wall, processor) = (wallSeconds(), processorSeconds())
      for round in 0..<rounds {
        // Pieces change, as those of a step do.
        let piece = buffer + (batch * rounds + round) % max(1, bytes / 2 / size) * size
        let other = piece + bytes / 2
        if transport.rank == 0 {
          try transport.wait(for: transport.send(.init(start: piece, count: size), to: peer, tag: 2))
          try transport.wait(
            for: transport.receive(into: .init(start: other, count: size), from: peer, tag: 2))
        } else {
          try transport.wait(
            for: transport.receive(into: .init(start: other, count: size), from: peer, tag: 2))
          try transport.wait(for: transport.send(.init(start: piece, count: size), to: peer, tag: 2))
        }
      }
      best = min(best, (wallSeconds() - wall) / Double(2 * rounds))
      work.append((processorSeconds() - processor) / Double(2 * rounds))
    }
    return [best, median(work)]
  }

  // MARK: All-to-all

  /// Processor time of a rank, mean over the ranks; on rank 0, nothing on the others.
  ///
  /// - Parameters:
  ///   - most: Ranks of the largest group.
  ///   - sleeps: As for messages.
  func allToAlls(among most: Int, sleeps: Bool) throws -> [AllToAllCost] {
    transport.sleepWhileWaiting(sleeps)
    var costs: [AllToAllCost] = []
    for (channel, count) in groups.enumerated() where count > 1 && count <= max(2, most) {
      for size in Self.pairSizes where size * count <= bytes / 2 {
        try meetAsleep()
        var result = [0.0]
        if transport.rank < count { result = [try exchange(size, among: count, channel: channel)] }
        let all = try gathered(result)
        guard transport.rank == 0 else { continue }
        let mean = all.prefix(count).reduce(0) { $0 + $1[0] } / Double(count)
        costs.append(
          AllToAllCost(ranks: count, bytes: Bytes(size), processorTime: Span(seconds: max(mean, 1e-9))))
      }
    }
    return costs
  }

  private func exchange(_ size: Int, among count: Int, channel: Int) throws -> Double {
    let ranges = (0..<count).map { $0 * size..<($0 + 1) * size }
    let rounds = max(3, min(100, (16 << 20) / (size * count)))
    var work: [Double] = []
    for batch in 0..<5 {
      let start = processorSeconds()
      for round in 0..<rounds {
        let piece = buffer + (batch * rounds + round) % max(1, bytes / 2 / (size * count)) * size * count
        try transport.wait(
          for: transport.allToAll(
            channel: channel, source: piece, outgoing: ranges, destination: piece + bytes / 2,
            incoming: ranges))
      }
      work.append((processorSeconds() - start) / Double(rounds))
    }
    return median(work)
  }
}
