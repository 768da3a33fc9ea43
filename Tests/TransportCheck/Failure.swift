import Execution
import Foundation

/// All ranks exchange 1 MiB with each other again and again; in round 5, something goes wrong.
func failInTheMiddle(_ how: String, on transport: any Transport) throws {
  let (size, length) = (transport.size, 1 << 20)
  try transport.open(channels: [[Array(0..<size)]])
  let source = UnsafeMutableRawBufferPointer.allocate(byteCount: size * length, alignment: 64)
  let destination = UnsafeMutableRawBufferPointer.allocate(byteCount: size * length, alignment: 64)
  source.initializeMemory(as: UInt8.self, repeating: 1)
  destination.initializeMemory(as: UInt8.self, repeating: 0)
  defer {
    source.deallocate()
    destination.deallocate()
  }
  let ranges = (0..<size).map { $0 * length..<($0 + 1) * length }
  for round in 0..<1_000_000 {
    let isLast = round == 5 && transport.rank == 1
    if isLast && how == "finish" { return }
    if round == 5 && how == "everyone" { throw TransportError("rank \(transport.rank) has failed") }
    let request = try transport.allToAll(
      channel: 0, source: source.baseAddress, outgoing: ranges, destination: destination.baseAddress,
      incoming: ranges)
    if isLast {
      switch how {
      case "kill": kill(getpid(), SIGKILL)
      case "exit": exit(0)
      case "throw": throw TransportError("rank \(transport.rank) has failed")
      case "length":
        // Rank 0 takes fewer bytes than are sent; the other way round is `short`.
        try transport.wait(for: try transport.send(UnsafeRawBufferPointer(source), to: 0, tag: 1))
      case "short":
        let few = UnsafeRawBufferPointer(start: source.baseAddress, count: 10)
        try transport.wait(for: try transport.send(few, to: 0, tag: 1))
      default: break
      }
    }
    if round == 5 && transport.rank == 0 && ["length", "short"].contains(how) {
      let some = UnsafeMutableRawBufferPointer(start: source.baseAddress, count: 100)
      try transport.wait(for: try transport.receive(into: some, from: 1, tag: 1))
    }
    try transport.wait(for: request)
  }
}
