import Networks
import Programs

/// Runs the ranks of one part of the cluster: those that nothing but late collectives connects with others.
///
/// A task starts when it heads its lane and its dependencies are done. Computation takes its time; what communicates
/// shares the links of its ranks (`PartSharing.swift`). Events are ordered by time, then by scheduling.
final class PartEngine {
  let state: FleetState
  let tables: StepTables
  let ranks: [Int32]
  var now: Int64 = 0
  var queue = EventHeap(capacity: 4096)
  var touched: [Int32] = []
  /// `[meeting]`: members that have come, and the sum of when they did.
  let arrivals: SharedColumn<Int32>
  let arrivalSums: SharedColumn<Int64>
  /// Members of each group that belong to this part; nil where all do.
  private var ownMembers: [Int32]?
  /// Set when all own members of a meeting with other parts have come: it may begin any time now.
  private var mustPause = false
  private(set) var ready: [(meeting: Int32, group: Int32, lane: UInt8)] = []
  var scratch: SharingScratch
  /// Activities that need a new speed, and links whose demand changed.
  var isPending: [Int32] = []
  var dirtyPlaces: [Int32] = []
  /// Loads of parts in groups that do not go plainly from card to card, by slot.
  var rowLoads: [Int32: [RowLoad]] = [:]
  /// The same of the exchange that was counted last, by member.
  var memberRows: [[RowLoad]]
  /// Of the fabric's routes; each part of the cluster comes to it in its own time.
  var epoch = 0
  /// Epochs that this part has yet to begin; for which parts, where several have become one.
  private var changes: [(epoch: Int, part: Int)] = []
  private let parts: FleetParts
  private let part: Int?
  /// Networks of expert groups with a changed card, `[group][exchange class]`, and the last solution.
  var changedFlows: [Int: [ExchangeFlows]] = [:]
  let changedTimes: (dispatch: SharedColumn<Int64>, combine: SharedColumn<Int64>)
  var counters = EngineCounters()
  /// Waiting of the ranks of a node for the rank that came last: `rank << 32 | node`, picoseconds.
  var waits: [UInt64: Int64] = [:]
  private let gpusPerNode: Int
  /// Where parts have become one: the epoch of each.
  private var epochOfPart: [Int]

  /// - Parameters:
  ///   - part: Which of the parts; nil for all of them together.
  ///   - ranks: Of this part.
  init(_ state: FleetState, _ parts: FleetParts, part: Int?, ranks: [Int32]) {
    self.parts = parts
    self.part = part
    gpusPerNode = state.gpusPerNode
    epochOfPart = Array(repeating: 0, count: parts.count)
    memberRows = Array(repeating: [], count: state.exchanges.members)
    self.state = state
    tables = state.tables
    self.ranks = ranks
    if let part, parts.count > 1 { ownMembers = parts.ownMembers[part] }
    arrivals = SharedColumn(repeating: 0, count: state.tables.meetingCount)
    arrivalSums = SharedColumn(repeating: 0, count: state.tables.meetingCount)
    scratch = SharingScratch(
      places: state.routes.links.places, slots: state.tables.ranks * FleetState.lanes)
    changedTimes = (
      SharedColumn(repeating: 0, count: state.exchanges.members),
      SharedColumn(repeating: 0, count: state.exchanges.members)
    )
  }

  deinit {
    arrivals.release()
    arrivalSums.release()
    scratch.release()
    changedTimes.dispatch.release()
    changedTimes.combine.release()
  }

  // MARK: The clock

  func begin() {
    for epoch in state.routes.epochs.indices.dropFirst() { schedule(epoch, of: part ?? 0) }
    for rank in ranks {
      for lane in 0..<FleetState.lanes { startHead(rank: Int(rank), lane: lane) }
    }
    shareLinks()
  }

