import Execution
import Foundation
import TestSupport

extension Conformance {
  static var messages: [Property] {
    [
      ("messages of one tag arrive in the order of their sending", { try $0.orderedMessages() }),
      ("64 messages are in flight and end in any order", { try $0.manyMessages(count: 64, longest: 2000) }),
      ("long messages end in any order", { try $0.manyMessages(count: 6, longest: 400_000) }),
      ("messages of no bytes arrive", { try $0.emptyMessages() }),
      ("the largest tags are told apart", { try $0.largeTags() }),
      ("a request may be tested as often as it takes", { try $0.polled() }),
      ("waiting for any returns as soon as one is done", { try $0.waitForOne() }),
      ("nobody leaves a barrier before all have come", { try $0.barriers() }),
      ("messages and all-to-alls pass each other", { try $0.mixed() }),
    ]
  }

  /// The next rank and the one before, in a ring; nil in a world of one.
  private var neighbours: (next: Int, previous: Int)? {
    size > 1 ? ((rank + 1) % size, (rank + size - 1) % size) : nil
  }

  private func filled(_ count: Int, salt: Int, to peer: Int) -> Memory {
    let memory = Memory(count)
    Self.fill(memory.slice(0..<count), salt, from: rank, to: peer)
    return memory
  }

  private func check(_ memory: Memory, count: Int, salt: Int, from peer: Int) throws {
    let expected = Memory(memory.bytes.count)
    Self.fill(expected.slice(0..<count), salt, from: peer, to: rank)
    try expect(expected.equals(memory), "message \(salt) from rank \(peer) is wrong")
  }

  private mutating func orderedMessages() throws {
    guard let (next, previous) = neighbours else { return }
    let count = 40
    let lengths = (0..<count).map { _ in common.below(9000) }
    let receives = lengths.map { Memory($0) }
    var requests: [TransportRequest] = []
    for (index, memory) in receives.enumerated() where index < count / 2 {
      requests.append(try transport.receive(into: memory.slice(0..<lengths[index]), from: previous, tag: 5))
    }
    let sends = lengths.enumerated().map { filled($1, salt: $0, to: next) }
    for (index, memory) in sends.enumerated() {
      requests.append(
        try transport.send(UnsafeRawBufferPointer(memory.slice(0..<lengths[index])), to: next, tag: 5))
    }
    for (index, memory) in receives.enumerated() where index >= count / 2 {
      requests.append(try transport.receive(into: memory.slice(0..<lengths[index]), from: previous, tag: 5))
    }
    try transport.wait(for: requests)
    for (index, memory) in receives.enumerated() {
      try check(memory, count: lengths[index], salt: index, from: previous)
    }
  }

  /// Every rank sends every other so many messages, posts the receives in another order, and waits in a third.
  private mutating func manyMessages(count: Int, longest: Int) throws {
    let before = transport.counters
    let lengths = (0..<count).map { _ in common.below(longest + 1) }
    var local = SeededGenerator(seed: UInt64(rank + 1))
    var requests: [TransportRequest] = []
    var received: [(memory: Memory, index: Int, peer: Int)] = []
    var sent: [Memory] = []
    let peers = (0..<size).filter { $0 != rank }
    for peer in peers.shuffled(using: &local) {
      for index in (0..<count).shuffled(using: &local) {
        let memory = Memory(lengths[index])
        requests.append(try transport.receive(into: memory.slice(0..<lengths[index]), from: peer, tag: index))
        received.append((memory, index, peer))
      }
    }
    for peer in peers.shuffled(using: &local) {
      for index in (0..<count).shuffled(using: &local) {
        let memory = filled(lengths[index], salt: index, to: peer)
        sent.append(memory)
        let bytes = UnsafeRawBufferPointer(memory.slice(0..<lengths[index]))
        requests.append(try transport.send(bytes, to: peer, tag: index))
      }
    }
    try transport.wait(for: requests.shuffled(using: &local))
    for (memory, index, peer) in received {
      try check(memory, count: lengths[index], salt: index, from: peer)
    }
    let total = peers.count * lengths.reduce(0, +)
    try expectCounters(since: before, sent: total, received: total)
    let messages = transport.counters.messages - before.messages
    try expect(messages == Int64(peers.count * count), "\(messages) messages were counted")
    withExtendedLifetime(sent) {}
  }

  private mutating func emptyMessages() throws {
    guard let (next, previous) = neighbours else { return }
    let before = transport.counters
    let none = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    try transport.wait(for: [
      try transport.receive(into: none, from: previous, tag: 1),
      try transport.send(UnsafeRawBufferPointer(none), to: next, tag: 1),
    ])
    try expectCounters(since: before, sent: 0, received: 0)
  }

