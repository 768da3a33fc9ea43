/// What everything under way asks of which links.
extension PartEngine {
  /// Rows of a part of an exchange over a place, where its group does not go plainly from card to card.
  struct RowLoad {
    var place: Int32
    var rows: Int32
  }

  /// Visits the places that an activity loads, with the share of each that it takes at full speed.
  @inline(__always)
  func forEachLoad(_ slot: Int, _ visit: (Int, Double) -> Void) {
    let activity = state.activities.base + slot
    let shares = activity.pointee.shares
    let rank = slot / FleetState.lanes
    switch activity.pointee.mode {
    case .part:
      if shares.x > 0 { visit(4 * rank, shares.x) }
      if shares.y > 0 { visit(4 * rank + 1, shares.y) }
      if activity.pointee.route < 0 {
        if shares.z > 0 { visit(4 * rank + 2, shares.z) }
        if shares.w > 0 { visit(4 * rank + 3, shares.w) }
      } else if let loads = rowLoads[Int32(slot)] {
        // `z` is bytes of a row over the part's time alone.
        for load in loads {
          visit(Int(load.place), Double(load.rows) * shares.z / state.routes.links.peaks[Int(load.place)])
        }
      }
    case .message:
      let receiver = Int(activity.pointee.partner) / FleetState.lanes
      if shares.x > 0 { visit(4 * rank, shares.x) }
      if shares.y > 0 { visit(4 * receiver + 1, shares.y) }
      let route = activity.pointee.route
      if route < 0 {
        if shares.z > 0 { visit(4 * rank + 2, shares.z) }
        if shares.w > 0 { visit(4 * receiver + 3, shares.w) }
      } else if shares.z > 0 {
        for index in state.routes.route(route) {
          let place = Int(state.routes.pool[index])
          visit(place, shares.z * state.cardPeak / state.routes.links.peaks[place])
        }
      }
    case .collective:
      let route = activity.pointee.route
      for index in tables.memberRange(Int(activity.pointee.partner)) {
        let member = Int(tables.members.base[index])
        if shares.x > 0 { visit(4 * member, shares.x) }
        if shares.y > 0 { visit(4 * member + 1, shares.y) }
        if route < 0 {
          if shares.z > 0 { visit(4 * member + 2, shares.z) }
          if shares.w > 0 { visit(4 * member + 3, shares.w) }
        }
      }
      if route >= 0, shares.z > 0 {
        for index in state.routes.ring(route) {
          let load = state.routes.ringLoads[index]
          visit(
            Int(load.place),
            shares.z * Double(load.times) * state.cardPeak / state.routes.links.peaks[Int(load.place)])
        }
      }
    case .none, .compute: break
    }
  }

  @inline(__always)
  func owner(of place: Int) -> Int { place < 4 * tables.ranks ? place / 4 : place - 3 * tables.ranks }

  /// Enters an activity at the links that it loads; every rank that takes part has it, whatever it loads there.
  func attach(_ slot: Int) {
    let activity = state.activities.base + slot
    activity.pointee.cap = 0
    activity.pointee.rate = 0
    forEachRank(slot) { rank in
      state.users.append(Int32(slot), to: rank)
      state.usersChanged.base[rank] = true
      touch(rank)
    }
    if activity.pointee.route < 0 { return }
    forEachLoad(slot) { place, _ in
      let owner = owner(of: place)
      if owner >= tables.ranks || !state.users.contains(Int32(slot), owner) {
        state.users.append(Int32(slot), to: owner)
      }
    }
  }

  /// Takes an activity away from its links.
  func detach(_ slot: Int) {
    setCap(slot, to: 0)
    forEachRank(slot) { rank in
      state.users.remove(Int32(slot), from: rank)
      state.usersChanged.base[rank] = true
      touch(rank)
    }
    if state.activities.base[slot].route < 0 { return }
    forEachLoad(slot) { place, _ in state.users.remove(Int32(slot), from: owner(of: place)) }
  }

  /// Visits the ranks that take part in an activity.
  @inline(__always)
  func forEachRank(_ slot: Int, _ visit: (Int) -> Void) {
    let activity = state.activities.base + slot
    switch activity.pointee.mode {
    case .part: visit(slot / FleetState.lanes)
    case .message:
      visit(slot / FleetState.lanes)
      visit(Int(activity.pointee.partner) / FleetState.lanes)
    case .collective:
      for index in tables.memberRange(Int(activity.pointee.partner)) {
        visit(Int(tables.members.base[index]))
      }
    case .none, .compute: break
    }
  }

  /// Counts what an activity asks for at another speed.
  func setCap(_ slot: Int, to cap: Double) {
    let activity = state.activities.base + slot
    let before = activity.pointee.cap
    if before == cap { return }
    forEachLoad(slot) { place, share in
      let scaled = share * FleetState.whole
      state.demand.base[place] +=
        Int64((scaled * cap).rounded(.toNearestOrEven)) - Int64((scaled * before).rounded(.toNearestOrEven))
      markDirty(place)
    }
    activity.pointee.cap = cap
  }

  /// Notes a link whose demand changed, if it is short or was.
  @inline(__always)
  func markDirty(_ place: Int) {
    if state.isShort.base[place] || isOverloaded(place) {
      if state.isDirty.base[place] { return }
      state.isDirty.base[place] = true
      dirtyPlaces.append(Int32(place))
    }
  }

  /// Demands are rounded to a trillionth of a link.
  @inline(__always)
  func isOverloaded(_ place: Int) -> Bool { state.demand.base[place] > state.room.base[place] + 64 }
}
