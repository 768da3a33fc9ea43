/// The places of the shards of a buffer: member i of n owns elements i*N/n ..< (i+1)*N/n.
public struct Shards: Hashable, Sendable {
  public var elements: Int
  public var members: Int

  public init(elements: Int, members: Int) {
    self.elements = elements
    self.members = members
  }

  /// Elements of one member.
  public subscript(member: Int) -> Range<Int> {
    member * elements / members..<(member + 1) * elements / members
  }

  /// Elements of scratch that a reduction needs on one member: its shard from each of the others.
  public func scratch(member: Int) -> Int { (members - 1) * self[member].count }

  /// Bytes that one member hands to the others: all but its own shard in a reduce-scatter, its own shard to each of
  /// the others in an all-gather, both in an all-reduce.
  public func bytesSent(_ kind: Reduction.Kind, member: Int, elementBytes: Int) -> Int {
    let own = self[member].count
    let scattered = elements - own
    let gathered = (members - 1) * own
    switch kind {
    case .reduceScatter: return elementBytes * scattered
    case .allGather: return elementBytes * gathered
    case .allReduce: return elementBytes * (scattered + gathered)
    }
  }

  /// Bytes that one member is handed by the others; the mirror of ``bytesSent(_:member:elementBytes:)``.
  public func bytesReceived(_ kind: Reduction.Kind, member: Int, elementBytes: Int) -> Int {
    let own = self[member].count
    let scattered = (members - 1) * own
    let gathered = elements - own
    switch kind {
    case .reduceScatter: return elementBytes * scattered
    case .allGather: return elementBytes * gathered
    case .allReduce: return elementBytes * (scattered + gathered)
    }
  }
}

/// A reduction under way among the members of a group: all-to-alls of shards, and sums in the order of the members.
///
/// The same bits come out on every transport and whatever arrives first. It never blocks: ``advance()`` is called until
/// it says that it is done, and between the calls the rank may wait for ``request``. Buffers belong to the caller and
/// stay until it is done; so does the transport's channel, on which members start their reductions in one order.
public final class Reduction {
  /// What becomes of the buffer `[elements]` of each member.
  public enum Kind: Hashable, Sendable {
    /// The own shard holds the sum over the members; the rest is unchanged.
    case reduceScatter
    /// Every shard is that of its owner.
    case allGather
    /// Every element is the sum over the members.
    case allReduce
  }

  /// What is added.
  public enum Element: Hashable, Sendable {
    case float32, float64
    /// Sums wrap around.
    case int32

    public var bytes: Int { self == .float64 ? 8 : 4 }
  }

  /// The transfer that it waits for; nil before the start and at the end.
  public private(set) var request: TransportRequest?
  public private(set) var isDone = false

  private let transport: any Transport
  private let channel: Int
  private let member: Int
  private let shards: Shards
  private let kind: Kind
  private let element: Element
  private let buffer: UnsafeMutableRawPointer?
  private let scratch: UnsafeMutableRawPointer?
  private var isGathering = false

  /// Starts a reduction.
  /// - Parameters:
  ///   - group: The ranks of this rank's group on the channel, in the channel's order.
  ///   - buffer: `[shards.elements]`: this member's part of the sum, and the place of the result.
  ///   - scratch: `[shards.scratch(member)]` elements; an all-gather needs none.
  public init(
    _ kind: Kind, of element: Element, on transport: any Transport, channel: Int, group: [Int],
    buffer: UnsafeMutableRawBufferPointer, scratch: UnsafeMutableRawBufferPointer
  ) throws {
    guard let member = group.firstIndex(of: transport.rank) else {
      throw TransportError("rank \(transport.rank) is in no group of the reduction on channel \(channel)")
    }
    let shards = Shards(elements: buffer.count / element.bytes, members: group.count)
    guard buffer.count % element.bytes == 0 else {
      throw TransportError(
        "a reduction of \(buffer.count) bytes, which is no number of elements of \(element.bytes)")
    }
    let needed = kind == .allGather ? 0 : shards.scratch(member: member) * element.bytes
    guard scratch.count >= needed else {
      throw TransportError("a reduction was given \(scratch.count) bytes of scratch and needs \(needed)")
    }
    self.transport = transport
    self.channel = channel
    self.member = member
    self.shards = shards
    self.kind = kind
    self.element = element
    self.scratch = scratch.baseAddress
    guard let base = buffer.baseAddress, !buffer.isEmpty, group.count > 1 else {
      // Nothing to add, or nobody to add to. All members see the same and none calls the transport.
      self.buffer = nil
      isDone = true
      return
    }
    self.buffer = base
    if kind == .allGather { try gather() } else { try scatter() }
  }

