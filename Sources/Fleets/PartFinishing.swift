/// Ending what goes on, and what follows from it.
extension PartEngine {
  func finish(_ slot: Int) {
    let lanes = FleetState.lanes
    let activity = state.activities.base + slot
    let rank = slot / lanes
    activity.pointee.end = .max
    switch activity.pointee.mode {
    case .none: break
    case .compute:
      state.isComputing.base[rank] = false
      touch(rank)
      count(rank: rank, kind: UInt8(FleetKind.compute.rawValue), since: activity.pointee.began)
      complete(rank: rank, lane: slot % lanes)
    case .part:
      detach(slot)
      let own = record(rank: rank, lane: slot % lanes)
      count(rank: rank, kind: own.pointee.kind, since: activity.pointee.began)
      countRows(of: slot, rank: rank, own)
      complete(rank: rank, lane: slot % lanes)
    case .message:
      let other = Int(activity.pointee.partner)
      let receiver = other / lanes
      detach(slot)
      let own = record(rank: rank, lane: slot % lanes)
      count(rank: rank, kind: own.pointee.kind, since: activity.pointee.began)
      count(rank: receiver, kind: own.pointee.kind, since: activity.pointee.began)
      let loads = bytes(of: activity, alone: own.pointee.alone)
      let (began, route) = (activity.pointee.began, activity.pointee.route)
      carry(4 * rank, loads.x, since: began)
      carry(4 * receiver + 1, loads.y, since: began)
      if route < 0 {
        carry(4 * rank + 2, loads.z, since: began)
        carry(4 * receiver + 3, loads.w, since: began)
      } else {
        for index in state.routes.route(route) {
          carry(Int(state.routes.pool[index]), loads.z, since: began)
        }
      }
      complete(rank: rank, lane: slot % lanes)
      complete(rank: receiver, lane: other % lanes)
    case .collective:
      let lane = slot % lanes
      let began = activity.pointee.began
      let members = tables.memberRange(Int(activity.pointee.partner))
      let own = record(rank: rank, lane: lane)
      let loads = bytes(of: activity, alone: own.pointee.alone)
      detach(slot)
      let route = activity.pointee.route
      for place in members {
        let member = Int(tables.members.base[place])
        count(rank: member, kind: own.pointee.kind, since: began)
        carry(4 * member, loads.x, since: began)
        carry(4 * member + 1, loads.y, since: began)
        if route < 0 {
          carry(4 * member + 2, loads.z, since: began)
          carry(4 * member + 3, loads.w, since: began)
        }
      }
      if route >= 0 {
        for index in state.routes.ring(route) {
          let load = state.routes.ringLoads[index]
          carry(Int(load.place), loads.z * Int64(load.times), since: began)
        }
      }
      for place in members { complete(rank: Int(tables.members.base[place]), lane: lane) }
    }
  }

  private func complete(rank: Int, lane: Int) {
    let slot = rank * FleetState.lanes + lane
    let record = record(rank: rank, lane: lane)
    state.activities.base[slot].mode = .none
    state.lastEnd.base[rank] = now
    state.heads.base[slot] += 1
    state.arrived.base[slot] = -1
    let waiting = state.waiting.base + tables.firstWaiting.base[rank]
    let role = Int(tables.roleOfRank.base[rank])
    let own = tables.tasks.base + Int(tables.firstTask.base[role])
    let start = Int(record.pointee.dependentsStart)
    let end = start + Int(record.pointee.dependentsCount)
    for place in start..<end { waiting[Int(tables.dependents.base[place])] -= 1 }
    startHead(rank: rank, lane: lane)
    for place in start..<end {
      let dependent = Int(tables.dependents.base[place])
      if waiting[dependent] == 0 { startHead(rank: rank, lane: Int(own[dependent].lane)) }
    }
  }

  // MARK: Counting

  @inline(__always)
  private func count(rank: Int, kind: UInt8, since began: Int64) {
    state.moved.base[rank * FleetKind.allCases.count + Int(kind)] += now - began
  }

  /// Whole bytes of a task that takes known shares of links, `(NVLink out, in, card out, in)`.
  private func bytes(of activity: UnsafeMutablePointer<Activity>, alone: Int64) -> SIMD4<Int64> {
    let peaks = SIMD4(state.nvlinkPeak, state.nvlinkPeak, state.cardPeak, state.cardPeak)
    let loads = (activity.pointee.shares * peaks * Double(alone)).rounded(.toNearestOrEven)
    return SIMD4(Int64(loads.x), Int64(loads.y), Int64(loads.z), Int64(loads.w))
  }

  private func countRows(of slot: Int, rank: Int, _ record: UnsafeMutablePointer<TaskRecord>) {
    let activity = state.activities.base + slot
    let table = state.exchanges
    let place = Int(activity.pointee.partner) * table.members + member(of: rank)
    let row = Int64(state.rates[Int(record.pointee.peer)].rowBytes.rounded())
    let began = activity.pointee.began
    let link = (Int64(table.linkOut.base[place]) * row, Int64(table.linkIn.base[place]) * row)
    let card = (Int64(table.cardOut.base[place]) * row, Int64(table.cardIn.base[place]) * row)
    let isTurned = record.pointee.isCombine
    carry(4 * rank, isTurned ? link.1 : link.0, since: began)
    carry(4 * rank + 1, isTurned ? link.0 : link.1, since: began)
    if activity.pointee.route < 0 {
      carry(4 * rank + 2, isTurned ? card.1 : card.0, since: began)
      carry(4 * rank + 3, isTurned ? card.0 : card.1, since: began)
    } else if let loads = rowLoads.removeValue(forKey: Int32(slot)) {
      for load in loads { carry(Int(load.place), Int64(load.rows) * row, since: began) }
    }
  }

  /// Counts whole bytes over a place, and spreads those out of cards and over trunks evenly over the time they took.
  private func carry(_ place: Int, _ bytes: Int64, since began: Int64) {
    if bytes == 0 { return }
    state.bytes.base[place] += bytes
    if place < 4 * tables.ranks && place % 4 != 2 { return }
    let use = state.use.base + FleetState.buckets * owner(of: place)
    let first = min(Int(began / state.bucket), FleetState.buckets - 1)
    let last = min(Int(now / state.bucket), FleetState.buckets - 1)
    if first == last {
      use[first] += Float(bytes)
      return
    }
    let rate = Double(bytes) / Double(max(1, now - began))
    for bucket in first...last {
      let from = max(began, Int64(bucket) * state.bucket)
      let to = bucket == last ? now : Int64(bucket + 1) * state.bucket
      use[bucket] += Float(rate * Double(to - from))
    }
  }
}