  private mutating func largeTags() throws {
    guard let (next, previous) = neighbours else { return }
    let tags = [Int(Int32.max), 1 << 30, 1 << 30 | 1, 0]
    let sends = tags.indices.map { filled(16, salt: $0, to: next) }
    let receives = tags.indices.map { _ in Memory(16) }
    var requests: [TransportRequest] = []
    for index in tags.indices.reversed() {
      requests.append(try transport.receive(into: receives[index].bytes, from: previous, tag: tags[index]))
    }
    for index in tags.indices {
      requests.append(try transport.send(sends[index].raw, to: next, tag: tags[index]))
    }
    try transport.wait(for: requests)
    for index in tags.indices { try check(receives[index], count: 16, salt: index, from: previous) }
  }

  private mutating func polled() throws {
    guard let (next, previous) = neighbours else { return }
    let (source, destination) = (filled(70_000, salt: 9, to: next), Memory(70_000))
    let receive = try transport.receive(into: destination.bytes, from: previous, tag: 2)
    let send = try transport.send(source.raw, to: next, tag: 2)
    var left = [receive, send]
    while !left.isEmpty { try left.removeAll { try transport.test($0) } }
    try check(destination, count: 70_000, salt: 9, from: previous)
  }

  /// The first of two messages is answered before the second is sent: waiting for both would never end.
  private mutating func waitForOne() throws {
    guard size > 1, rank < 2 else { return }
    let peer = 1 - rank
    let (first, second, answer) = (Memory(8, filled: 1), Memory(8, filled: 2), Memory(8, filled: 3))
    if rank == 0 {
      let waiting = [
        try transport.receive(into: second.bytes, from: peer, tag: 20),
        try transport.receive(into: first.bytes, from: peer, tag: 10),
      ]
      var left = waiting
      while left.count == 2 {
        try transport.waitForAny(left)
        try left.removeAll { try transport.test($0) }
      }
      try expect(left == [waiting[0]], "the second message came before it was sent")
      try transport.wait(for: try transport.send(answer.raw, to: peer, tag: 30))
      try transport.wait(for: left)
    } else {
      try transport.wait(for: try transport.send(first.raw, to: peer, tag: 10))
      try transport.wait(for: try transport.receive(into: answer.bytes, from: peer, tag: 30))
      try transport.wait(for: try transport.send(second.raw, to: peer, tag: 20))
    }
  }

  /// One rank comes late; nobody's clock may show an earlier time after the barrier. The ranks share a machine.
  private mutating func barriers() throws {
    for round in 0..<12 {
      if rank == round % size { usleep(3000) }
      let (entry, entries) = (Memory(8), Memory(8 * size))
      entry.bytes.storeBytes(of: nanoseconds(), as: Int64.self)
      try transport.barrier()
      let exit = nanoseconds()
      let request = try transport.allToAll(
        channel: 0, source: entry.raw.baseAddress, outgoing: Array(repeating: 0..<8, count: size),
        destination: entries.bytes.baseAddress, incoming: (0..<size).map { 8 * $0..<8 * $0 + 8 })
      try transport.wait(for: request)
      try expect(
        entries.bytes.bindMemory(to: Int64.self).allSatisfy { $0 <= exit },
        "left the barrier before a rank had come")
    }
  }

  private func nanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  private mutating func mixed() throws {
    guard let (next, previous) = neighbours, let (members, _) = group(0) else { return }
    let length = 20_000
    var requests: [TransportRequest] = []
    var kept: [Memory] = []
    var received: [(Memory, Int)] = []
    let ranges = members.indices.map { $0 * length..<($0 + 1) * length }
    for round in 0..<8 {
      let (source, destination) = (Memory(length * size), Memory(length * size))
      let (out, into) = (filled(length, salt: round, to: next), Memory(length))
      requests.append(try transport.receive(into: into.bytes, from: previous, tag: 100 + round))
      requests.append(
        try transport.allToAll(
          channel: round % 2, source: source.raw.baseAddress, outgoing: ranges,
          destination: destination.bytes.baseAddress, incoming: ranges))
      requests.append(try transport.send(out.raw, to: next, tag: 100 + round))
      kept += [source, destination, out]
      received.append((into, round))
    }
    try transport.wait(for: requests)
    for (memory, round) in received { try check(memory, count: length, salt: round, from: previous) }
    withExtendedLifetime(kept) {}
  }
}
