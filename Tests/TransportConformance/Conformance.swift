import Execution
import Foundation
import TestSupport

/// What a transport did that it must not do.
public struct ConformanceFailure: Error, CustomStringConvertible {
  public var description: String
}

/// What every transport promises, written once; every rank runs the same properties in the same order.
public struct Conformance {
  public typealias Property = (name: String, check: (inout Conformance) throws -> Void)

  let transport: any Transport
  let channels: [[[Int]]]
  /// Drawn alike on all ranks: nothing that depends on the rank may draw from it.
  var common: SeededGenerator

  var rank: Int { transport.rank }
  var size: Int { transport.size }

  /// Channels of all shapes: everybody, everybody in reverse, halves by parity, all but one, single ranks.
  public static func channels(size: Int) -> [[[Int]]] {
    let all = Array(0..<size)
    let halves = [all.filter { $0 % 2 == 0 }, all.filter { $0 % 2 == 1 }].filter { !$0.isEmpty }
    return [[all], [all.reversed()], halves, size > 1 ? [Array(all.dropFirst())] : [], all.map { [$0] }]
  }

  /// Opens a transport's channels, checks all properties and throws at the first that does not hold.
  /// - Returns: A digest of what the reductions gave, to be compared between transports.
  public static func run(on transport: any Transport, seed: UInt64 = 20_260) throws -> UInt64 {
    let channels = channels(size: transport.size)
    try transport.open(channels: channels)
    for (index, property) in (exchanges + messages).enumerated() {
      var conformance = Conformance(
        transport: transport, channels: channels, common: SeededGenerator(seed: seed + UInt64(index)))
      do {
        try property.check(&conformance)
      } catch {
        let reason = (error as? TransportError)?.description ?? "\(error)"
        throw ConformanceFailure(description: "\(property.name): \(reason)")
      }
      try transport.barrier()
    }
    var conformance = Conformance(
      transport: transport, channels: channels, common: SeededGenerator(seed: seed))
    let digest = try conformance.reductions()
    try transport.barrier()
    return digest
  }

  func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws {
    if !condition { throw ConformanceFailure(description: "rank \(rank): \(what())") }
  }

  /// Writes what one rank sends another into memory.
  static func fill(_ bytes: UnsafeMutableRawBufferPointer, _ salt: Int, from source: Int, to destination: Int)
  {
    pattern.withUnsafeBytes { pattern in
      let start = (salt * 1009 + source * 131 + destination * 17) % 50_021
      bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: pattern[start..<start + bytes.count]))
    }
  }

  private static let pattern: [UInt64] = {
    var generator = SeededGenerator(seed: 1)
    return (0..<100_000).map { _ in generator.next() }
  }()

  /// This rank's group on a channel, and its place there; nil where it has none.
  func group(_ channel: Int) -> (members: [Int], own: Int)? {
    for group in channels[channel] {
      if let own = group.firstIndex(of: rank) { return (group, own) }
    }
    return nil
  }
}

/// Bytes that a property owns.
final class Memory {
  let bytes: UnsafeMutableRawBufferPointer
  var raw: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }

  init(_ count: Int, filled: UInt8 = 0xEE) {
    bytes = .allocate(byteCount: max(count, 1), alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: filled)
  }

  deinit { bytes.deallocate() }

  func equals(_ other: Memory) -> Bool {
    guard let own = bytes.baseAddress, let others = other.bytes.baseAddress else { return false }
    return bytes.count == other.bytes.count && memcmp(own, others, bytes.count) == 0
  }

  func slice(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: bytes.baseAddress.map { $0 + range.lowerBound }, count: range.count)
  }
}
