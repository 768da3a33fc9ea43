/// Room for finding the speeds of what shares links.
struct SharingScratch {
  /// Round in which a place, or an activity, was last looked at, and a place's place in that round.
  let placeRound: SharedColumn<Int32>
  let placeIndex: SharedColumn<Int32>
  let slotRound: SharedColumn<Int32>
  var round: Int32 = 0
  var places: [Int32] = []
  var users: [Int32] = []
  var caps: [Double] = []
  var speeds: [Double] = []
  var isFixed: [Bool] = []
  /// Loads of user u: `loads[firstLoad[u]..<firstLoad[u + 1]]`.
  var firstLoad: [Int32] = []
  var loads: [(link: Int32, share: Double)] = []
  var room: [Double] = []
  var slope: [Double] = []

  init(places: Int, slots: Int) {
    placeRound = SharedColumn(repeating: 0, count: places)
    placeIndex = SharedColumn(repeating: 0, count: places)
    slotRound = SharedColumn(repeating: 0, count: slots)
  }

  func release() {
    placeRound.release()
    placeIndex.release()
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
  /// Times that speeds were found for activities that share a link which has less than they ask for.
  public var sharings = 0
  /// Activities that got another route in mid-step.
  public var rerouted = 0
  /// Pairs of token and chosen expert that exchanges carried out and back; with balanced routing members count instead.
  public var dispatchedPairs: Int64 = 0
  public var combinedPairs: Int64 = 0

  public init() {}

  static func += (a: inout Self, b: Self) {
    a.events += b.events
    a.exchanges += b.exchanges
    a.flows += b.flows
    a.sharings += b.sharings
    a.rerouted += b.rerouted
    a.dispatchedPairs += b.dispatchedPairs
    a.combinedPairs += b.combinedPairs
  }
}

/// Speeds of communication: max-min fair over speeds, among whatever shares a link, directly or through others. A
/// task's speed is 1 alone, less beside compute by what its kernel loses there.
///
/// A link that has as much as is asked of it holds nobody up, whatever the others' speeds are. So only links that are
/// short join activities; demands are kept as integers, and what comes or goes changes them without a search.
extension PartEngine {
  @inline(__always)
  func touch(_ rank: Int) {
    if state.isTouched.base[rank] { return }
    state.isTouched.base[rank] = true
    touched.append(Int32(rank))
  }

  /// Finds new speeds for everything that what happened at this moment concerns.
  func shareLinks() {
    var next = 0
    while next < touched.count {
      let rank = Int(touched[next])
      next += 1
      state.isTouched.base[rank] = false
      let isComputing = state.isComputing.base[rank]
      // Compute that follows compute without a gap changes nothing.
      let matters = state.usersChanged.base[rank] || isComputing != state.wasComputing.base[rank]
      state.wasComputing.base[rank] = isComputing
      state.usersChanged.base[rank] = false
      if matters { for place in 0..<state.users.count(rank) { refresh(Int(state.users[rank, place])) } }
    }
    touched.removeAll(keepingCapacity: true)
    if isPending.isEmpty && dirtyPlaces.isEmpty { return }
    // Whoever uses a link that is short by now, or no longer.
    for place in dirtyPlaces {
      let place = Int(place)
      state.isDirty.base[place] = false
      let isShort = isOverloaded(place)
      if !isShort && !state.isShort.base[place] { continue }
      state.isShort.base[place] = isShort
      let owner = owner(of: place)
      for index in 0..<state.users.count(owner) { isPending.append(state.users[owner, index]) }
    }
    dirtyPlaces.removeAll(keepingCapacity: true)
    scratch.round += 1
    next = 0
    while next < isPending.count {
      let slot = Int(isPending[next])
      next += 1
      // What ended in the same moment is not there any more.
      if state.activities.base[slot].cap == 0 || scratch.slotRound.base[slot] == scratch.round { continue }
      solve(from: slot)
    }
    isPending.removeAll(keepingCapacity: true)
  }

  /// Looks again at how fast an activity may go by its own ranks' doing.
  @inline(__always)
  private func refresh(_ slot: Int) {
    let activity = state.activities.base + slot
    var cap = 1.0
    if activity.pointee.besideCompute < 1 {
      var isBeside = state.isComputing.base[slot / FleetState.lanes]
      if activity.pointee.mode == .message {
        isBeside = isBeside || state.isComputing.base[Int(activity.pointee.partner) / FleetState.lanes]
      }
      if isBeside { cap = activity.pointee.besideCompute }
    }
    if cap == activity.pointee.cap { return }
    setCap(slot, to: cap)
    isPending.append(Int32(slot))
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

  /// Finds the speeds of an activity and of all that short links join with it.
  private func solve(from start: Int) {
    scratch.places.removeAll(keepingCapacity: true)
    scratch.slotRound.base[start] = scratch.round
    var isFree = true
    forEachLoad(start) { place, _ in if state.isShort.base[place] { isFree = false } }
    if isFree {
      setRate(start, to: state.activities.base[start].cap)
      return
    }
    counters.sharings += 1
    scratch.users.removeAll(keepingCapacity: true)
    scratch.users.append(Int32(start))
    scratch.caps.removeAll(keepingCapacity: true)
    scratch.loads.removeAll(keepingCapacity: true)
    scratch.firstLoad.removeAll(keepingCapacity: true)
    scratch.firstLoad.append(0)
    var next = 0
    while next < scratch.users.count {
      let slot = Int(scratch.users[next])
      next += 1
      scratch.caps.append(state.activities.base[slot].cap)
      forEachLoad(slot) { place, share in
        if !state.isShort.base[place] { return }
        if scratch.placeRound.base[place] != scratch.round {
          scratch.placeRound.base[place] = scratch.round
          scratch.placeIndex.base[place] = Int32(scratch.places.count)
          scratch.places.append(Int32(place))
          let owner = owner(of: place)
          for index in 0..<state.users.count(owner) {
            let other = state.users[owner, index]
            if scratch.slotRound.base[Int(other)] == scratch.round || !loads(Int(other), place) { continue }
            scratch.slotRound.base[Int(other)] = scratch.round
            scratch.users.append(other)
          }
        }
        scratch.loads.append((scratch.placeIndex.base[place], share))
      }
      scratch.firstLoad.append(Int32(scratch.loads.count))
    }
    fill()
    for (place, slot) in scratch.users.enumerated() { setRate(Int(slot), to: scratch.speeds[place]) }
  }

  private func loads(_ slot: Int, _ place: Int) -> Bool {
    var found = false
    forEachLoad(slot) { other, _ in if other == place { found = true } }
    return found
  }

  /// All speeds rise together; a task stops at its cap, or when one of its links is full.
  private func fill() {
    scratch.speeds.removeAll(keepingCapacity: true)
    scratch.speeds.append(contentsOf: scratch.caps)
    scratch.room.removeAll(keepingCapacity: true)
    for place in scratch.places { scratch.room.append(state.capacity.base[Int(place)]) }
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