  /// Runs until nothing is left to happen, or until a meeting with another part may begin.
  func run() {
    let activities = state.activities
    while queue.count > 0 {
      if mustPause { return }
      let time = queue.first
      now = time
      while queue.first == time {
        let payload = queue.pop()
        if payload < 0 {
          happen(-1 - payload)
        } else if activities.base[Int(payload)].end == time {
          // An activity whose speed changed has another end by now; its earlier event is void.
          counters.events += 1
          if counters.events & 0x1_ffff == 0 { state.tell(0x2_0000) }
          finish(Int(payload))
        }
      }
      shareLinks()
    }
  }

  private func schedule(_ epoch: Int, of part: Int) {
    queue.push(state.routes.epochs[epoch].at, -1 - 2 * Int32(changes.count))
    changes.append((epoch, part))
  }

  /// Takes over parts that have paused, and the meetings between them.
  func absorb(_ parts: [PartEngine]) {
    ownMembers = nil
    epochOfPart = parts.map(\.epoch)
    for part in parts {
      changedFlows.merge(part.changedFlows) { _, new in new }
      rowLoads.merge(part.rowLoads) { _, new in new }
      waits.merge(part.waits) { $0 + $1 }
    }
    for meeting in 0..<tables.meetingCount {
      arrivals[meeting] = parts.reduce(0) { $0 + $1.arrivals[meeting] }
      arrivalSums[meeting] = parts.reduce(0) { $0 + $1.arrivalSums[meeting] }
    }
    for part in parts {
      counters += part.counters
      for rank in part.ranks {
        for lane in 0..<FleetState.lanes {
          let slot = Int(rank) * FleetState.lanes + lane
          let activity = state.activities[slot]
          if activity.mode != .none, activity.end != .max { queue.push(activity.end, Int32(slot)) }
        }
      }
    }
    for (index, part) in parts.enumerated() {
      for epoch in part.epoch + 1..<max(part.epoch + 1, state.routes.epochs.count) {
        schedule(epoch, of: index)
      }
    }
    var isQueued: Set<Int32> = []
    for part in parts {
      for entry in part.ready where isQueued.insert(entry.meeting).inserted {
        let members = tables.memberRange(Int(entry.group))
        guard Int(arrivals[entry.meeting]) == members.count else { continue }
        // It begins when the last of its members came; whoever came last, came when its part paused.
        let last = members.map { state.arrived[Int(tables.members[$0]) * FleetState.lanes + Int(entry.lane)] }
        queue.push(last.max() ?? 0, -2 - 2 * Int32(ready.count))
        ready.append(entry)
      }
    }
  }

  /// Even numbers are changes of the fabric, odd ones meetings between parts.
  private func happen(_ index: Int32) {
    if index % 2 == 0 {
      let change = changes[Int(index / 2)]
      beginEpoch(change.epoch, ranks: parts.ranks[change.part], part: change.part)
    } else {
      let entry = ready[Int(index / 2)]
      // Whoever came last is the one that the others waited for.
      var rank = Int(tables.members[tables.memberRange(Int(entry.group)).lowerBound])
      for place in tables.memberRange(Int(entry.group)) {
        let member = Int(tables.members[place])
        let lanes = FleetState.lanes
        if state.arrived[member * lanes + Int(entry.lane)] > state.arrived[rank * lanes + Int(entry.lane)] {
          rank = member
        }
      }
      beginCollective(rank: rank, lane: Int(entry.lane), meeting: Int(entry.meeting), group: Int(entry.group))
    }
  }

  /// The epoch that a rank's part is in.
  @inline(__always)
  func epoch(of rank: Int) -> Int { part != nil ? epoch : epochOfPart[Int(parts.partOfRank[rank])] }

  /// Marks that a part has come to an epoch.
  func enter(_ epoch: Int, part: Int) {
    self.epoch = max(self.epoch, epoch)
    if self.part == nil { epochOfPart[part] = epoch }
  }

  func isOwn(_ place: Int, part: Int) -> Bool { parts.partOfOwner[owner(of: place)] == Int32(part) }

  // MARK: Starting

