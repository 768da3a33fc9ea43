import Execution
import Foundation

/// Calls that MPI's 32-bit counts, places and tags cannot say; returns how each was refused.
func limits(_ transport: any Transport) throws -> [String] {
  let peer = (transport.rank + 1) % transport.size
  try transport.open(channels: [[Array(0..<transport.size)]])
  // Addresses alone, never read: the calls are refused before.
  let memory = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 16)
  defer { memory.deallocate() }
  let long = UnsafeMutableRawBufferPointer(start: memory, count: 1 << 31)
  let short = UnsafeMutableRawBufferPointer(start: memory, count: 16)
  let far = (0..<transport.size).map { $0 == transport.rank ? 0..<0 : 1 << 31..<1 << 31 + 1 }
  let calls: [() throws -> TransportRequest] = [
    { try transport.send(UnsafeRawBufferPointer(long), to: peer, tag: 0) },
    { try transport.receive(into: long, from: peer, tag: 0) },
    { try transport.send(UnsafeRawBufferPointer(short), to: peer, tag: 1 << 31) },
    {
      try transport.allToAll(channel: 0, source: memory, outgoing: far, destination: memory, incoming: far)
    },
  ]
  return try calls.map { call in
    do { _ = try call() } catch let error as TransportError { return error.description }
    throw TransportError("a call beyond the limits was accepted")
  }
}
