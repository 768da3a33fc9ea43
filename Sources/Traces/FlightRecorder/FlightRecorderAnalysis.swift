/// Who holds a job up, told from the dumps of its flight recorders, and where expert exchanges are uneven.
///
/// Only collectives are compared across ranks: their sequence numbers mean the same on all members of a
/// group, while messages are counted by each rank for itself. The rule, for each collective that is not
/// complete on some member:
///
/// 1. An all-reduce, all-gather, reduce-scatter, all-to-all or barrier can end on no member before all have
///    taken part. Where it ended on one member and a rank that also enqueued it never saw it end, that rank's
///    device took part and then stopped: it ``Reason/stopped``. (A broadcast or reduction to a root may end
///    early on some, and says nothing.)
/// 2. A rank that never enqueued it, while others did and wait, is absent. It ``Reason/neverJoined`` if
///    nothing of its own is under way that could hold it up: no message, and no collective whose members are
///    not all there.
/// 3. Where all absent ranks are themselves held up and no rank stopped, the cause is not in the dumps (a
///    rank without a dump, or work between two enqueued operations); the absent ones are named as
///    ``Reason/heldUp``.
///
/// A rank that waits is never at fault by itself: in a stalled job nearly all ranks do.
public struct FlightRecorderAnalysis: Hashable, Sendable {
  /// Why a rank is at fault.
  public enum Reason: String, Hashable, Sendable {
    /// Enqueued a collective that others saw end, and never saw it end itself.
    case stopped
    /// Others wait in a collective that the rank never enqueued, and nothing holds the rank up.
    case neverJoined = "never-joined"
    /// The same, but the rank itself waits for something.
    case heldUp = "held-up"
  }

  /// A rank at fault with the first collective that shows it.
  public struct Fault: Hashable, Sendable {
    public var rank: Int
    public var reason: Reason
    /// Index into ``Recording/groups``.
    public var group: Int32
    public var sequence: Int64
    /// `nccl:all_reduce`
    public var operation: String
    /// Members that wait in it, or that saw it end where the rank did not.
    public var others: [Int]
    /// Collectives that show the same of the rank.
    public var count: Int
  }

  /// A collective that members enqueued as different operations.
  public struct Mismatch: Hashable, Sendable {
    public var group: Int32
    public var sequence: Int64
    /// Ascending by rank.
    public var operations: [String]
    public var ranks: [Int]
  }

  /// An exchange of which members send or get unlike amounts; nil is unknown, members without the operation
  /// are absent.
  public struct UnevenExchange: Hashable, Sendable {
    public var group: Int32
    public var sequence: Int64
    public var ranks: [Int]
    /// First dimension of the buffers: tokens.
    public var sentRows: [Int64?]
    public var receivedRows: [Int64?]
    public var sentBytes: [Int64?]
    public var receivedBytes: [Int64?]
  }

  /// Ascending by rank; empty where nothing shows a rank at fault.
  public private(set) var faults: [Fault] = []
  public private(set) var mismatches: [Mismatch] = []
  public private(set) var unevenExchanges: [UnevenExchange] = []
  /// Members of groups with unfinished collectives of which there is no dump.
  public private(set) var ranksWithoutDump: [Int] = []
  /// Collectives that are not complete on some member.
  public private(set) var unfinishedCollectives = 0

  /// - Precondition: The recording is of the flight recorder's format.
  /// - Complexity: O(entries × members of their groups).
  public init(_ recording: Recording) {
    precondition(
      recording.flightRecorder.count == recording.ranks.count, "only flight recorders say who waits")
    self.init(CollectiveTable(recording), recording)
  }

  private init(_ table: CollectiveTable, _ recording: Recording) {
    var stopped: [Int: Fault] = [:]
    var absent: [Int: Fault] = [:]
    var held: Set<Int> = table.ranksWithMessagesUnderWay
    var missing: Set<Int> = []
    func record(
      _ rank: Int, _ reason: Reason, _ collective: CollectiveTable.Collective, _ others: [Int],
      in faults: inout [Int: Fault]
    ) {
      if faults[rank] != nil {
        faults[rank]?.count += 1
        return
      }
      faults[rank] = Fault(
        rank: rank, reason: reason, group: collective.group, sequence: collective.sequence,
        operation: collective.operations.first ?? "", others: others, count: 1)
    }
    for collective in table.collectives {
      if Set(collective.operations).count > 1 {
        mismatches.append(
          Mismatch(
            group: collective.group, sequence: collective.sequence, operations: collective.operations,
            ranks: collective.ranks))
      }
      if let exchange = Self.exchange(collective, recording) { unevenExchanges.append(exchange) }
      guard collective.isUnfinished else { continue }
      unfinishedCollectives += 1
      let members = table.members(of: collective)
      missing.formUnion(members.filter { !table.hasDump($0) })
      let waiting = collective.unfinishedRanks
      let ended = members.filter { table.isComplete(collective, on: $0) == true }
      if collective.isSymmetric, !ended.isEmpty {
        for rank in waiting { record(rank, .stopped, collective, ended, in: &stopped) }
      }
      let away = members.filter { table.isEnqueued(collective, on: $0) == false }
      guard !away.isEmpty else { continue }
      held.formUnion(waiting)
      for rank in away { record(rank, .neverJoined, collective, waiting, in: &absent) }
    }
    let free = absent.values.filter { !held.contains($0.rank) && stopped[$0.rank] == nil }
    var all = Array(stopped.values) + free
    if all.isEmpty {
      all = absent.values.map { fault in
        var fault = fault
        fault.reason = .heldUp
        return fault
      }
    }
    faults = all.sorted { $0.rank < $1.rank }
    ranksWithoutDump = missing.sorted()
  }

