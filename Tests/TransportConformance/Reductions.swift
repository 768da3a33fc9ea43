import Execution
import TestSupport

/// A number that ranks add up, drawn and read back.
protocol Addend: BitwiseCopyable {
  static var element: Reduction.Element { get }
  static func draw(_ generator: inout SeededGenerator) -> Self
  static var draws: [Self] { get }
  static func sum(_ first: Self, _ second: Self) -> Self
  var bits: UInt64 { get }
}

extension Float: Addend {
  static let draws = drawn(Float.self)
  static var element: Reduction.Element { .float32 }
  /// Magnitudes differ, so that another order of adding gives other bits.
  static func draw(_ generator: inout SeededGenerator) -> Float {
    Float.random(in: -1...1, using: &generator) * Float(1 << generator.below(12))
  }
  static func sum(_ first: Float, _ second: Float) -> Float { first + second }
  var bits: UInt64 { UInt64(bitPattern) }
}

extension Double: Addend {
  static let draws = drawn(Double.self)
  static var element: Reduction.Element { .float64 }
  static func draw(_ generator: inout SeededGenerator) -> Double {
    Double.random(in: -1...1, using: &generator) * Double(1 << generator.below(12))
  }
  static func sum(_ first: Double, _ second: Double) -> Double { first + second }
  var bits: UInt64 { bitPattern }
}

extension Int32: Addend {
  static let draws = drawn(Int32.self)
  static var element: Reduction.Element { .int32 }
  static func draw(_ generator: inout SeededGenerator) -> Int32 {
    Int32(truncatingIfNeeded: generator.next())
  }
  static func sum(_ first: Int32, _ second: Int32) -> Int32 { first &+ second }
  var bits: UInt64 { UInt64(UInt32(bitPattern: self)) }
}

private func drawn<Value: Addend>(_ type: Value.Type) -> [Value] {
  var generator = SeededGenerator(seed: 3)
  return (0..<16_384).map { _ in Value.draw(&generator) }
}

extension Conformance {
  /// Reductions of all kinds equal a serial sum in the order of the members, to the bit, and send what the rule says.
  /// - Returns: A digest of the results of this rank.
  mutating func reductions() throws -> UInt64 {
    var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    for kind in [Reduction.Kind.reduceScatter, .allGather, .allReduce] {
      for elements in [0, 1, 5, 64, 500, 9001] {
        for channel in channels.indices where elements <= 500 || channel == 1 {
          try reduce(kind, Float.self, elements: elements, channel: channel, digest: &digest)
          guard elements <= 500 else { continue }
          try reduce(kind, Double.self, elements: elements, channel: channel, digest: &digest)
          try reduce(kind, Int32.self, elements: elements, channel: channel, digest: &digest)
        }
      }
    }
    try together()
    return digest
  }

  private mutating func reduce<Value: Addend>(
    _ kind: Reduction.Kind, _ type: Value.Type, elements: Int, channel: Int, digest: inout UInt64
  ) throws {
    // Every rank knows every rank's terms, and so the sum: stretches of one list of draws.
    let shift = common.below(100)
    guard let (members, own) = group(channel) else { return }
    var terms: [[Value]] = []
    for rank in 0..<size { terms.append(Array(Value.draws[(rank * 513 + shift)...].prefix(elements))) }
    let before = transport.counters
    let shards = Shards(elements: elements, members: members.count)
    let width = MemoryLayout<Value>.size
    let buffer = Memory(elements * width)
    let values = buffer.bytes.bindMemory(to: Value.self)
    for index in 0..<elements { values[index] = terms[rank][index] }
    let scratch = Memory(shards.scratch(member: own) * width)
    let reduction = try Reduction(
      kind, of: Value.element, on: transport, channel: channel, group: members,
      buffer: buffer.slice(0..<elements * width), scratch: scratch.bytes)
    try reduction.finish()
    for member in members.indices {
      for index in shards[member] {
        var expected = terms[members[0]][index]
        for other in members.dropFirst() { expected = Value.sum(expected, terms[other][index]) }
        switch kind {
        case .allReduce: break
        case .allGather: expected = terms[members[member]][index]
        case .reduceScatter: if member != own { expected = terms[rank][index] }
        }
        try expect(
          values[index].bits == expected.bits,
          "\(kind) of \(elements) \(Value.self) on \(channel): element \(index)")
        digest = (digest ^ values[index].bits) &* 0x100_0000_01B3
      }
    }
    try expectCounters(
      since: before, sent: shards.bytesSent(kind, member: own, elementBytes: width),
      received: shards.bytesReceived(kind, member: own, elementBytes: width))
  }

  /// Reductions on two channels at once, polled in turns.
  private mutating func together() throws {
    let elements = 3001
    var running: [(Reduction, Memory, Memory, Int)] = []
    for channel in [0, 1] {
      guard let (members, own) = group(channel) else { continue }
      let buffer = Memory(4 * elements)
      let values = buffer.bytes.bindMemory(to: Int32.self)
      for index in 0..<elements { values[index] = Int32(index * (rank + 1)) }
      let scratch = Memory(4 * Shards(elements: elements, members: members.count).scratch(member: own))
      let reduction = try Reduction(
        .allReduce, of: .int32, on: transport, channel: channel, group: members, buffer: buffer.bytes,
        scratch: scratch.bytes)
      running.append((reduction, buffer, scratch, members.count))
    }
    while true {
      for (reduction, _, _, _) in running where !reduction.isDone { _ = try reduction.advance() }
      let requests = running.compactMap { $0.0.request }
      if requests.isEmpty { break }
      try transport.waitForAny(requests)
    }
    for (_, buffer, _, count) in running {
      let values = buffer.bytes.bindMemory(to: Int32.self)
      for index in 0..<elements {
        try expect(
          values[index] == Int32(index * count * (count + 1) / 2), "element \(index) of two sums at once")
      }
    }
  }
}
