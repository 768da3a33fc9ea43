import Foundation

/// One rank of a ``LoopbackWorld``: a transport between threads of one process.
///
/// It is stricter than MPI, so that what works here does not depend on how MPI buffers: a send is done only once its
/// receive has been posted, both sides of a message have the same length, and a buffer that changes before its send is
/// done is an error. Bytes are copied by the threads that own them, never by another rank's.
public final class LoopbackTransport: Transport {
  public let rank: Int
  public var size: Int { world.size }
  public private(set) var counters = TransportCounters()

  private let world: LoopbackWorld
  /// `[channel]`: the group of this rank; empty where it is in none.
  private var groups: [[Int]] = []
  private var requests: [Int: LoopbackOperation] = [:]
  private var nextRequest = 0

  init(rank: Int, world: LoopbackWorld) {
    self.rank = rank
    self.world = world
  }

  public func open(channels: [[[Int]]]) throws {
    try TransportChecks.check(channels: channels, size: size)
    try world.open(channels: channels, rank: rank)
    groups = channels.map { channel in channel.first { $0.contains(rank) } ?? [] }
  }

  public func send(_ bytes: UnsafeRawBufferPointer, to peer: Int, tag: Int) throws -> TransportRequest {
    try TransportChecks.check(peer: peer, tag: tag, of: rank, size: size, maximumTag: .max)
    let operation = LoopbackOperation(rank: rank, purpose: .send(peer: peer, tag: tag, bytes: bytes.count))
    let route = LoopbackRoute(channel: -1, tag: tag, source: rank, destination: peer)
    try post(operation, sending: [(route, bytes)], receiving: [])
    return keep(operation)
  }

  public func receive(
    into bytes: UnsafeMutableRawBufferPointer, from peer: Int, tag: Int
  ) throws -> TransportRequest {
    try TransportChecks.check(peer: peer, tag: tag, of: rank, size: size, maximumTag: .max)
    let operation = LoopbackOperation(rank: rank, purpose: .receive(peer: peer, tag: tag, bytes: bytes.count))
    let route = LoopbackRoute(channel: -1, tag: tag, source: peer, destination: rank)
    try post(operation, sending: [], receiving: [(route, bytes)])
    return keep(operation)
  }

  public func allToAll(
    channel: Int, source: UnsafeRawPointer?, outgoing: [Range<Int>],
    destination: UnsafeMutableRawPointer?, incoming: [Range<Int>]
  ) throws -> TransportRequest {
    guard groups.indices.contains(channel), let own = groups[channel].firstIndex(of: rank) else {
      throw TransportError("rank \(rank) has no group on channel \(channel)")
    }
    let group = groups[channel]
    try TransportChecks.check(
      outgoing: outgoing, incoming: incoming, own: own, members: group.count, rank: rank, channel: channel)
    let operation = LoopbackOperation(rank: rank, purpose: .allToAll(channel: channel, group: group))
    var sending: [(LoopbackRoute, UnsafeRawBufferPointer)] = []
    var receiving: [(LoopbackRoute, UnsafeMutableRawBufferPointer)] = []
    for (member, peer) in group.enumerated() {
      let out = UnsafeRawBufferPointer(rebasing: source, outgoing[member])
      let into = UnsafeMutableRawBufferPointer(rebasing: destination, incoming[member])
      if member == own {
        into.copyMemory(from: out)
      } else {
        sending.append((LoopbackRoute(channel: channel, tag: 0, source: rank, destination: peer), out))
        receiving.append((LoopbackRoute(channel: channel, tag: 0, source: peer, destination: rank), into))
      }
    }
    try post(operation, sending: sending, receiving: receiving)
    return keep(operation)
  }

  public func test(_ request: TransportRequest) throws -> Bool {
    guard let operation = requests[request.id] else { throw unknown(request) }
    guard try world.isReady(operation) else { return false }
    requests[request.id] = nil
    for (message, bytes) in operation.sent where !message.equals(bytes) {
      throw world.fail(TransportError("\(operation.phrase): the bytes changed before the send was done"))
    }
    for (message, bytes) in operation.arrived {
      message.copy(into: bytes)
      counters.bytesReceived += Int64(bytes.count)
    }
    return true
  }

  public func waitForAny(_ requests: [TransportRequest]) throws {
    let operations = try requests.map { request in
      guard let operation = self.requests[request.id] else { throw unknown(request) }
      return operation
    }
    guard !operations.isEmpty else { throw TransportError("rank \(rank) waits for no transfer at all") }
    try world.waitForAny(operations, rank: rank)
  }

  public func barrier() throws { try world.barrier(rank: rank) }

  /// Ends the process: all ranks live in it.
  public func abort(status: Int32) -> Never { exit(status) }

  private func post(
    _ operation: LoopbackOperation, sending: [(LoopbackRoute, UnsafeRawBufferPointer)],
    receiving: [(LoopbackRoute, UnsafeMutableRawBufferPointer)]
  ) throws {
    operation.sent = sending.map { (LoopbackMessage($0.1, operation: operation), $0.1) }
    try world.post(operation, sending: sending.map(\.0), receiving: receiving)
    for (_, bytes) in sending {
      counters.bytesSent += Int64(bytes.count)
      counters.messages += 1
    }
  }

  private func keep(_ operation: LoopbackOperation) -> TransportRequest {
    nextRequest += 1
    requests[nextRequest] = operation
    return TransportRequest(id: nextRequest)
  }

  private func unknown(_ request: TransportRequest) -> TransportError {
    TransportError("rank \(rank) asks about transfer \(request.id), which is done or never was")
  }
}

extension UnsafeRawBufferPointer {
  /// A range of bytes from an address; empty ranges need none.
  fileprivate init(rebasing base: UnsafeRawPointer?, _ range: Range<Int>) {
    self.init(start: range.isEmpty ? nil : base.map { $0 + range.lowerBound }, count: range.count)
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate init(rebasing base: UnsafeMutableRawPointer?, _ range: Range<Int>) {
    self.init(start: range.isEmpty ? nil : base.map { $0 + range.lowerBound }, count: range.count)
  }
}
