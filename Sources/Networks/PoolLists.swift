/// The lists that tie bundles and links together, and the heaps of flows.
extension Pool {
  mutating func addEntry(_ link: Int32, to bundle: Int32) {
    let state = bundles.base + Int(bundle)
    if state.pointee.count == 1 << state.pointee.logarithm {
      state.pointee.start = entries.enlarge(
        state.pointee.start, logarithm: Int(state.pointee.logarithm), count: Int(state.pointee.count),
        filler: Entry(link: 0, count: 0, position: 0))
      state.pointee.logarithm += 1
    }
    let place = state.pointee.count
    let position = addMember(Member(bundle: bundle, entry: place), to: link)
    entries[state.pointee.start + place] = Entry(link: link, count: 1, position: position)
    state.pointee.count += 1
    if links.base[Int(link)].isActive { makeActive(place, of: bundle) } else { state.pointee.headroom = 0 }
  }

  private mutating func addMember(_ member: Member, to link: Int32) -> Int32 {
    let state = links.base + Int(link)
    let filler = Member(bundle: -1, entry: -1)
    if state.pointee.logarithm < 0 {
      state.pointee.start = members.allocate(logarithm: 2, filler: filler)
      state.pointee.logarithm = 2
    } else if state.pointee.count == 1 << state.pointee.logarithm {
      state.pointee.start = members.enlarge(
        state.pointee.start, logarithm: Int(state.pointee.logarithm), count: Int(state.pointee.count),
        filler: filler)
      state.pointee.logarithm += 1
    }
    members[state.pointee.start + state.pointee.count] = member
    state.pointee.count += 1
    return state.pointee.count - 1
  }

  mutating func removeEntry(_ place: Int32, of bundle: Int32) {
    let state = bundles.base + Int(bundle)
    let start = state.pointee.start
    let entry = entries[start + place]
    let link = links.base + Int(entry.link)
    link.pointee.count -= 1
    let last = members[link.pointee.start + link.pointee.count]
    members[link.pointee.start + entry.position] = last
    entries.column.base[Int(bundles[last.bundle].start + last.entry)].position = entry.position
    if link.pointee.count == 0 {
      members.release(link.pointee.start, logarithm: Int(link.pointee.logarithm))
      link.pointee.logarithm = -1
    }
    var hole = place
    if place < state.pointee.active {
      state.pointee.active -= 1
      move(state.pointee.active, to: hole, of: bundle)
      hole = state.pointee.active
    }
    state.pointee.count -= 1
    move(state.pointee.count, to: hole, of: bundle)
  }

  /// Puts an entry into another's place, which is lost.
  @inline(__always)
  private func move(_ from: Int32, to place: Int32, of bundle: Int32) {
    if from == place { return }
    let start = bundles[bundle].start
    let entry = entries[start + from]
    entries[start + place] = entry
    members.column.base[Int(links[entry.link].start + entry.position)].entry = place
  }

  @inline(__always)
  private func swapEntries(_ one: Int32, _ other: Int32, of bundle: Int32) {
    if one == other { return }
    let start = bundles[bundle].start
    let first = entries[start + one]
    let second = entries[start + other]
    entries[start + one] = second
    entries[start + other] = first
    members.column.base[Int(links[first.link].start + first.position)].entry = other
    members.column.base[Int(links[second.link].start + second.position)].entry = one
  }

  @inline(__always)
  private func makeActive(_ place: Int32, of bundle: Int32) {
    let state = bundles.base + Int(bundle)
    swapEntries(place, state.pointee.active, of: bundle)
    state.pointee.active += 1
  }

  /// Lets a link take part in filling.
  mutating func activate(_ index: Int32) {
    let link = links.base + Int(index)
    link.pointee.isActive = true
    link.pointee.checkAt = link.pointee.flows
    counters.activations += 1
    var load = 0.0
    for place in 0..<link.pointee.count {
      let member = members[link.pointee.start + place]
      let bundle = bundles[member.bundle]
      load += Double(entries[bundle.start + member.entry].count) * bundle.weight * bundle.rate
      makeActive(member.entry, of: member.bundle)
    }
    link.pointee.load = load
  }

