/// A reduction as a task of a lane.
final class ReductionOperation: Operation {
  private let reduction: Reduction

  init(_ reduction: Reduction) { self.reduction = reduction }

  var request: TransportRequest? { reduction.request }

  func advance() throws -> Bool { try reduction.advance() }
}

/// A rank's place in the group of a communicator, as a transport knows it.
struct GroupPlace: Hashable {
  var channel: Int
  /// In member order.
  var group: [Int]
  var member: Int

  var members: Int { group.count }
}
