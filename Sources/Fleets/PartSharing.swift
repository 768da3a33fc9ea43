/// Room for finding the speeds of what shares links.
struct SharingScratch {
  /// Round in which a rank, or an activity, was last looked at, and its place in that round.
  let rankRound: SharedColumn<Int32>
  let rankPlace: SharedColumn<Int32>
  let slotRound: SharedColumn<Int32>
  var round: Int32 = 0
  var ranks: [Int32] = []
  var users: [Int32] = []
  var caps: [Double] = []
  var speeds: [Double] = []
  var isFixed: [Bool] = []
  /// Loads of user u: `loads[firstLoad[u]..<firstLoad[u + 1]]`.
  var firstLoad: [Int32] = []
  var loads: [(link: Int32, share: Double)] = []
  var demand: [Double] = []
  var room: [Double] = []
  var slope: [Double] = []

  init(ranks: Int) {
    rankRound = SharedColumn(repeating: 0, count: ranks)
    rankPlace = SharedColumn(repeating: 0, count: ranks)
    slotRound = SharedColumn(repeating: 0, count: ranks * FleetState.lanes)
  }

  func release() {
    rankRound.release()
    rankPlace.release()
    slotRound.release()
  }
}

/// How much the engine did.
public struct EngineCounters: Hashable, Sendable {
  /// Tasks and parts of tasks that ended.
  public var events = 0
  public var exchanges = 0
  /// Flows over the network: of exchanges from card to card, of messages, of rings from member to member.
  public var flows = 0
  /// Times that speeds were found for ranks that share something.
  public var sharings = 0

  public init() {}

  static func += (a: inout Self, b: Self) {
    a.events += b.events
    a.exchanges += b.exchanges
    a.flows += b.flows
    a.sharings += b.sharings
  }
}

/// Speeds of communication: max-min fair over speeds, among whatever shares a card or an NVLink, directly or through
/// others. A task's speed is 1 alone, less beside compute by what its kernel loses there.
extension PartEngine {
  @inline(__always)
  func touch(_ rank: Int) {
    if state.isTouched.base[rank] { return }
    state.isTouched.base[rank] = true
    touched.append(Int32(rank))
  }

  func addUser(_ slot: Int, to rank: Int) {
    let count = Int(state.userCounts.base[rank])
    state.users.base[rank * FleetState.userLimit + count] = Int32(slot)
    state.userCounts.base[rank] += 1
    state.usersChanged.base[rank] = true
    touch(rank)
  }

  func removeUser(_ slot: Int, from rank: Int) {
    let own = state.users.base + rank * FleetState.userLimit
    let count = Int(state.userCounts.base[rank])
    var place = 0
    while own[place] != Int32(slot) { place += 1 }
    while place + 1 < count {
      own[place] = own[place + 1]
      place += 1
    }
    state.userCounts.base[rank] -= 1
    state.usersChanged.base[rank] = true
    touch(rank)
  }

  /// Finds new speeds for everything that what happened at this moment concerns.
  ///
  /// A rank matters when communication came or went, or its compute lane fell silent or woke beside some; compute that
  /// follows compute without a gap changes nothing.
  func shareLinks() {
    scratch.round += 1
    var next = 0
    while next < touched.count {
      let rank = Int(touched[next])
      next += 1
      state.isTouched.base[rank] = false
      let isComputing = state.isComputing.base[rank]
      let matters =
        state.userCounts.base[rank] > 0
        && (state.usersChanged.base[rank] || isComputing != state.wasComputing.base[rank])
      state.wasComputing.base[rank] = isComputing
      state.usersChanged.base[rank] = false
      if !matters { continue }
      let first = Int(state.users.base[rank * FleetState.userLimit])
      if state.userCounts.base[rank] == 1, state.activities.base[first].mode == .part,
        state.capacity.base[4 * rank + 2] == 1
      {
        // Alone on its links, which it was timed for.
        setRate(first, to: isComputing ? state.activities.base[first].besideCompute : 1)
      } else if scratch.rankRound.base[rank] != scratch.round {
        solve(from: rank)
      }
    }
    touched.removeAll(keepingCapacity: true)
  }

  private func setRate(_ slot: Int, to rate: Double) {
    let activity = state.activities.base + slot
    if activity.pointee.rate == rate { return }
    activity.pointee.remaining = max(
      0, activity.pointee.remaining - activity.pointee.rate * Double(now - activity.pointee.updated))
    activity.pointee.updated = now
    activity.pointee.rate = rate
    activity.pointee.end = now + Int64((activity.pointee.remaining / rate).rounded(.toNearestOrEven))
    queue.push(activity.pointee.end, Int32(slot))
  }

  private func include(_ rank: Int) {
    if scratch.rankRound.base[rank] == scratch.round { return }
    scratch.rankRound.base[rank] = scratch.round
    scratch.rankPlace.base[rank] = Int32(scratch.ranks.count)
    scratch.ranks.append(Int32(rank))
  }

