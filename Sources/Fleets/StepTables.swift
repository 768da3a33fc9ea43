import Operators
import Programs
import Timing
import Units

/// How a task runs here.
enum TaskMode: UInt8 {
  case compute
  /// Send or receive: begins when both ends have come.
  case message
  /// Dispatch or combine: begins when all have come, and every rank ends its own part.
  case exchange
  /// Any other collective: all begin and end together.
  case collective
}

/// What the engine reads of a task: one line of cache, shared by the ranks of its role.
struct TaskRecord: BitwiseCopyable {
  /// Picoseconds alone; an exchange's depend on its draw and rank instead.
  var alone: Int64
  /// Task of the peer (message), or ordinal among the communicator's collectives.
  var partner: Int32
  var communicator: Int32
  /// Member of the group (message), or which of the tables' exchange classes (exchange).
  var peer: Int32
  /// Index into the costs.
  var cost: Int32
  /// Draw that an exchange or an expert's computation depends on, counted within its role; -1 for none.
  var draw: Int32
  var dependentsStart: Int32
  var dependentsCount: Int32
  var mode: TaskMode
  var lane: UInt8
  var partnerLane: UInt8
  var isSend: Bool
  /// Of an exchange: whether it is a combine.
  var isCombine: Bool
  /// Place in ``StepReport``'s kinds.
  var kind: UInt8
}

/// Exchanges with rows of one size that run by one of the calibrated kernels.
struct ExchangeClass: Hashable, Sendable {
  /// Index into the program's exchanges.
  var exchange: Int32
  var isCombine: Bool
  var layoutIsKnown: Bool
}

/// What one draw of routing is for.
struct DrawKey: Hashable, Comparable, Sendable {
  var layer: Int32
  var batch: Int32

  static func < (a: Self, b: Self) -> Bool { (a.layer, a.batch) < (b.layer, b.batch) }
}

/// A program's tasks in the engine's form, and who takes part in what.
///
/// Tasks stand once for each role; all that grows with ranks is two bytes a task and a few words a lane. A
/// program whose ranks are alike has as many roles as codes, and its meetings are found by member index.
final class StepTables: Sendable {
  let ranks: Int
  let roles: Int
  let roleOfRank: SharedColumn<Int32>
  /// First record of each role.
  let firstTask: SharedColumn<Int32>
  let tasks: SharedColumn<TaskRecord>
  /// Tasks of lane l of role r, in order: `laneTasks[laneOffsets[r * lanes + l]..<laneOffsets[r * lanes + l + 1]]`.
  let laneOffsets: SharedColumn<Int32>
  let laneTasks: SharedColumn<Int32>
  let dependents: SharedColumn<Int32>
  /// Dependencies that each record waits for.
  let degrees: SharedColumn<UInt16>
  /// First entry of each rank in the engine's column of waiting tasks.
  let firstWaiting: SharedColumn<Int>
  /// `[communicator * ranks + rank]`: group, or -1.
  let groupOf: SharedColumn<Int32>
  let memberOf: SharedColumn<Int32>
  /// First group of each communicator among all groups.
  let firstGroup: SharedColumn<Int32>
  /// Members of group g: `members[memberOffsets[g]..<memberOffsets[g + 1]]`.
  let memberOffsets: SharedColumn<Int32>
  let members: SharedColumn<Int32>
  /// First meeting of each group among all meetings.
  let firstMeeting: SharedColumn<Int32>
  let meetingCount: Int
  let costs: [Cost]
  let communicatorNames: [String]
  /// What exchanges of the same size and algorithm have in common.
  let exchangeClasses: [ExchangeClass]
  /// Draws of each role, ascending; `TaskRecord.draw` points into them.
  let drawsOfRole: [[DrawKey]]
  /// The communicator whose groups exchange tokens; -1 without one.
  let expertCommunicator: Int
  let taskCount: Int

  static let lanes = Lane.count

  /// - Complexity: O(tasks of the roles + ranks × communicators).
  init(_ verified: VerifiedProgram, costs programCosts: ProgramCosts) {
    let program = verified.program
    ranks = program.ranks
    roles = verified.roles.count
    roleOfRank = SharedColumn(verified.roles.roleOfRank)
    var builder = StepTablesBuilder(verified, programCosts)
    for role in 0..<roles { builder.add(role: role) }
    firstTask = SharedColumn(builder.firstTask)
    tasks = SharedColumn(builder.tasks)
    laneOffsets = SharedColumn(builder.laneOffsets)
    laneTasks = SharedColumn(builder.laneTasks)
    dependents = SharedColumn(builder.dependents)
    degrees = SharedColumn(builder.degrees)
    costs = programCosts.costs
    communicatorNames = program.communicators.map(\.name)
    drawsOfRole = builder.draws
    exchangeClasses = builder.classes
    expertCommunicator = builder.expertCommunicator
    var first: [Int] = []
    var total = 0
    for rank in 0..<ranks {
      first.append(total)
      total += program.codes[Int(program.codeOfRank[rank])].count
    }
    firstWaiting = SharedColumn(first)
    taskCount = total
    groupOf = SharedColumn(program.communicators.flatMap(\.groupOfRank))
    memberOf = SharedColumn(program.communicators.flatMap(\.indexOfRank))
    var firstGroup: [Int32] = []
    var memberOffsets: [Int32] = [0]
    var members: [Int32] = []
    var firstMeeting: [Int32] = []
    var meetings: Int32 = 0
    for (index, communicator) in program.communicators.enumerated() {
      firstGroup.append(Int32(memberOffsets.count - 1))
      for group in 0..<communicator.groupCount {
        let list = communicator.group(group)
        members.append(contentsOf: list)
        memberOffsets.append(Int32(members.count))
        firstMeeting.append(meetings)
        if let rank = list.first {
          meetings += builder.collectives[Int(verified.roles.roleOfRank[Int(rank)])][index]
        }
      }
    }
    self.firstGroup = SharedColumn(firstGroup)
    self.memberOffsets = SharedColumn(memberOffsets)
    self.members = SharedColumn(members)
    self.firstMeeting = SharedColumn(firstMeeting)
    meetingCount = Int(meetings)
  }