  /// Goes as far as it can without waiting; true once the result is there.
  ///
  /// - Complexity: Adds all shards in the call that finds them arrived.
  public func advance() throws -> Bool {
    while let current = request {
      guard try transport.test(current) else { return false }
      request = nil
      if !isGathering && kind != .allGather {
        addShards()
        if kind == .allReduce { try gather() }
      }
    }
    isDone = true
    return true
  }

  /// Waits for the end.
  public func finish() throws {
    while try !advance() {
      if let request { try transport.waitForAny([request]) }
    }
  }

  private func bytes(_ elements: Range<Int>) -> Range<Int> {
    elements.lowerBound * element.bytes..<elements.upperBound * element.bytes
  }

  /// Every member gets its shard of this one's buffer; the own shard stays in place.
  private func scatter() throws {
    let length = shards[member].count
    let outgoing = (0..<shards.members).map { $0 == member ? 0..<0 : bytes(shards[$0]) }
    let incoming = (0..<shards.members).map { other -> Range<Int> in
      guard other != member else { return 0..<0 }
      let place = other < member ? other : other - 1
      return bytes(place * length..<(place + 1) * length)
    }
    request = try transport.allToAll(
      channel: channel, source: buffer, outgoing: outgoing, destination: scratch, incoming: incoming)
  }

  private func gather() throws {
    isGathering = true
    let own = bytes(shards[member])
    let outgoing = (0..<shards.members).map { $0 == member ? 0..<0 : own }
    let incoming = (0..<shards.members).map { $0 == member ? 0..<0 : bytes(shards[$0]) }
    request = try transport.allToAll(
      channel: channel, source: buffer, outgoing: outgoing, destination: buffer, incoming: incoming)
  }

  private func addShards() {
    let own = bytes(shards[member])
    guard !own.isEmpty, let scratch, let buffer else { return }
    let sum = buffer + own.lowerBound
    let count = shards[member].count
    switch element {
    case .float32: addInOrder(sum.assumingMemoryBound(to: Float.self), scratch, count) { $0 + $1 }
    case .float64: addInOrder(sum.assumingMemoryBound(to: Double.self), scratch, count) { $0 + $1 }
    case .int32: addInOrder(sum.assumingMemoryBound(to: Int32.self), scratch, count) { $0 &+ $1 }
    }
  }

  /// The sum over members 0, 1, ...: the first two are added, then each further one; the own shard takes its turn.
  @inline(__always)
  private func addInOrder<Value>(
    _ own: UnsafeMutablePointer<Value>, _ scratch: UnsafeMutableRawPointer, _ count: Int,
    _ add: (Value, Value) -> Value
  ) {
    let others = scratch.assumingMemoryBound(to: Value.self)
    // Shards of members before this one come first in the sum: they are added up in the place of the first.
    if member > 0 {
      for other in 1..<max(member, 1) {
        let term = others + other * count
        for index in 0..<count { others[index] = add(others[index], term[index]) }
      }
      for index in 0..<count { own[index] = add(others[index], own[index]) }
    }
    for other in member..<shards.members - 1 {
      let term = others + other * count
      for index in 0..<count { own[index] = add(own[index], term[index]) }
    }
  }
}