  @inline(__always)
  func record(rank: Int, lane: Int) -> UnsafeMutablePointer<TaskRecord> {
    let role = Int(tables.roleOfRank.base[rank])
    let head = state.heads.base[rank * FleetState.lanes + lane]
    let place = Int(tables.laneOffsets.base[role * FleetState.lanes + lane] + head)
    return tables.tasks.base + Int(tables.firstTask.base[role] + tables.laneTasks.base[place])
  }

  func startHead(rank: Int, lane: Int) {
    let slot = rank * FleetState.lanes + lane
    if state.arrived.base[slot] >= 0 { return }
    let role = Int(tables.roleOfRank.base[rank])
    let place = tables.laneOffsets.base[role * FleetState.lanes + lane] + state.heads.base[slot]
    if place >= tables.laneOffsets.base[role * FleetState.lanes + lane + 1] { return }
    let task = Int(tables.laneTasks.base[Int(place)])
    if state.waiting.base[tables.firstWaiting.base[rank] + task] != 0 { return }
    state.arrived.base[slot] = now
    let record = tables.tasks.base + Int(tables.firstTask.base[role]) + task
    switch record.pointee.mode {
    case .compute: beginCompute(record, rank: rank, slot: slot, task: task)
    case .message: arrive(record, rank: rank, slot: slot)
    case .exchange, .collective: join(record, rank: rank, lane: lane)
    }
  }

  private func beginCompute(_ record: UnsafeMutablePointer<TaskRecord>, rank: Int, slot: Int, task: Int) {
    var duration = Double(record.pointee.alone)
    if record.pointee.draw >= 0, state.exchanges.count > 0 {
      let place = exchange(record.pointee.draw, rank: rank) * state.exchanges.members + member(of: rank)
      duration *= Double(state.exchanges.share.base[place]) / Double(ExchangeTable.one)
    }
    duration *= state.slowness.base[rank]
    if state.jitter > 0 { duration *= max(0, 1 + state.jitter * noise(rank: rank, task: task)) }
    let activity = state.activities.base + slot
    activity.pointee.mode = .compute
    activity.pointee.began = now
    activity.pointee.end = now + Int64(duration.rounded(.toNearestOrEven))
    queue.push(activity.pointee.end, Int32(slot))
    state.isComputing.base[rank] = true
    touch(rank)
  }

  /// About normal, of variance 1: the sum of four uniform numbers, each from 16 bits of a hash.
  private func noise(rank: Int, task: Int) -> Double {
    var z = state.seed &+ (UInt64(rank) << 32 | UInt64(task)) &* 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    z ^= z >> 31
    let sum = (z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48)
    return (Double(sum) / 65536 - 2) * 1.7320508075688772
  }

  @inline(__always)
  func exchange(_ draw: Int32, rank: Int) -> Int {
    state.exchanges.firstOfGroup[Int(tables.groupOf.base[tables.expertCommunicator * tables.ranks + rank])]
      + Int(draw)
  }

  @inline(__always)
  func member(of rank: Int) -> Int {
    Int(tables.memberOf.base[tables.expertCommunicator * tables.ranks + rank])
  }

  private func arrive(_ record: UnsafeMutablePointer<TaskRecord>, rank: Int, slot: Int) {
    let group = tables.group(of: rank, in: record.pointee.communicator)
    let peer = Int(tables.members.base[Int(tables.memberOffsets.base[group] + record.pointee.peer)])
    let peerLane = Int(record.pointee.partnerLane)
    let peerSlot = peer * FleetState.lanes + peerLane
    if state.arrived.base[peerSlot] < 0 { return }
    let role = Int(tables.roleOfRank.base[peer])
    let place = tables.laneOffsets.base[role * FleetState.lanes + peerLane] + state.heads.base[peerSlot]
    if tables.laneTasks.base[Int(place)] != record.pointee.partner { return }
    let (sender, receiver) = record.pointee.isSend ? (slot, peerSlot) : (peerSlot, slot)
    let cost = tables.costs[Int(record.pointee.cost)]
    counters.flows += 1
    let (from, to) = (sender / FleetState.lanes, receiver / FleetState.lanes)
    let activity = state.activities.base + sender
    activity.pointee.mode = .message
    activity.pointee.route =
      cost.linkShare.2 > 0
      ? state.routes.pair(from, to).map { state.routes.epochs[epoch(of: from)].messages[$0] } ?? -1 : -1
    activity.pointee.partner = Int32(receiver)
    activity.pointee.shares = SIMD4(cost.linkShare.0, cost.linkShare.1, cost.linkShare.2, cost.linkShare.3)
    activity.pointee.besideCompute = 1 / cost.slowdownBesideCompute
    let route = activity.pointee.route
    open(sender, alone: record.pointee.alone + (route < 0 ? 0 : state.routes.latencies[Int(route)]))
    attach(sender)
    noteWaiting(slot: sender, kind: record.pointee.kind)
    noteWaiting(slot: receiver, kind: record.pointee.kind)
  }

