import Execution
import TestSupport

/// An all-to-all under way, with what it must give.
private struct Exchange {
  var source: Memory
  var destination: Memory
  var incoming: [Range<Int>]
  var members: [Int]
  var salt: Int
  var request: TransportRequest
  /// Bytes that leave this rank and come to it, without its own.
  var sent = 0
  var received = 0
}

extension Conformance {
  static var exchanges: [Property] {
    [
      (
        "all-to-alls of unequal sizes give everyone what was meant for it",
        { try $0.randomExchanges(rounds: 25) }
      ),
      ("parts longer than a message that MPI copies at once arrive", { try $0.longExchange() }),
      ("all-to-alls on several channels pass each other", { try $0.manyExchanges() }),
      ("an all-to-all of nothing is done", { try $0.emptyExchange() }),
      ("one range sent to all is an all-gather", { try $0.gather() }),
      ("own parts are copied and not counted", { try $0.ownParts() }),
      ("calls that make no sense are refused", { try $0.refusals() }),
    ]
  }

  /// Starts an all-to-all whose sizes all ranks draw alike; parts lie in random order with gaps between them.
  private mutating func start(_ channel: Int, longest: Int) throws -> Exchange? {
    let salt = common.below(1000)
    var lengths = [[Int]](repeating: [], count: size)
    for source in 0..<size {
      lengths[source] = (0..<size).map { _ in common.chance(4) ? 0 : common.below(longest + 1) }
    }
    guard let (members, own) = group(channel) else { return nil }
    var local = SeededGenerator(seed: UInt64(salt * 1000 + rank))
    func place(_ lengths: [Int]) -> (ranges: [Range<Int>], end: Int) {
      var ranges = [Range<Int>](repeating: 0..<0, count: lengths.count)
      var end = local.below(9)
      for member in lengths.indices.shuffled(using: &local) {
        ranges[member] = end..<end + lengths[member]
        end += lengths[member] + local.below(9)
      }
      return (ranges, end)
    }
    let (outgoing, outEnd) = place(members.map { lengths[rank][$0] })
    let (incoming, inEnd) = place(members.map { lengths[$0][rank] })
    let (source, destination) = (Memory(outEnd), Memory(inEnd))
    for (member, range) in zip(members, outgoing) {
      Self.fill(source.slice(range), salt, from: rank, to: member)
    }
    let request = try transport.allToAll(
      channel: channel, source: source.raw.baseAddress, outgoing: outgoing,
      destination: destination.bytes.baseAddress, incoming: incoming)
    var exchange = Exchange(
      source: source, destination: destination, incoming: incoming, members: members, salt: salt,
      request: request)
    for member in members.indices where member != own {
      exchange.sent += outgoing[member].count
      exchange.received += incoming[member].count
    }
    return exchange
  }

  private func check(_ exchange: Exchange) throws {
    let expected = Memory(exchange.destination.bytes.count)
    for (member, range) in zip(exchange.members, exchange.incoming) {
      Self.fill(expected.slice(range), exchange.salt, from: member, to: rank)
    }
    try expect(
      expected.equals(exchange.destination), "a part is wrong, or a byte between the parts was written")
  }

  private mutating func randomExchanges(rounds: Int) throws {
    for _ in 0..<rounds {
      let before = transport.counters
      let channel = common.below(channels.count)
      guard let exchange = try start(channel, longest: 3000) else { continue }
      try transport.wait(for: exchange.request)
      try check(exchange)
      try expectCounters(since: before, sent: exchange.sent, received: exchange.received)
    }
  }

  private mutating func longExchange() throws {
    guard let exchange = try start(0, longest: 300_000) else { return }
    try transport.wait(for: exchange.request)
    try check(exchange)
  }

  private mutating func manyExchanges() throws {
    for _ in 0..<4 {
      let before = transport.counters
      var exchanges: [Exchange] = []
      for round in 0..<20 {
        if let exchange = try start(round % channels.count, longest: 5000) { exchanges.append(exchange) }
      }
      var local = SeededGenerator(seed: UInt64(rank))
      try transport.wait(for: exchanges.shuffled(using: &local).map(\.request))
      for exchange in exchanges { try check(exchange) }
      try expectCounters(
        since: before, sent: exchanges.reduce(0) { $0 + $1.sent },
        received: exchanges.reduce(0) { $0 + $1.received })
    }
  }

