import Networks
import Units

/// Exchanges between the ranks of an expert group: each rank's part ends on its own.
extension PartEngine {
  func beginExchange(rank: Int, lane: Int, meeting: Int, group: Int) {
    let members = tables.memberRange(group)
    blame(rank, meeting: meeting, size: members.count)
    let first = record(rank: Int(tables.members[members.lowerBound]), lane: lane)
    let index = exchange(first.pointee.draw, rank: rank)
    counters.exchanges += 1
    counters.flows += Int(state.exchanges.flows.base[index])
    let isChanged = solveChanged(index, class: Int(first.pointee.peer), rank: rank)
    for place in members {
      let member = Int(tables.members.base[place])
      let slot = member * FleetState.lanes + lane
      let own = record(rank: member, lane: lane)
      let activity = state.activities.base + slot
      activity.pointee.mode = .part
      activity.pointee.partner = Int32(index)
      let rates = state.rates[Int(own.pointee.peer)]
      let alone = part(
        index, place - members.lowerBound, rates, isCombine: own.pointee.isCombine, isChanged: isChanged,
        shares: &activity.pointee.shares)
      activity.pointee.besideCompute = 1 / rates.slowdown
      open(slot, alone: alone)
      addUser(slot, to: member)
      noteWaiting(slot: slot, kind: own.pointee.kind)
    }
  }

  /// How long one member's part of an exchange takes alone, and what it takes of its links then.
  @inline(__always)
  private func part(
    _ index: Int, _ member: Int, _ rates: ExchangeRates, isCombine: Bool, isChanged: Bool,
    shares: inout SIMD4<Double>
  ) -> Int64 {
    let table = state.exchanges
    let place = index * table.members + member
    var network: Double
    if isChanged {
      network = Double((isCombine ? changedTimes.combine : changedTimes.dispatch).base[member])
    } else {
      network = Double((isCombine ? table.combine : table.dispatch).base[place])
      network *= rates.rowBytes / Double(table.rowBytes) * table.card / rates.card
    }
    let alone =
      Double(rates.latency) + max(network, Double(table.linkRows.base[place]) * rates.rowBytes / rates.nvlink)
    var rows = SIMD4(
      Double(table.linkOut.base[place]), Double(table.linkIn.base[place]), Double(table.cardOut.base[place]),
      Double(table.cardIn.base[place]))
    if isCombine { rows = SIMD4(rows[1], rows[0], rows[3], rows[2]) }
    let peaks = SIMD4(state.nvlinkPeak, state.nvlinkPeak, state.cardPeak, state.cardPeak)
    shares = rows * rates.rowBytes / (peaks * max(alone, 1))
    return Int64(alone.rounded(.toNearestOrEven))
  }

  // MARK: Cards that change

  /// Finds an exchange's flows anew where a card of its group is not what it was.
  private func solveChanged(_ index: Int, class own: Int, rank: Int) -> Bool {
    if changedFlows.isEmpty { return false }
    let table = state.exchanges
    let group = Int(tables.groupOf.base[tables.expertCommunicator * tables.ranks + rank])
    guard changedFlows[group] != nil else { return false }
    // Sizes are counts of rows; such flows are not refused.
    try? changedFlows[group]?[own].solve(
      table.nodeRows.base + index * table.members * table.nodes,
      rowBytes: Int64(state.rates[own].rowBytes.rounded()),
      dispatch: changedTimes.dispatch.base, combine: changedTimes.combine.base)
    return true
  }

  /// From now on a card carries more or less; what passes it goes at another speed.
  func change(_ change: CardChange) {
    let (rank, lanes) = (change.rank, FleetState.lanes)
    state.capacity[rank * 4 + 2] = change.share
    state.capacity[rank * 4 + 3] = change.share
    state.usersChanged[rank] = true
    touch(rank)
    guard let placement = state.exchanges.placement, state.exchanges.nodes > 1 else { return }
    let group = Int(tables.groupOf.base[tables.expertCommunicator * tables.ranks + rank])
    let members = placement.members[group].map(Int.init)
    changedFlows[group] = state.rates.compactMap { rates in
      try? placement.flows(
        group,
        cardRate: members.map {
          BytesPerSecond(min(rates.card * 1e12, placement.cardPeak.value * state.capacity[4 * $0 + 2]))
        }, accuracy: .standard)
    }
    // What is under way goes on in the proportion of the new duration to the old one.
    for (place, member) in members.enumerated() {
      for lane in 0..<lanes where state.activities[member * lanes + lane].mode == .part {
        let slot = member * lanes + lane
        let own = record(rank: member, lane: lane)
        let index = Int(state.activities[slot].partner)
        var old = SIMD4<Double>.zero
        let rates = state.rates[Int(own.pointee.peer)]
        let isCombine = own.pointee.isCombine
        let before = part(index, place, rates, isCombine: isCombine, isChanged: false, shares: &old)
        _ = solveChanged(index, class: Int(own.pointee.peer), rank: member)
        let activity = state.activities.base + slot
        let after = part(
          index, place, rates, isCombine: isCombine, isChanged: true, shares: &activity.pointee.shares)
        let done = activity.pointee.rate * Double(now - activity.pointee.updated)
        activity.pointee.remaining =
          max(0, activity.pointee.remaining - done) * Double(after) / Double(max(1, before))
        activity.pointee.updated = now
        activity.pointee.rate = 0
        state.usersChanged[member] = true
        touch(member)
      }
    }
  }
}
