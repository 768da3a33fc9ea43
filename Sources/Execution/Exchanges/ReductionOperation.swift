import Programs

/// A reduce-scatter, an all-gather or both over the members of a group.
///
/// Shards travel in one all-to-all and are summed in the order of members, so that the bits depend neither on the
/// transport nor on who arrives first. Every member ends with its own shard (reduce-scatter) or the whole.
final class ReductionOperation<Element: BitwiseCopyable & AdditiveArithmetic>: Operation {
  /// The all-to-alls that a reduction is made of.
  private enum Step { case scatter, gather }

  private let transport: any Transport
  private let place: GroupPlace
  private let values: UnsafeMutablePointer<Element>
  private let shards: [Range<Int>]
  private let scratch: UnsafeMutablePointer<Element>
  private var steps: [Step]
  private let finish: () -> Void
  private(set) var request: TransportRequest?

  /// - Parameters:
  ///   - scratch: Room for ``scratchCount(count:members:)`` elements.
  ///   - finish: Called once when it is done.
  init(
    _ kind: TaskKind, _ transport: any Transport, place: GroupPlace, values: UnsafeMutablePointer<Element>,
    count: Int, scratch: UnsafeMutablePointer<Element>, finish: @escaping () -> Void = {}
  ) {
    self.transport = transport
    self.place = place
    self.values = values
    self.scratch = scratch
    self.finish = finish
    shards = (0..<place.members).map { shard(ofMember: $0, members: place.members, elements: count) }
    switch kind {
    case .reduceScatter: steps = [.scatter]
    case .allGather: steps = [.gather]
    default: steps = [.scatter, .gather]
    }
  }

  static func scratchCount(count: Int, members: Int) -> Int { members * (count / members + 1) }

  func advance() throws -> Bool {
    while let step = steps.first {
      guard let request else {
        self.request = try start(step)
        continue
      }
      guard try transport.test(request) else { return false }
      self.request = nil
      if step == .scatter { sum() }
      steps.removeFirst()
    }
    finish()
    return true
  }

  private func bytes(_ range: Range<Int>) -> Range<Int> {
    let size = MemoryLayout<Element>.stride
    return range.lowerBound * size..<range.upperBound * size
  }

  private func start(_ step: Step) throws -> TransportRequest {
    let own = shards[place.member]
    switch step {
    case .scatter:
      return try transport.allToAll(
        channel: place.channel, source: values, outgoing: shards.map(bytes), destination: scratch,
        incoming: shards.indices.map { bytes($0 * own.count..<($0 + 1) * own.count) })
    case .gather:
      // Sent from a copy: a transport may not read and write one place at a time.
      scratch.update(from: values + own.lowerBound, count: own.count)
      return try transport.allToAll(
        channel: place.channel, source: scratch,
        outgoing: shards.map { _ in bytes(0..<own.count) }, destination: values, incoming: shards.map(bytes))
    }
  }

  private func sum() {
    let own = shards[place.member]
    let result = values + own.lowerBound
    for index in 0..<own.count {
      var total = scratch[index]
      for member in 1..<max(1, shards.count) { total += scratch[member * own.count + index] }
      result[index] = total
    }
  }
}

/// A rank's place in the group of a communicator, as a transport knows it.
struct GroupPlace: Hashable {
  var channel: Int
  var member: Int
  var members: Int
}