  private mutating func emptyExchange() throws {
    let before = transport.counters
    for channel in channels.indices {
      guard let (members, _) = group(channel) else { continue }
      let none = [Range<Int>](repeating: 0..<0, count: members.count)
      let request = try transport.allToAll(
        channel: channel, source: nil, outgoing: none, destination: nil, incoming: none)
      try transport.wait(for: request)
    }
    try expectCounters(since: before, sent: 0, received: 0)
  }

  private mutating func gather() throws {
    guard let (members, own) = group(1) else { return }
    let length = 777
    let before = transport.counters
    let source = Memory(length)
    Self.fill(source.bytes, 3, from: rank, to: 0)
    let destination = Memory(length * members.count)
    let incoming = members.indices.map { $0 * length..<($0 + 1) * length }
    try transport.wait(
      for: try transport.allToAll(
        channel: 1, source: source.raw.baseAddress,
        outgoing: Array(repeating: 0..<length, count: members.count),
        destination: destination.bytes.baseAddress, incoming: incoming))
    let expected = Memory(length * members.count)
    for (member, peer) in members.enumerated() {
      Self.fill(expected.slice(incoming[member]), 3, from: peer, to: 0)
    }
    try expect(expected.equals(destination), "a gathered part is wrong")
    try expect(members[own] == rank, "the group is in order")
    let others = (members.count - 1) * length
    try expectCounters(since: before, sent: others, received: others)
  }

  private mutating func ownParts() throws {
    let before = transport.counters
    let (source, destination) = (Memory(100, filled: 7), Memory(100))
    let own = channels.count - 1
    try transport.wait(
      for: try transport.allToAll(
        channel: own, source: source.raw.baseAddress, outgoing: [10..<60],
        destination: destination.bytes.baseAddress, incoming: [40..<90]))
    try expect(destination.bytes[40..<90].allSatisfy { $0 == 7 }, "the own part was not copied")
    try expect(destination.bytes[..<40].allSatisfy { $0 == 0xEE }, "more than the own part was copied")
    try expectCounters(since: before, sent: 0, received: 0)
  }

  private mutating func refusals() throws {
    let memory = Memory(8)
    func refused(_ what: String, _ call: () throws -> TransportRequest) throws {
      do { _ = try call() } catch is TransportError { return }
      throw ConformanceFailure(description: "rank \(rank): \(what) was accepted")
    }
    try refused("a message to a rank beyond the world") { try transport.send(memory.raw, to: size, tag: 0) }
    try refused("a message to itself") { try transport.send(memory.raw, to: rank, tag: 0) }
    try refused("a negative tag") {
      try transport.receive(into: memory.bytes, from: (rank + 1) % size, tag: -1)
    }
    try refused("a channel that was not opened") {
      try transport.allToAll(channel: 99, source: nil, outgoing: [], destination: nil, incoming: [])
    }
    try refused("an all-to-all without a range for each member") {
      try transport.allToAll(channel: 0, source: nil, outgoing: [], destination: nil, incoming: [])
    }
    try refused("an own part of two lengths") {
      try transport.allToAll(
        channel: channels.count - 1, source: memory.raw.baseAddress, outgoing: [0..<4],
        destination: memory.bytes.baseAddress, incoming: [0..<5])
    }
    do {
      try transport.waitForAny([])
      throw ConformanceFailure(description: "rank \(rank): waiting for nothing ended")
    } catch is TransportError {}
    do {
      _ = try transport.test(TransportRequest(id: -1))
    } catch is TransportError { return }
    throw ConformanceFailure(description: "rank \(rank): a transfer that never was is known")
  }

  func expectCounters(since before: TransportCounters, sent: Int, received: Int) throws {
    let now = transport.counters
    try expect(
      now.bytesSent - before.bytesSent == Int64(sent),
      "\(now.bytesSent - before.bytesSent) bytes counted as sent, not \(sent)")
    try expect(
      now.bytesReceived - before.bytesReceived == Int64(received),
      "\(now.bytesReceived - before.bytesReceived) bytes counted as received, not \(received)")
  }
}
