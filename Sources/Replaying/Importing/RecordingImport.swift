import Documents
import Operators
import Programs
import Traces
import Units

/// Makes a program of a recording: queues become lanes, operations of several ranks meet, durations stand beside.
///
/// - Throws: A `Diagnostic` for a recording that cannot run to its end.
/// - Complexity: O(events × log events).
public func importProgram(
  _ recording: Recording, options: ImportOptions = ImportOptions()
) throws(Diagnostic) -> ImportedProgram {
  try checkSize(of: recording)
  var building = RecordingImport(recording, options)
  try building.order()
  return try building.program()
}

/// Far beyond any job, and little enough that a short file cannot ask for more memory than there is.
private let mostRanks = 1 << 16

private func checkSize(of recording: Recording) throws(Diagnostic) {
  guard let first = recording.ranks.first else {
    throw Diagnostic(.data, "the recording holds no rank's events")
  }
  let most = max(recording.worldSize ?? 0, (recording.ranks.map(\.rank).max() ?? 0) + 1)
  guard most <= mostRanks, recording.ranks.allSatisfy({ $0.rank >= 0 }) else {
    throw Diagnostic(
      .data, "the recording speaks of too many ranks", file: first.file, found: "\(most)",
      allowed: "at most \(mostRanks)")
  }
}

/// A recording on its way to a program.
struct RecordingImport {
  let recording: Recording
  let options: ImportOptions
  let matched: [MatchedCommunication]
  let clocks: ClockOffsets
  let world: Int
  /// Place in ``Traces/Recording/ranks`` of the recording that each rank of the world behaves as.
  let donor: [Int32]
  var orders: [RankOrder]
  /// Operations that several ranks meet in; others are taken as they were recorded.
  var operationOfEvent: [[Int32]]
  var communicatorOfOperation: [Int] = []
  var operations: [MatchedCommunication] = []
  var placement: GroupPlacement
  var place: [[Int32]] = []
  var sendsAreBuffered = false
  var notes: [String] = []
  /// Communications that nobody meets, by kind.
  var alone: [RecordedKind: Int] = [:]

  init(_ recording: Recording, _ options: ImportOptions) {
    self.recording = recording
    self.options = options
    matched = recording.matchedCommunications()
    clocks = ClockOffsets(recording, matched)
    let known = recording.ranks.map(\.rank)
    var named = 0
    for group in recording.groups {
      for rank in group.ranks ?? [] where rank >= 0 { named = max(named, Int(rank) + 1) }
    }
    world = min(mostRanks, max(recording.worldSize ?? 0, (known.max() ?? 0) + 1, named))
    var donor = Array(repeating: Int32(0), count: world)
    let isHead = known == Array(0..<known.count)
    for rank in 0..<world {
      // Of the first ranks the one of the same place, else the nearest before.
      let place = isHead ? rank % known.count : known.lastIndex { $0 <= rank } ?? 0
      donor[rank] = Int32(place)
    }
    self.donor = donor
    orders = recording.ranks.map { RankOrder($0, options.order) }
    operationOfEvent = recording.ranks.map { Array(repeating: -1, count: $0.count) }
    placement = GroupPlacement(world: world, isComplete: world == known.count)
    if world > known.count {
      notes.append(
        "\(world - known.count) of \(world) ranks were not recorded: "
          + (known.count == 1
            ? "all behave as rank \(known[0])"
            : "each behaves as the recorded rank "
              + (isHead ? "of the same number modulo \(known.count)" : "next below it")))
    }
    if orders.contains(where: { !$0.hasEdges && $0.isTimed }) {
      notes.append(
        options.order == .recorded
          ? "the recording has no edges between queues: what had ended when an event began, ends before it begins"
          : "the recording has no edges between queues: an event waits for another queue's where its own stood idle "
            + "until then"
      )
    }
    chooseOperations()
  }

  private var isComplete: Bool { world == recording.ranks.count }

  func communication(_ part: MatchedCommunication.Part) -> RecordedCommunication {
    let rank = recording.ranks[part.rank]
    return rank.communications[Int(rank.communication[part.event])]
  }

  // MARK: Operations

  /// Which communications meet: those whose every recorded member is there.
  private mutating func chooseOperations() {
    for operation in matched {
      guard let communicator = communicator(of: operation) else {
        alone[operation.kind, default: 0] += operation.parts.count
        continue
      }
      for part in operation.parts { operationOfEvent[part.rank][part.event] = Int32(operations.count) }
      operations.append(operation)
      communicatorOfOperation.append(communicator)
    }
  }

  private mutating func communicator(of operation: MatchedCommunication) -> Int? {
    guard Set(operation.parts.map(\.rank)).count == operation.parts.count else { return nil }
    guard operation.kind.isCollective else {
      // Ends of a message have names; of ranks that only behave like others they would be wrong.
      guard isComplete, operation.parts.count == 2 else { return nil }
      return placement.forMessages()
    }
    let size = operation.parts.compactMap { communication($0).groupSize }.first
    guard let index = placement.communicator(group: operation.group, size: size, of: recording) else {
      return nil
    }
    // Every recorded rank of the group has its part, and every member's donor one in the same operation.
    let group = placement.communicators[index].groups
    let parts = Set(operation.parts.map { Int32($0.rank) })
    for part in operation.parts {
      let rank = recording.ranks[part.rank].rank
      guard let members = group.first(where: { $0.contains(rank) }) else { return nil }
      guard members.allSatisfy({ parts.contains(donor[$0]) || (!isComplete && parts.count == 1) }) else {
        return nil
      }
    }
    return index
  }

  // MARK: Order

  mutating func order() throws(Diagnostic) {
    let linear = try Linearisation(
      recording, orders: &orders, operationOfEvent: operationOfEvent, operations: operations.count,
      offsets: clocks.offset)
    place = linear.place
    sendsAreBuffered = linear.sendsAreBuffered
    if sendsAreBuffered {
      notes.append(
        "sends are buffered: what follows one does not wait for its receive, or ranks would wait in a circle")
    }
  }
}