  deinit {
    roleOfRank.release()
    firstTask.release()
    tasks.release()
    laneOffsets.release()
    laneTasks.release()
    dependents.release()
    degrees.release()
    firstWaiting.release()
    groupOf.release()
    memberOf.release()
    firstGroup.release()
    memberOffsets.release()
    members.release()
    firstMeeting.release()
  }

  /// A group's place among all groups.
  @inline(__always)
  func group(of rank: Int, in communicator: Int32) -> Int {
    Int(firstGroup[communicator]) + Int(groupOf[Int(communicator) * ranks + rank])
  }

  @inline(__always)
  func memberRange(_ group: Int) -> Range<Int> {
    Int(memberOffsets[group])..<Int(memberOffsets[group + 1])
  }
}

/// Collects the columns role by role.
private struct StepTablesBuilder {
  let verified: VerifiedProgram
  let costs: ProgramCosts
  var firstTask: [Int32] = []
  var tasks: [TaskRecord] = []
  var laneOffsets: [Int32] = [0]
  var laneTasks: [Int32] = []
  var dependents: [Int32] = []
  var degrees: [UInt16] = []
  var draws: [[DrawKey]] = []
  /// `[role][communicator]`: collectives.
  var collectives: [[Int32]] = []
  var expertCommunicator = -1
  var classes: [ExchangeClass] = []

  init(_ verified: VerifiedProgram, _ costs: ProgramCosts) {
    self.verified = verified
    self.costs = costs
  }

  mutating func add(role: Int) {
    let program = verified.program
    let code = verified.code(ofRole: role)
    let adjacency = verified.dependents[Int(verified.roles.codeOfRole[role])]
    firstTask.append(Int32(tasks.count))
    var ordinals = Array(repeating: Int32(0), count: program.communicators.count)
    let keys = drawKeys(of: code)
    let sorted = Set(keys.compactMap { $0 }).sorted()
    let place = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1, Int32($0)) })
    draws.append(sorted)
    var lanes = [[Int32]](repeating: [], count: Lane.count)
    for task in 0..<code.count {
      let costIndex = costs.costOfTask[Int(costs.rowOfRole[role])][task]
      var record = TaskRecord(
        alone: costs.costs[Int(costIndex)].alone.picoseconds, partner: -1,
        communicator: code.communicator[task], peer: code.peer[task], cost: costIndex, draw: -1,
        dependentsStart: Int32(dependents.count), dependentsCount: Int32(adjacency[task].count),
        mode: .compute, lane: code.lane[task].rawValue, partnerLane: 0, isSend: false,
        isCombine: code.kind[task] == .combine,
        kind: UInt8(FleetKind(code, task: task, communicators: program.communicators).rawValue))
      if let key = keys[task] { record.draw = place[key] ?? -1 }
      dependents.append(contentsOf: adjacency[task])
      degrees.append(UInt16(code.dependencyOffsets[task + 1] - code.dependencyOffsets[task]))
      switch code.kind[task] {
      case .compute: break
      case .send, .receive:
        record.mode = .message
        record.isSend = code.kind[task] == .send
        setPartner(of: &record, role: role, task: task)
      default:
        record.mode = .collective
        if code.kind[task] == .dispatch || code.kind[task] == .combine {
          record.mode = .exchange
          expertCommunicator = Int(record.communicator)
          let own = ExchangeClass(
            exchange: code.work[task], isCombine: record.isCombine,
            layoutIsKnown: code.tag[task] == Exchange.knownLayoutTag)
          if !classes.contains(own) { classes.append(own) }
          record.peer = Int32(classes.firstIndex(of: own) ?? 0)
        }
        record.partner = ordinals[Int(record.communicator)]
        ordinals[Int(record.communicator)] += 1
      }
      lanes[code.lane[task].index].append(Int32(task))
      tasks.append(record)
    }
    for lane in lanes {
      laneTasks.append(contentsOf: lane)
      laneOffsets.append(Int32(laneTasks.count))
    }
    collectives.append(ordinals)
  }

  private func setPartner(of record: inout TaskRecord, role: Int, task: Int) {
    let meeting = Int(verified.meetings.meetingOfTask[role][task])
    for index in verified.meetings.participants(of: meeting) {
      let other = Int(verified.meetings.role[index])
      let otherTask = verified.meetings.task[index]
      if other == role && otherTask == Int32(task) { continue }
      record.partner = otherTask
      record.partnerLane = verified.code(ofRole: other).lane[Int(otherTask)].rawValue
      // The ends of a message may lie on unlike nodes; the slower one's pace counts.
      let cost = costs.costOfTask[Int(costs.rowOfRole[other])][Int(otherTask)]
      if costs.costs[Int(cost)].alone.picoseconds > record.alone {
        record.alone = costs.costs[Int(cost)].alone.picoseconds
        record.cost = cost
      }
    }
  }

  /// The draw that each task depends on: exchanges, and the computation of experts.
  private func drawKeys(of code: Code) -> [DrawKey?] {
    (0..<code.count).map { task in
      guard code.layer[task] >= 0, let chunk = code.chunk(ofTask: task) else { return nil }
      switch code.kind[task] {
      case .dispatch, .combine: break
      case .compute where verified.program.works[Int(code.work[task])].section == .experts: break
      default: return nil
      }
      return DrawKey(layer: code.layer[task], batch: chunk.batch)
    }
  }
}
