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
      removeUser(slot, from: rank)
      let own = record(rank: rank, lane: slot % lanes)
      count(rank: rank, kind: own.pointee.kind, since: activity.pointee.began)
      countRows(of: slot, rank: rank, own)
      complete(rank: rank, lane: slot % lanes)
    case .message:
      let other = Int(activity.pointee.partner)
      let receiver = other / lanes
      removeUser(slot, from: rank)
      removeUser(slot, from: receiver)
      let own = record(rank: rank, lane: slot % lanes)
      count(rank: rank, kind: own.pointee.kind, since: activity.pointee.began)
      count(rank: receiver, kind: own.pointee.kind, since: activity.pointee.began)
      let loads = bytes(of: activity, alone: own.pointee.alone)
      carry(rank: rank, loads.x, 0, loads.z, 0, since: activity.pointee.began)
      carry(rank: receiver, 0, loads.y, 0, loads.w, since: activity.pointee.began)
      complete(rank: rank, lane: slot % lanes)
      complete(rank: receiver, lane: other % lanes)
    case .collective:
      let lane = slot % lanes
      let began = activity.pointee.began
      let members = tables.memberRange(Int(activity.pointee.partner))
      let own = record(rank: rank, lane: lane)
      let loads = bytes(of: activity, alone: own.pointee.alone)
      for place in members {
        let member = Int(tables.members.base[place])
        removeUser(slot, from: member)
        count(rank: member, kind: own.pointee.kind, since: began)
        carry(rank: member, loads.x, loads.y, loads.z, loads.w, since: began)
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
    let link = (Int64(table.linkOut.base[place]) * row, Int64(table.linkIn.base[place]) * row)
    let card = (Int64(table.cardOut.base[place]) * row, Int64(table.cardIn.base[place]) * row)
    if record.pointee.isCombine {
      carry(rank: rank, link.1, link.0, card.1, card.0, since: activity.pointee.began)
    } else {
      carry(rank: rank, link.0, link.1, card.0, card.1, since: activity.pointee.began)
    }
  }

  private func carry(
    rank: Int, _ linkOut: Int64, _ linkIn: Int64, _ cardOut: Int64, _ cardIn: Int64, since began: Int64
  ) {
    let bytes = state.bytes.base + 4 * rank
    bytes[0] += linkOut
    bytes[1] += linkIn
    bytes[2] += cardOut
    bytes[3] += cardIn
    if cardOut == 0 { return }
    let use = state.use.base + FleetState.buckets * rank
    let first = min(Int(began / state.bucket), FleetState.buckets - 1)
    let last = min(Int(now / state.bucket), FleetState.buckets - 1)
    if first == last {
      use[first] += Float(cardOut)
      return
    }
    let rate = Double(cardOut) / Double(max(1, now - began))
    for bucket in first...last {
      let from = max(began, Int64(bucket) * state.bucket)
      let to = bucket == last ? now : Int64(bucket + 1) * state.bucket
      use[bucket] += Float(rate * Double(to - from))
    }
  }
}
