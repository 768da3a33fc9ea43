import Execution
import Foundation
import Testing
import TransportConformance

@Suite struct LoopbackTests {
  @Test(arguments: [1, 2, 3, 4, 8])
  func `a world of threads keeps every promise of a transport`(ranks: Int) throws {
    _ = try LoopbackWorld.run(ranks: ranks) { try Conformance.run(on: $0) }
  }

  @Test func `each rank returns its value`() throws {
    #expect(try LoopbackWorld.run(ranks: 5) { $0.rank * $0.size } == [0, 5, 10, 15, 20])
  }

  @Test func `a rank's stack holds what an executor puts there`() throws {
    @Sendable func depth(_ left: Int) -> Int { left == 0 ? 0 : 1 + depth(left - 1) }
    #expect(try LoopbackWorld.run(ranks: 2) { _ in depth(100_000) } == [100_000, 100_000])
  }

  @Test func `the first error is thrown and the other ranks do not hang`() throws {
    struct Broken: Error {}
    #expect(throws: Broken.self) {
      try LoopbackWorld.run(ranks: 4) { transport in
        if transport.rank == 2 { throw Broken() }
        try transport.barrier()
      }
    }
  }

  @Test func `the other ranks learn which rank has failed`() throws {
    let seen = Seen()
    #expect(throws: (any Error).self) {
      try LoopbackWorld.run(ranks: 3) { transport in
        if transport.rank == 1 { throw TransportError("its disk is full") }
        do { try transport.barrier() } catch let error as TransportError {
          seen.add(error.description)
          throw error
        }
      }
    }
    #expect(seen.texts == ["rank 1 failed: its disk is full", "rank 1 failed: its disk is full"])
  }

  @Test func `ranks that wait for each other are told who waits for what`() throws {
    try expectError(
      ranks: 3,
      "deadlock: rank 0 waits for 8 bytes from rank 1 with tag 4; rank 1 waits for rank 2 to take 8 bytes with tag 5;"
        + " rank 2 waits at a barrier"
    ) { transport, memory in
      switch transport.rank {
      case 0: try transport.wait(for: try transport.receive(into: memory, from: 1, tag: 4))
      case 1: try transport.wait(for: try transport.send(UnsafeRawBufferPointer(memory), to: 2, tag: 5))
      default: try transport.barrier()
      }
    }
  }

  @Test func `a rank that has finished is not waited for`() throws {
    try expectError(
      ranks: 3,
      "deadlock: rank 0 waits for rank 2 in an all-to-all on channel 0;"
        + " rank 1 waits for rank 2 in an all-to-all on channel 0; rank 2 has finished"
    ) { transport, memory in
      try transport.open(channels: [[[0, 1, 2]]])
      if transport.rank == 2 { return }
      let none = [0..<0, 0..<0, 0..<0]
      let request = try transport.allToAll(
        channel: 0, source: nil, outgoing: none, destination: nil, incoming: none)
      try transport.wait(for: request)
    }
  }

  @Test func `collectives in different orders are a deadlock`() throws {
    try expectError(
      ranks: 2,
      "deadlock: rank 0 waits for rank 1 in an all-to-all on channel 0;"
        + " rank 1 waits for rank 0 in an all-to-all on channel 1"
    ) { transport, memory in
      try transport.open(channels: [[[0, 1]], [[0, 1]]])
      let none = [0..<0, 0..<0]
      for channel in transport.rank == 0 ? [0, 1] : [1, 0] {
        try transport.wait(
          for: try transport.allToAll(
            channel: channel, source: nil, outgoing: none, destination: nil, incoming: none))
      }
    }
  }

  @Test func `both sides of a message have one length`() throws {
    try expectError(
      ranks: 2, "rank 1 sent 8 bytes where rank 0 receives 4 bytes from rank 1 with tag 0, which expects 4"
    ) {
      transport, memory in
      let few = UnsafeMutableRawBufferPointer(rebasing: memory[..<4])
      try transport.wait(
        for: transport.rank == 0
          ? try transport.receive(into: few, from: 1, tag: 0)
          : try transport.send(UnsafeRawBufferPointer(memory), to: 0, tag: 0))
    }
  }

  @Test func `a buffer that changes before its send is done is noticed`() throws {
    try expectError(
      ranks: 2, "rank 0 sends 8 bytes to rank 1 with tag 0: the bytes changed before the send was done"
    ) { transport, memory in
      if transport.rank == 0 {
        let request = try transport.send(UnsafeRawBufferPointer(memory), to: 1, tag: 0)
        memory[3] = 9
        try transport.wait(for: request)
      } else {
        try transport.wait(for: try transport.receive(into: memory, from: 0, tag: 0))
      }
    }
  }

  @Test func `a message that nobody receives is noticed at the end`() throws {
    try expectError(
      ranks: 2, "all ranks have finished, but rank 0 sends 8 bytes to rank 1 with tag 6, unmatched"
    ) { transport, memory in
      if transport.rank == 0 { _ = try transport.send(UnsafeRawBufferPointer(memory), to: 1, tag: 6) }
    }
  }

  @Test func `all ranks open the same channels, whose groups do not overlap`() throws {
    let refused: [[[[Int]]]] = [[[[0, 1], [1]]], [[[0, 2]]], [[[0, 0]]]]
    for channels in refused {
      #expect(throws: TransportError.self) {
        try LoopbackWorld.run(ranks: 2) { try $0.open(channels: channels) }
      }
    }
    #expect(throws: TransportError.self) {
      try LoopbackWorld.run(ranks: 2) { try $0.open(channels: [[[$0.rank]]]) }
    }
  }

  @Test func `a world beyond the cores passes a token round`() throws {
    let sums = try LoopbackWorld.run(ranks: 64) { transport -> Int in
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
      defer { memory.deallocate() }
      memory.storeBytes(of: transport.rank, as: Int.self)
      let (next, previous) = ((transport.rank + 1) % 64, (transport.rank + 63) % 64)
      if transport.rank > 0 {
        try transport.wait(for: try transport.receive(into: memory, from: previous, tag: 0))
        memory.storeBytes(of: memory.load(as: Int.self) + transport.rank, as: Int.self)
      }
      if transport.rank < 63 {
        try transport.wait(for: try transport.send(UnsafeRawBufferPointer(memory), to: next, tag: 0))
      }
      return memory.load(as: Int.self)
    }
    #expect(sums.last == 63 * 64 / 2)
  }

  private func expectError(
    ranks: Int, _ text: String,
    _ body: @escaping @Sendable (LoopbackTransport, UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    #expect(throws: TransportError(text)) {
      try LoopbackWorld.run(ranks: ranks) { transport in
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        defer { memory.deallocate() }
        try body(transport, memory)
      }
    }
  }
}

private final class Seen: @unchecked Sendable {
  private let lock = NSLock()
  private var found: [String] = []
  var texts: [String] { lock.withLock { found } }
  func add(_ text: String) { lock.withLock { found.append(text) } }
}
