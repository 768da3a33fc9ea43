/// Schedules in the Group Operation Assembly Language, as text and binary files both have them.
public struct GoalSchedule: Hashable, Sendable {
  /// What an operation does; the raw values are those of the binary form.
  public enum Kind: UInt8, Sendable {
    case send = 1
    case receive = 2
    /// Computation of so many nanoseconds.
    case calculation = 3
  }

  /// One rank's operations as columns.
  public struct Rank: Hashable, Sendable {
    public var kind: [Kind] = []
    /// Bytes of a message, nanoseconds of a calculation.
    public var size: [UInt64] = []
    /// The other end; ``anyone`` for a receive from whomever. 0 for calculations.
    public var peer: [UInt32] = []
    public var tag: [UInt32] = []
    public var cpu: [UInt8] = []
    public var nic: [UInt8] = []
    /// Operations that must have ended before one starts, as pairs in the file's order.
    public var requires: [Edge] = []
    /// Operations that must have started before one starts.
    public var startRequires: [Edge] = []

    public init() {}

    public var count: Int { kind.count }

    /// Brings dependencies into one order, whatever the file's was.
    mutating func sortEdges() {
      let isBefore = { (a: Edge, b: Edge) in (a.operation, a.target) < (b.operation, b.target) }
      requires.sort(by: isBefore)
      startRequires.sort(by: isBefore)
    }

    @discardableResult
    public mutating func append(
      _ kind: Kind, size: UInt64, peer: UInt32 = 0, tag: UInt32 = 0, cpu: UInt8 = 0, nic: UInt8 = 0
    ) -> UInt32 {
      self.kind.append(kind)
      self.size.append(size)
      self.peer.append(peer)
      self.tag.append(tag)
      self.cpu.append(cpu)
      self.nic.append(nic)
      return UInt32(count - 1)
    }
  }

  /// `operation` waits for `target`, both indices of one rank.
  public struct Edge: Hashable, Sendable {
    public var operation: UInt32
    public var target: UInt32

    public init(_ operation: UInt32, after target: UInt32) {
      self.operation = operation
      self.target = target
    }
  }

  public static let anyone = UInt32.max
  /// Most ranks that a file may speak of.
  static let rankLimit = 1 << 20

  public var ranks: [Rank]
  /// The text form of the program that the schedule was made of, where this project made it.
  public var programText: String?

  public init(ranks: [Rank] = []) { self.ranks = ranks }
}

extension GoalSchedule {
  /// The schedule as events, calculations with their times, messages without.
  func recording(_ format: TraceFormat, file: String) -> Recording {
    var recording = Recording(format)
    recording.worldSize = ranks.count
    var (starts, circles) = (0, 0)
    for (number, rank) in ranks.enumerated() {
      var events = RankRecording(rank: number, file: file)
      let names = ["send", "recv", "calc"].map { events.nameIndex($0) }
      var lists = [[Int32]](repeating: [], count: rank.count)
      for edge in rank.requires { lists[Int(edge.operation)].append(Int32(edge.target)) }
      var byStart = lists
      for edge in rank.startRequires {
        // What may start once another has started waits for what that one waits for.
        byStart[Int(edge.operation)] += lists[Int(edge.target)]
        starts += 1
      }
      var graph = EventGraph()
      for list in byStart {
        for target in list { graph.add(target) }
        graph.endEvent()
      }
      circles += graph.cutCircles()
      (events.dependencyOffsets, events.dependencies) = (graph.offsets, graph.targets)
      for index in 0..<rank.count {
        let isCalculation = rank.kind[index] == .calculation
        events.kind.append(isCalculation ? .compute : .communication)
        events.name.append(names[Int(rank.kind[index].rawValue) - 1])
        events.start.append(RankRecording.unknownTime)
        events.duration.append(isCalculation ? Self.picoseconds(rank.size[index]) : RankRecording.unknownTime)
        events.stream.append(Int32(rank.cpu[index]))
        events.operations.append(0)
        events.communication.append(isCalculation ? -1 : Int32(events.communications.count))
        if !isCalculation { events.communications.append(rank.communication(index)) }
      }
      recording.ranks.append(events)
    }
    if starts > 0 {
      recording.notes.append(
        "\(starts) irequires: the operation waits for all that the other one waits for, as starts have no times"
      )
    }
    if circles > 0 { recording.notes.append("\(circles) dependencies close circles and are not followed") }
    return recording
  }

  private static func picoseconds(_ nanoseconds: UInt64) -> Int64 {
    // Checked by the readers.
    Int64(clamping: nanoseconds.multipliedReportingOverflow(by: 1000).partialValue)
  }

  /// Longest calculation that picoseconds hold: a hundred days.
  static let longestCalculation = UInt64(Int64.max / 1000)
}

extension GoalSchedule.Rank {
  fileprivate func communication(_ index: Int) -> RecordedCommunication {
    let isSend = kind[index] == .send
    var communication = RecordedCommunication(
      isSend ? .send : .receive, recordedName: isSend ? "send" : "recv")
    let bytes = Int64(clamping: size[index])
    if isSend { communication.inputBytes = bytes } else { communication.outputBytes = bytes }
    communication.peer = peer[index] == GoalSchedule.anyone ? nil : Int32(peer[index])
    communication.tag = Int32(bitPattern: tag[index])
    return communication
  }
}