  private static func exchange(_ collective: CollectiveTable.Collective, _ recording: Recording)
    -> UnevenExchange?
  {
    guard collective.kind == .allToAll || collective.kind == .allToAllV else { return nil }
    var exchange = UnevenExchange(
      group: collective.group, sequence: collective.sequence, ranks: [], sentRows: [], receivedRows: [],
      sentBytes: [],
      receivedBytes: [])
    for entry in collective.entries {
      let rank = recording.ranks[entry.place]
      let state = recording.flightRecorder[entry.place]
      let communication = rank.communications[Int(rank.communication[entry.event])]
      let (sent, received) = (state.inputRows[entry.event], state.outputRows[entry.event])
      exchange.ranks.append(rank.rank)
      exchange.sentRows.append(sent < 0 ? nil : sent)
      exchange.receivedRows.append(received < 0 ? nil : received)
      exchange.sentBytes.append(communication.inputBytes)
      exchange.receivedBytes.append(communication.outputBytes)
    }
    let isUneven =
      Set(exchange.sentBytes).count > 1 || Set(exchange.receivedBytes).count > 1
      || exchange.sentBytes != exchange.receivedBytes
    return isUneven ? exchange : nil
  }
}

/// The collectives of all dumps, each with its members' entries.
private struct CollectiveTable {
  struct Entry {
    /// Index into the recording's ranks, and the event there.
    var place: Int
    var event: Int
    var rank: Int
    var isComplete: Bool
    var operation: String
  }

  struct Collective {
    var group: Int32
    var sequence: Int64
    var kind: CommunicationKind
    /// Ascending by rank.
    var entries: [Entry]

    var ranks: [Int] { entries.map(\.rank) }
    var operations: [String] { entries.map(\.operation) }
    var unfinishedRanks: [Int] { entries.filter { !$0.isComplete }.map(\.rank) }
    var isUnfinished: Bool { entries.contains { !$0.isComplete } }

    /// Whether no member can be through before all have taken part.
    var isSymmetric: Bool {
      switch kind {
      case .allReduce, .allGather, .reduceScatter, .allToAll, .allToAllV, .barrier: true
      default: false
      }
    }
  }

  /// By group, then by sequence.
  private(set) var collectives: [Collective] = []
  /// Ranks with a send or receive that is not complete.
  private(set) var ranksWithMessagesUnderWay: Set<Int> = []
  private let groups: [ProcessGroup]
  private var placeOfRank: [Int: Int] = [:]
  /// Positions of each dump by group, without groups that carry messages, whose positions count those.
  private var positions: [[Int32: FlightRecorderRank.Position]] = []

  init(_ recording: Recording) {
    groups = recording.groups
    struct Key: Hashable {
      var group: Int32
      var sequence: Int64
    }
    var index: [Key: Int] = [:]
    for (place, rank) in recording.ranks.enumerated() {
      let state = recording.flightRecorder[place]
      placeOfRank[rank.rank] = place
      var messageGroups: Set<Int32> = []
      for event in 0..<rank.count {
        let communication = rank.communications[Int(rank.communication[event])]
        let isComplete = state.states[event] == .completed
        if state.isMessage[event] {
          messageGroups.insert(communication.group)
          if !isComplete { ranksWithMessagesUnderWay.insert(rank.rank) }
          continue
        }
        guard let sequence = communication.sequence else { continue }
        let entry = Entry(
          place: place, event: event, rank: rank.rank, isComplete: isComplete,
          operation: rank.names[Int(rank.name[event])])
        let key = Key(group: communication.group, sequence: sequence)
        if let known = index[key] {
          // A recorder may hold the parts of a coalesced operation under one number: the rank's first one counts.
          if collectives[known].entries.last?.rank != rank.rank { collectives[known].entries.append(entry) }
        } else {
          index[key] = collectives.count
          collectives.append(
            Collective(
              group: communication.group, sequence: sequence, kind: communication.kind, entries: [entry]))
        }
      }
      positions.append(
        Dictionary(
          state.positions.filter { !messageGroups.contains($0.group) }.map { ($0.group, $0) },
          uniquingKeysWith: { $1 }))
    }
    collectives.sort { ($0.group, $0.sequence) < ($1.group, $1.sequence) }
  }

  /// The group's ranks; where they are unknown, those that have the operation.
  func members(of collective: Collective) -> [Int] {
    groups[Int(collective.group)].ranks?.map { Int($0) } ?? collective.ranks
  }

  func hasDump(_ rank: Int) -> Bool { placeOfRank[rank] != nil }

  /// Whether a rank has enqueued a collective; nil where its dump does not say.
  func isEnqueued(_ collective: Collective, on rank: Int) -> Bool? {
    if collective.entries.contains(where: { $0.rank == rank }) { return true }
    guard let place = placeOfRank[rank], let last = positions[place][collective.group]?.enqueued else {
      return nil
    }
    return last >= collective.sequence
  }

  func isComplete(_ collective: Collective, on rank: Int) -> Bool? {
    if let entry = collective.entries.first(where: { $0.rank == rank }) { return entry.isComplete }
    guard let place = placeOfRank[rank], let last = positions[place][collective.group]?.completed else {
      return nil
    }
    return last >= collective.sequence
  }
}