  /// Takes a link out of filling, if no bundle on it comes near the rate at which it could fill up.
  mutating func deactivateIfIdle(_ index: Int32) {
    let link = links.base + Int(index)
    let fair = link.pointee.capacity / max(link.pointee.demand, .leastNormalMagnitude)
    link.pointee.checkAt = link.pointee.flows - link.pointee.flows / 16 - 1
    for place in 0..<link.pointee.count {
      if bundles.base[Int(members[link.pointee.start + place].bundle)].rate > 0.5 * fair { return }
    }
    link.pointee.isActive = false
    link.pointee.load = 0
    for place in 0..<link.pointee.count {
      let member = members[link.pointee.start + place]
      let state = bundles.base + Int(member.bundle)
      state.pointee.active -= 1
      swapEntries(member.entry, state.pointee.active, of: member.bundle)
      state.pointee.headroom = min(state.pointee.headroom, fair)
    }
  }

  // MARK: Pairing heaps over tags

  @inline(__always)
  func meld(_ one: Int32, _ other: Int32) -> Int32 {
    if one < 0 { return other }
    if other < 0 { return one }
    let flows = self.flows.base
    let isFirst =
      flows[Int(one)].tag < flows[Int(other)].tag
      || (flows[Int(one)].tag == flows[Int(other)].tag && one < other)
    let root = isFirst ? one : other
    let child = isFirst ? other : one
    flows[Int(child)].sibling = flows[Int(root)].child
    flows[Int(root)].child = child
    return root
  }

  /// The heap without its root.
  func meldChildren(of root: Int32) -> Int32 {
    let flows = self.flows.base
    var rest = flows[Int(root)].child
    flows[Int(root)].child = -1
    // First in pairs from left to right, the pairs listed backwards through `sibling`.
    var pairs: Int32 = -1
    while rest >= 0 {
      let one = rest
      let other = flows[Int(one)].sibling
      rest = other >= 0 ? flows[Int(other)].sibling : -1
      flows[Int(one)].sibling = -1
      if other >= 0 { flows[Int(other)].sibling = -1 }
      let pair = meld(one, other)
      flows[Int(pair)].sibling = pairs
      pairs = pair
    }
    var heap: Int32 = -1
    while pairs >= 0 {
      let next = flows[Int(pairs)].sibling
      flows[Int(pairs)].sibling = -1
      heap = meld(heap, pairs)
      pairs = next
    }
    return heap
  }

  /// Moves the flows of `bundle` that pass `link` into a bundle of their own with the same rate, and returns that.
  mutating func split(_ bundle: Int32, by link: Int32) -> Int32 {
    counters.splits += 1
    let apart = makeBundle(key: 0, weight: bundles[bundle].weight, at: 0)
    let state = bundles[bundle]
    bundles.base[Int(apart)].rate = state.rate
    bundles.base[Int(apart)].served = state.served
    bundles.base[Int(apart)].since = state.since
    bundles.base[Int(apart)].drift = state.drift
    bundles.base[Int(apart)].bottleneck = state.bottleneck
    if state.bottleneck >= 0 { links.base[Int(state.bottleneck)].bottlenecked += 1 }
    stack.removeAll()
    if state.root >= 0 { stack.append(state.root) }
    var staying: Int32 = -1
    var leaving: Int32 = -1
    while let index = stack.popLast() {
      let flow = flows[index]
      if flow.child >= 0 { stack.append(flow.child) }
      if flow.sibling >= 0 { stack.append(flow.sibling) }
      flows.base[Int(index)].child = -1
      flows.base[Int(index)].sibling = -1
      var passes = flow.limit == link
      for place in 0..<flow.routeCount where routes[Int(flow.routeStart + place)] == link { passes = true }
      if passes {
        move(index, to: apart)
        leaving = meld(leaving, index)
      } else {
        staying = meld(staying, index)
      }
    }
    bundles.base[Int(bundle)].root = staying
    bundles.base[Int(apart)].root = leaving
    return apart
  }

  /// Counts a flow out of its bundle's entries and into another's; the loads of its links stay.
  private mutating func move(_ index: Int32, to apart: Int32) {
    let flow = flows[index]
    for place in 0..<flow.routeCount + (flow.limit >= 0 ? 1 : 0) {
      let link = place < flow.routeCount ? routes[Int(flow.routeStart + place)] : flow.limit
      let entry = find(link, in: apart)
      if entry >= 0 {
        entries.column.base[Int(bundles[apart].start + entry)].count += 1
      } else {
        addEntry(link, to: apart)
      }
      discount(link, in: flow.bundle)
    }
    bundles.base[Int(flow.bundle)].size -= 1
    bundles.base[Int(apart)].size += 1
    flows.base[Int(index)].bundle = apart
  }
}
