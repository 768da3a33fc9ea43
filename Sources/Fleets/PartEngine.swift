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
  let perturbations: [CardChange]
  /// Networks of expert groups with a changed card, `[group][exchange class]`, and the last solution.
  var changedFlows: [Int: [ExchangeFlows]] = [:]
  let changedTimes: (dispatch: SharedColumn<Int64>, combine: SharedColumn<Int64>)
  var counters = EngineCounters()

  /// - Parameter ownMembers: `[group]` members in this part, where groups reach beyond it.
  init(_ state: FleetState, ranks: [Int32], ownMembers: [Int32]?, changes: [CardChange]) {
    self.state = state
    tables = state.tables
    self.ranks = ranks
    self.ownMembers = ownMembers
    arrivals = SharedColumn(repeating: 0, count: state.tables.meetingCount)
    arrivalSums = SharedColumn(repeating: 0, count: state.tables.meetingCount)
    scratch = SharingScratch(ranks: state.tables.ranks)
    perturbations = changes
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
    for (index, change) in perturbations.enumerated() { queue.push(change.at.picoseconds, -1 - Int32(index)) }
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
          finish(Int(payload))
        }
      }
      shareLinks()
    }
  }

  /// Takes over parts that have paused, and the meetings between them.
  func absorb(_ parts: [PartEngine]) {
    ownMembers = nil
    for part in parts { changedFlows.merge(part.changedFlows) { _, new in new } }
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
    for (index, change) in perturbations.enumerated()
    where change.at.picoseconds > (parts.map(\.now).min() ?? 0) {
      queue.push(change.at.picoseconds, -1 - Int32(index))
    }
    var isQueued: Set<Int32> = []
    for part in parts {
      for entry in part.ready where isQueued.insert(entry.meeting).inserted {
        let members = tables.memberRange(Int(entry.group))
        guard Int(arrivals[entry.meeting]) == members.count else { continue }
        // It begins when the last of its members came; whoever came last, came when its part paused.
        let last = members.map { state.arrived[Int(tables.members[$0]) * FleetState.lanes + Int(entry.lane)] }
        queue.push(last.max() ?? 0, -1 - Int32(perturbations.count + ready.count))
        ready.append(entry)
      }
    }
  }

  private func happen(_ index: Int32) {
    if Int(index) < perturbations.count {
      change(perturbations[Int(index)])
    } else {
      let entry = ready[Int(index) - perturbations.count]
      let rank = Int(tables.members[tables.memberRange(Int(entry.group)).lowerBound])
      beginCollective(rank: rank, lane: Int(entry.lane), meeting: Int(entry.meeting), group: Int(entry.group))
    }
  }

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
    let activity = state.activities.base + sender
    activity.pointee.mode = .message
    activity.pointee.partner = Int32(receiver)
    activity.pointee.shares = SIMD4(cost.linkShare.0, cost.linkShare.1, cost.linkShare.2, cost.linkShare.3)
    activity.pointee.besideCompute = 1 / cost.slowdownBesideCompute
    open(sender, alone: record.pointee.alone)
    addUser(sender, to: sender / FleetState.lanes)
    addUser(sender, to: receiver / FleetState.lanes)
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
  func blame(_ rank: Int, meeting: Int, size: Int) {
    state.blamed.base[rank] += Int64(size) * now - arrivalSums.base[meeting]
  }

  private func beginCollective(rank: Int, lane: Int, meeting: Int, group: Int) {
    let members = tables.memberRange(group)
    blame(rank, meeting: meeting, size: members.count)
    let owner = Int(tables.members[members.lowerBound]) * FleetState.lanes + lane
    counters.flows += members.count
    let activity = state.activities.base + owner
    activity.pointee.mode = .collective
    activity.pointee.partner = Int32(group)
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
    for place in members { addUser(owner, to: Int(tables.members.base[place])) }
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
