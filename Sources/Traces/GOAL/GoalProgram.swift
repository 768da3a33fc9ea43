import Documents
import Programs
import Timelines

/// A program as messages and calculations: collectives are taken apart into the messages of a ring, or of each pair.
///
/// Each task ends with one operation that later tasks wait for; a lane is a `cpu`. All-reduce, reduce-scatter and
/// all-gather go round a ring, a broadcast down a chain; all-to-all, dispatch and combine send to each member straight,
/// a barrier in rounds of doubled distance.
struct GoalProgram {
  private(set) var schedule: GoalSchedule
  /// Of each rank, what its collectives are.
  private(set) var comments: [[GoalComment]] = []

  init(_ program: VerifiedProgram, timeline: Timeline? = nil) {
    schedule = GoalSchedule()
    schedule.programText = program.program.text
    let expansion = GoalExpansion(program, timeline: timeline)
    for rank in 0..<program.program.ranks {
      guard let (operations, lines) = expansion.operations(ofRank: rank) else { continue }
      schedule.ranks.append(operations)
      comments.append(lines)
    }
  }
}

/// Takes the tasks of a program's ranks apart.
struct GoalExpansion {
  private let tasks: ChakraTasks
  private let timeline: Timeline?
  private let tags: GoalTags

  init(_ program: VerifiedProgram, timeline: Timeline? = nil) {
    tasks = ChakraTasks(program)
    self.timeline = timeline
    tags = GoalTags(program.program)
  }

  /// A rank's operations, and comments on them; nil where there are more than a limit.
  func operations(ofRank rank: Int, limit: Int = .max) -> (GoalSchedule.Rank, [GoalComment])? {
    let program = tasks.program
    let codeIndex = Int(program.codeOfRank[rank])
    let code = program.codes[codeIndex]
    var rankTasks = GoalTaskOperations()
    var lists: [GoalComment] = []
    var ordinals = [UInt32](repeating: 0, count: program.communicators.count)
    for task in 0..<code.count {
      let first = rankTasks.rank.count
      rankTasks.cpu = UInt8(code.lane[task].index)
      switch code.kind[task] {
      case .compute: rankTasks.begin(.calculation, size: nanoseconds(rank: rank, task: task))
      case .send, .receive:
        let communicator = Int(code.communicator[task])
        let members = program.communicators[communicator].group(ofRank: rank)
        let peer = UInt32(members[members.startIndex + Int(code.peer[task])])
        rankTasks.begin(
          code.kind[task] == .send ? .send : .receive, size: UInt64(code.bytes[task]), peer: peer,
          tag: tags.message(communicator: communicator, code.tag[task]))
      default:
        let communicator = Int(code.communicator[task])
        rankTasks.tag = tags.collective(communicator: communicator, ordinal: ordinals[communicator])
        ordinals[communicator] += 1
        let name = program.communicators[communicator].name
        let members = program.communicators[communicator].group(ofRank: rank).count
        let way = addCollective(rank: rank, task: task, &rankTasks)
        lists.append(
          GoalComment(
            operation: first, text: "\(code.kind[task].name) in \(name), \(members) members: \(way)"))
      }
      rankTasks.endTask()
      if rankTasks.rank.count > limit { return nil }
    }
    for task in 0..<code.count {
      for target in tasks.waits(code: codeIndex, task: task) { rankTasks.connect(task, after: Int(target)) }
    }
    rankTasks.rank.sortEdges()
    return (rankTasks.rank, lists)
  }

  private func nanoseconds(rank: Int, task: Int) -> UInt64 {
    guard let timeline else { return 0 }
    let role = Int(timeline.program.roles.roleOfRank[rank])
    let duration = max(0, timeline.ended[role][task] - timeline.started[role][task])
    return UInt64(duration / 1000 + (duration % 1000 >= 500 ? 1 : 0))
  }

  /// Adds a collective's operations, and says in words how it was taken apart.
  private func addCollective(rank: Int, task: Int, _ operations: inout GoalTaskOperations) -> String {
    let program = tasks.program
    let code = program.codes[Int(program.codeOfRank[rank])]
    let communicator = program.communicators[Int(code.communicator[task])]
    operations.members = communicator.group(ofRank: rank).map { UInt32($0) }
    operations.member = Int(communicator.indexOfRank[rank])
    let count = operations.members.count
    let element = Int(max(1, code.elementBytes[task]))
    let elements = Int(code.bytes[task]) / element
    let shards = (0..<count).map {
      UInt64(shard(ofMember: $0, members: count, elements: elements).count * element)
    }
    switch code.kind[task] {
    case .allReduce:
      operations.reduceScatter(shards)
      operations.allGather(shards)
      return "ring"
    case .reduceScatter:
      operations.reduceScatter(shards)
      return "ring"
    case .allGather:
      operations.allGather(shards)
      return "ring"
    case .broadcast:
      operations.chain(UInt64(code.bytes[task]))
      return "chain"
    case .allToAll:
      operations.exchange(out: shards, back: Array(repeating: shards[operations.member], count: count))
      return "pairwise"
    case .dispatch, .combine:
      let splits = tasks.exchangeSplits(rank: rank, task: task)
      operations.exchange(
        out: splits.input.map { UInt64(max(0, $0)) }, back: splits.output.map { UInt64(max(0, $0)) })
      return "pairwise"
    default:
      operations.barrier()
      return "dissemination"
    }
  }
}

/// Numbers that tell messages between two ranks apart: those of the program's messages first, then one for each
/// collective of a communicator.
private struct GoalTags {
  private var firstOfMessages: [UInt64] = []
  private var lowest: Int64 = 0
  private var collectives: UInt64 = 0
  private let communicators: UInt64

  init(_ program: Program) {
    var (least, most) = (Int64(0), Int64(0))
    var uses = [Bool](repeating: false, count: program.communicators.count)
    for code in program.codes {
      for task in 0..<code.count where code.kind[task] == .send || code.kind[task] == .receive {
        least = min(least, Int64(code.tag[task]))
        most = max(most, Int64(code.tag[task]))
        uses[Int(code.communicator[task])] = true
      }
    }
    let span = UInt64(most - least + 1)
    lowest = least
    for isUsed in uses {
      firstOfMessages.append(collectives)
      if isUsed { collectives += span }
    }
    communicators = UInt64(max(1, program.communicators.count))
  }

  /// Where the numbers do not suffice, they begin again: order then tells messages apart.
  func message(communicator: Int, _ tag: Int32) -> UInt32 {
    UInt32(
      truncatingIfNeeded: (firstOfMessages[communicator] + UInt64(Int64(tag) - lowest)) % UInt64(UInt32.max))
  }

  func collective(communicator: Int, ordinal: UInt32) -> UInt32 {
    let number = collectives + UInt64(ordinal) * communicators + UInt64(communicator)
    return UInt32(truncatingIfNeeded: number % UInt64(UInt32.max))
  }
}
