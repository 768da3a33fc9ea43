import Networks
import Units

/// Exchanges between the ranks of an expert group: each rank's part ends on its own.
extension PartEngine {
  func beginExchange(rank: Int, lane: Int, meeting: Int, group: Int) {
    let members = tables.memberRange(group)
    blame(rank, meeting: meeting, group: group, lane: lane)
    let first = record(rank: Int(tables.members[members.lowerBound]), lane: lane)
    let index = exchange(first.pointee.draw, rank: rank)
    counters.exchanges += 1
    let pairs = state.exchanges.pairs.base[index]
    if first.pointee.isCombine { counters.combinedPairs += pairs } else { counters.dispatchedPairs += pairs }
    counters.flows += Int(state.exchanges.flows.base[index])
    let isChanged = solveChanged(index, class: Int(first.pointee.peer), rank: rank)
    let own = Int(tables.groupOf.base[tables.expertCommunicator * tables.ranks + rank])
    let isPlain = state.routes.epochs[epoch(of: rank)].isPlain[own]
    if !isPlain { countRows(of: own, index, epoch: epoch(of: rank), isCombine: first.pointee.isCombine) }
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
      setRows(slot, isPlain: isPlain, member: place - members.lowerBound, rates, alone: alone)
      attach(slot)
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
    let hops = max(
      Double(table.linkRows.base[place]) / rates.nvlink, Double(table.ringRows.base[place]) / rates.rings)
    let alone = Double(rates.latency) + max(network, hops * rates.rowBytes)
    var rows = SIMD4(
      Double(table.linkOut.base[place]), Double(table.linkIn.base[place]), Double(table.cardOut.base[place]),
      Double(table.cardIn.base[place]))
    if isCombine { rows = SIMD4(rows[1], rows[0], rows[3], rows[2]) }
    let peaks = SIMD4(state.nvlinkPeak, state.nvlinkPeak, state.cardPeak, state.cardPeak)
    shares = rows * rates.rowBytes / (peaks * max(alone, 1))
    return Int64(alone.rounded(.toNearestOrEven))
  }

  // MARK: Fabrics that are not plain, or change

  /// Adds up the rows that each member's part puts on which links: its own flows' all the way to the last
  /// card, and what that card receives. In a combine everything goes the other way.
  private func countRows(of group: Int, _ index: Int, epoch: Int, isCombine: Bool) {
    let table = state.exchanges
    let (routes, each) = (state.routes, table.members * table.nodes)
    for member in 0..<table.members { memberRows[member].removeAll(keepingCapacity: true) }
    for place in 0..<each {
      let route = routes.epochs[epoch].exchanges[group * each + place]
      let rows = table.nodeRows.base[index * each + place]
      if route < 0 || rows == 0 { continue }
      let (source, node) = (place / table.nodes, place % table.nodes)
      let landing = min(node * table.ranksPerNode + source % table.ranksPerNode, table.members - 1)
      let range = routes.route(route)
      for step in range {
        let link = isCombine ? routes.links.reverse(routes.pool[step]) : routes.pool[step]
        add(rows, link, to: step == range.upperBound - 1 ? landing : source)
      }
    }
  }

  private func add(_ rows: Int32, _ place: Int32, to member: Int) {
    for index in memberRows[member].indices where memberRows[member][index].place == place {
      memberRows[member][index].rows += rows
      return
    }
    memberRows[member].append(RowLoad(place: place, rows: rows))
  }

  /// Gives a part the loads that were counted, or leaves it those of its own card.
  private func setRows(_ slot: Int, isPlain: Bool, member: Int, _ rates: ExchangeRates, alone: Int64) {
    let activity = state.activities.base + slot
    activity.pointee.route = isPlain ? -1 : 0
    if isPlain { return }
    rowLoads[Int32(slot)] = memberRows[member]
    activity.pointee.shares.z = rates.rowBytes / Double(max(1, alone))
    activity.pointee.shares.w = 0
  }

  /// Finds an exchange's flows anew where its group's network is not what it was.
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