  private func solve(from start: Int) {
    counters.sharings += 1
    scratch.ranks.removeAll(keepingCapacity: true)
    scratch.users.removeAll(keepingCapacity: true)
    include(start)
    var next = 0
    while next < scratch.ranks.count {
      let rank = Int(scratch.ranks[next])
      next += 1
      for place in 0..<Int(state.userCounts.base[rank]) {
        let slot = state.users.base[rank * FleetState.userLimit + place]
        if scratch.slotRound.base[Int(slot)] == scratch.round { continue }
        scratch.slotRound.base[Int(slot)] = scratch.round
        scratch.users.append(slot)
        let activity = state.activities.base + Int(slot)
        switch activity.pointee.mode {
        case .message:
          include(Int(slot) / FleetState.lanes)
          include(Int(activity.pointee.partner) / FleetState.lanes)
        case .collective:
          for place in tables.memberRange(Int(activity.pointee.partner)) {
            include(Int(tables.members.base[place]))
          }
        default: break
        }
      }
    }
    gatherLoads()
    if isShort() { fill() }
    for (place, slot) in scratch.users.enumerated() { setRate(Int(slot), to: scratch.speeds[place]) }
  }

  private func gatherLoads() {
    scratch.caps.removeAll(keepingCapacity: true)
    scratch.loads.removeAll(keepingCapacity: true)
    scratch.firstLoad.removeAll(keepingCapacity: true)
    scratch.firstLoad.append(0)
    for slot in scratch.users {
      let activity = state.activities.base + Int(slot)
      let shares = activity.pointee.shares
      let rank = Int(slot) / FleetState.lanes
      var isBeside = state.isComputing.base[rank]
      switch activity.pointee.mode {
      case .message:
        let receiver = Int(activity.pointee.partner) / FleetState.lanes
        isBeside = isBeside || state.isComputing.base[receiver]
        load(rank, 0, shares[0])
        load(rank, 2, shares[2])
        load(receiver, 1, shares[1])
        load(receiver, 3, shares[3])
      case .collective:
        for place in tables.memberRange(Int(activity.pointee.partner)) {
          let member = Int(tables.members.base[place])
          isBeside = isBeside || state.isComputing.base[member]
          for link in 0..<4 { load(member, link, shares[link]) }
        }
      default: for link in 0..<4 { load(rank, link, shares[link]) }
      }
      scratch.caps.append(isBeside ? activity.pointee.besideCompute : 1)
      scratch.firstLoad.append(Int32(scratch.loads.count))
    }
  }

  @inline(__always)
  private func load(_ rank: Int, _ link: Int, _ share: Double) {
    if share > 0 { scratch.loads.append((4 * scratch.rankPlace.base[rank] + Int32(link), share)) }
  }

  /// Whether together more is asked of some link than it has; otherwise everyone gets what he asks for.
  private func isShort() -> Bool {
    let links = 4 * scratch.ranks.count
    scratch.demand.removeAll(keepingCapacity: true)
    for _ in 0..<links { scratch.demand.append(0) }
    for user in scratch.users.indices {
      for place in Int(scratch.firstLoad[user])..<Int(scratch.firstLoad[user + 1]) {
        scratch.demand[Int(scratch.loads[place].link)] += scratch.loads[place].share * scratch.caps[user]
      }
    }
    scratch.speeds.removeAll(keepingCapacity: true)
    scratch.speeds.append(contentsOf: scratch.caps)
    scratch.room.removeAll(keepingCapacity: true)
    var isShort = false
    for link in 0..<links {
      let room = state.capacity.base[4 * Int(scratch.ranks[link / 4]) + link % 4]
      scratch.room.append(room)
      if scratch.demand[link] > room * (1 + 1e-12) { isShort = true }
    }
    return isShort
  }

  /// All speeds rise together; a task stops at its cap, or when one of its links is full.
  private func fill() {
    scratch.isFixed.removeAll(keepingCapacity: true)
    for _ in scratch.users { scratch.isFixed.append(false) }
    var level = 0.0
    var open = scratch.users.count
    while open > 0 {
      scratch.slope.removeAll(keepingCapacity: true)
      for _ in scratch.room { scratch.slope.append(0) }
      var next = Double.infinity
      for user in scratch.users.indices where !scratch.isFixed[user] {
        next = min(next, scratch.caps[user])
        for place in Int(scratch.firstLoad[user])..<Int(scratch.firstLoad[user + 1]) {
          scratch.slope[Int(scratch.loads[place].link)] += scratch.loads[place].share
        }
      }
      for link in scratch.room.indices where scratch.slope[link] > 0 {
        next = min(next, scratch.room[link] / scratch.slope[link])
      }
      // Levels only rise; what rounding leaves of a link must not bring anyone to a stop.
      level = max(level, next)
      let limit = level * (1 + 1e-12)
      var stopped = 0
      for user in scratch.users.indices where !scratch.isFixed[user] {
        var stops = scratch.caps[user] <= limit
        for place in Int(scratch.firstLoad[user])..<Int(scratch.firstLoad[user + 1]) where !stops {
          let link = Int(scratch.loads[place].link)
          stops = scratch.room[link] <= limit * scratch.slope[link]
        }
        // Marked below, so that links are judged by what they were.
        if stops {
          scratch.speeds[user] = min(level, scratch.caps[user])
          stopped += 1
        } else {
          scratch.speeds[user] = -1
        }
      }
      for user in scratch.users.indices where !scratch.isFixed[user] && scratch.speeds[user] >= 0 {
        scratch.isFixed[user] = true
        for place in Int(scratch.firstLoad[user])..<Int(scratch.firstLoad[user + 1]) {
          let load = scratch.loads[place]
          scratch.room[Int(load.link)] = max(
            0, scratch.room[Int(load.link)] - load.share * scratch.speeds[user])
        }
      }
      open -= stopped
    }
  }
}