  private func join(_ record: UnsafeMutablePointer<TaskRecord>, rank: Int, lane: Int) {
    let group = tables.group(of: rank, in: record.pointee.communicator)
    let meeting = Int(tables.firstMeeting.base[group] + record.pointee.partner)
    arrivals.base[meeting] += 1
    arrivalSums.base[meeting] += now
    let size = tables.memberRange(group).count
    if Int(arrivals.base[meeting]) == size {
      if record.pointee.mode == .exchange {
        beginExchange(rank: rank, lane: lane, meeting: meeting, group: group)
      } else {
        beginCollective(rank: rank, lane: lane, meeting: meeting, group: group)
      }
    } else if let ownMembers, arrivals.base[meeting] == ownMembers[group] {
      mustPause = true
      ready.append((Int32(meeting), Int32(group), UInt8(lane)))
    }
  }

  /// Charges the waiting of a meeting's members to whoever came last.
  func blame(_ rank: Int, meeting: Int, group: Int, lane: Int) {
    let members = tables.memberRange(group)
    let sum = Int64(members.count) * now - arrivalSums.base[meeting]
    if sum == 0 { return }
    state.blamed.base[rank] += sum
    for place in members {
      let member = Int(tables.members.base[place])
      let wait = now - state.arrived.base[member * FleetState.lanes + lane]
      if wait > 0 { waits[UInt64(rank) << 32 | UInt64(member / gpusPerNode), default: 0] += wait }
    }
  }

  private func beginCollective(rank: Int, lane: Int, meeting: Int, group: Int) {
    let members = tables.memberRange(group)
    blame(rank, meeting: meeting, group: group, lane: lane)
    let owner = Int(tables.members[members.lowerBound]) * FleetState.lanes + lane
    counters.flows += members.count
    let activity = state.activities.base + owner
    activity.pointee.mode = .collective
    activity.pointee.partner = Int32(group)
    activity.pointee.route = state.routes.epochs[epoch(of: rank)].rings[group]
    activity.pointee.besideCompute = 1
    var alone: Int64 = 0
    for place in members {
      let member = Int(tables.members.base[place])
      let own = record(rank: member, lane: lane)
      if own.pointee.alone >= alone {
        alone = own.pointee.alone
        let cost = tables.costs[Int(own.pointee.cost)]
        activity.pointee.shares = SIMD4(
          cost.linkShare.0, cost.linkShare.1, cost.linkShare.2, cost.linkShare.3)
      }
      noteWaiting(slot: member * FleetState.lanes + lane, kind: own.pointee.kind)
    }
    open(owner, alone: alone)
    attach(owner)
  }

  func open(_ slot: Int, alone: Int64) {
    let activity = state.activities.base + slot
    activity.pointee.remaining = Double(alone)
    activity.pointee.rate = 0
    activity.pointee.updated = now
    activity.pointee.began = now
    activity.pointee.end = .max
  }

  @inline(__always)
  func noteWaiting(slot: Int, kind: UInt8) {
    let rank = slot / FleetState.lanes
    state.waited.base[rank * FleetKind.allCases.count + Int(kind)] += now - state.arrived.base[slot]
  }
}