  /// From now on some links carry more or less, or nothing, and what went there goes another way.
  func beginEpoch(_ epoch: Int, ranks: [Int32], part: Int) {
    enter(epoch, part: part)
    let routes = state.routes
    let next = routes.epochs[epoch]
    var isChanged = Set<Int32>()
    for (place, share) in next.changes where isOwn(Int(place), part: part) {
      state.capacity[place] = share
      state.room[place] = Int64((share * FleetState.whole).rounded())
      isChanged.insert(place)
      markDirty(Int(place))
    }
    for rank in ranks {
      for lane in 0..<FleetState.lanes { reroute(Int(rank) * FleetState.lanes + lane, next) }
    }
    let table = state.exchanges
    if table.nodes < 2 { return }
    let each = table.members * table.nodes
    let shape = ExpertShape(members: table.members, nodes: table.nodes, ranksPerNode: table.ranksPerNode)
    for group in next.isPlain.indices {
      let first = Int(tables.firstGroup[tables.expertCommunicator]) + group
      let members = tables.memberRange(first).map { Int(tables.members[$0]) }
      guard isOwn(4 * members[0], part: part) else { continue }
      let before = routes.epochs[epoch - 1]
      let concerns = (group * each..<(group + 1) * each).contains { index in
        let (old, new) = (before.exchanges[index], next.exchanges[index])
        return old != new || (new >= 0 && routes.route(new).contains { isChanged.contains(routes.pool[$0]) })
      }
      if concerns { change(group, members, epoch, shape) }
    }
  }

  /// A message or collective under way goes on by its new route.
  private func reroute(_ slot: Int, _ next: FabricRoutes.Epoch) {
    let activity = state.activities.base + slot
    var route = activity.pointee.route
    switch activity.pointee.mode {
    case .message where route >= 0:
      let pair = state.routes.pair(
        slot / FleetState.lanes, Int(activity.pointee.partner) / FleetState.lanes)
      if let pair { route = next.messages[pair] }
    case .collective: route = next.rings[Int(activity.pointee.partner)]
    default: return
    }
    if route == activity.pointee.route { return }
    settle(slot)
    detach(slot)
    activity.pointee.route = route
    attach(slot)
    counters.rerouted += 1
  }

  /// Takes off what an activity has done at its speed so far.
  private func settle(_ slot: Int) {
    let activity = state.activities.base + slot
    activity.pointee.remaining = max(
      0, activity.pointee.remaining - activity.pointee.rate * Double(now - activity.pointee.updated))
    activity.pointee.updated = now
    activity.pointee.rate = 0
  }

  /// A group's exchanges are solved anew; those under way go on in the proportion of the new duration to the old one.
  private func change(_ group: Int, _ members: [Int], _ epoch: Int, _ shape: ExpertShape) {
    let lanes = FleetState.lanes
    let before = changedFlows[group]
    var old: [(slot: Int, alone: Int64)] = []
    for (place, member) in members.enumerated() {
      for lane in 0..<lanes where state.activities[member * lanes + lane].mode == .part {
        let slot = member * lanes + lane
        let own = record(rank: member, lane: lane)
        let index = Int(state.activities[slot].partner)
        if before != nil { _ = solveChanged(index, class: Int(own.pointee.peer), rank: member) }
        var shares = SIMD4<Double>.zero
        let alone = part(
          index, place, state.rates[Int(own.pointee.peer)], isCombine: own.pointee.isCombine,
          isChanged: before != nil, shares: &shares)
        old.append((slot, alone))
      }
    }
    changedFlows[group] = state.rates.compactMap { rates in
      try? state.routes.network(
        ofGroup: group, epoch: epoch, shape, card: rates.card * 1e12, capacity: { state.capacity[$0] },
        accuracy: .standard)
    }
    let isPlain = state.routes.epochs[epoch].isPlain[group]
    for (slot, before) in old {
      let (member, lane) = (slot / lanes, slot % lanes)
      let own = record(rank: member, lane: lane)
      let index = Int(state.activities[slot].partner)
      let rates = state.rates[Int(own.pointee.peer)]
      _ = solveChanged(index, class: Int(own.pointee.peer), rank: member)
      settle(slot)
      detach(slot)
      let activity = state.activities.base + slot
      let place = members.firstIndex(of: member) ?? 0
      let after = part(
        index, place, rates, isCombine: own.pointee.isCombine, isChanged: true,
        shares: &activity.pointee.shares)
      if !isPlain { countRows(of: group, index, epoch: epoch, isCombine: own.pointee.isCombine) }
      setRows(slot, isPlain: isPlain, member: place, rates, alone: after)
      activity.pointee.remaining *= Double(after) / Double(max(1, before))
      attach(slot)
      counters.rerouted += 1
    }
  }
}
