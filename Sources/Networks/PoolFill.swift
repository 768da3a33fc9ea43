struct FillKey: BitwiseCopyable {
  var level: Double
  var link: Int32

  @inline(__always) static func < (a: FillKey, b: FillKey) -> Bool {
    a.level < b.level || (a.level == b.level && a.link < b.link)
  }
}

/// Finding the rates anew where something has changed.
///
/// An allocation is max-min fair exactly if every flow has a link that is full and on which nobody is faster. So a
/// change concerns, to begin with, the bundles whose bottleneck is a touched link, and those bundles touch their
/// links in turn. Progressive filling runs over these alone, on what the others leave. When a link fills up and an
/// unconcerned bundle on it is faster than that, it joins in the middle: all levels so far were below its rate, so
/// nothing done so far changes. Where a passive link turns out too small, it becomes active and the filling is
/// repeated.
extension Pool {
  @inline(__always)
  mutating func touch(_ link: Int32) {
    let state = links.base + Int(link)
    if state.pointee.stamp != epoch {
      state.pointee.stamp = epoch
      state.pointee.freed = 0
      touched.append(link)
    }
  }

  @inline(__always)
  private mutating func include(_ bundle: Int32) {
    let state = bundles.base + Int(bundle)
    if state.pointee.stamp == epoch { return }
    state.pointee.stamp = epoch
    affected.append(bundle)
    let own = entries.column.base + Int(state.pointee.start)
    for place in 0..<Int(state.pointee.active) { touch(own[place].link, because: state.pointee.bottleneck) }
  }

  /// Touches a link; if nothing has ended on it, what happens there happens when it does on the link that is the
  /// cause.
  @inline(__always)
  private mutating func touch(_ link: Int32, because cause: Int32) {
    let state = links.base + Int(link)
    if state.pointee.stamp == epoch { return }
    touch(link)
    if cause < 0 { return }
    let origin = links.base + Int(cause)
    if origin.pointee.stamp == epoch && origin.pointee.freed > 0 {
      state.pointee.moment = origin.pointee.moment / origin.pointee.freed * Self.trace
      state.pointee.freed = Self.trace
    }
  }

  var isSettled: Bool { touched.count == 0 && joining.count == 0 && rechecked.count == 0 }

  /// Gives every flow its fair rate from `now` on.
  ///
  /// - Parameter blur: how far `now` may lie from the completions that caused it.
  mutating func settle(at now: Double, blur: Double = 0) {
    if isSettled { return }
    counters.settlements += 1
    if live == joining.count { origin = now }
    placeJoining(at: now)
    var next = 0
    repeat {
      next = close(from: next)
      counters.fills += 1
      fill()
    } while widen()
    commit(at: now, blur: blur)
    touched.removeAll()
    affected.removeAll()
    epoch += 1
  }

  private mutating func placeJoining(at now: Double) {
    for place in 0..<joining.count {
      let bundle = self.place(joining[place], at: now)
      // Entries may still come to it: its links are touched below, when all are there.
      admitted.append(bundle)
    }
    joining.removeAll()
    while let bundle = admitted.popLast() { include(bundle) }
    while let marked = rechecked.popLast() {
      if marked < 0 {
        concernAll(on: ~marked)
        continue
      }
      let link = marked
      let state = links[link]
      if state.isActive || state.count == 0 { continue }
      let fair = state.capacity / state.demand
      var isShort = false
      for place in 0..<state.count {
        let bundle = bundles.base + Int(members[state.start + place].bundle)
        bundle.pointee.headroom = min(bundle.pointee.headroom, fair)
        if bundle.pointee.rate > fair { isShort = true }
      }
      if isShort {
        activate(link)
        touch(link)
      }
    }
  }

  /// After a change of a link's capacity everyone on it is concerned.
  private mutating func concernAll(on link: Int32) {
    if links[link].count == 0 { return }
    if !links[link].isActive { activate(link) }
    touch(link)
    let state = links[link]
    for place in 0..<state.count { include(members[state.start + place].bundle) }
  }

  /// Sets what a link carries from the next settlement on; 0 stops its flows.
  mutating func setCapacity(of link: Int32, to capacity: Double) {
    links.base[Int(link)].capacity = capacity
    rechecked.append(~link)
  }

  /// Bytes per picosecond that flows take of a link.
  func currentLoad(of link: Int32) -> Double {
    let state = links[link]
    var load = 0.0
    for place in 0..<state.count {
      let member = members[state.start + place]
      let bundle = bundles[member.bundle]
      load += Double(entries[bundle.start + member.entry].count) * bundle.weight * bundle.rate
    }
    return load
  }

  /// Adds whom the touched links slow or speed, until nobody is added; returns the number of touched links.
  private mutating func close(from first: Int) -> Int {
    var next = first
    while next < touched.count {
      let link = touched[next]
      next += 1
      let state = links[link]
      if state.bottlenecked == 0 { continue }
      for place in 0..<state.count {
        let bundle = members[state.start + place].bundle
        if bundles.base[Int(bundle)].bottleneck == link { include(bundle) }
      }
    }
    return next
  }

  /// Progressive filling of the touched links with the affected bundles.
  private mutating func fill() {
    fillEpoch += 1
    prepare()
    var level = 0.0
    var fixed = 0
    while fixed < affected.count, queue.count > 0 {
      let key = queue[0]
      let link = links.base + Int(key.link)
      if link.pointee.openFlows == 0 {
        popKey()
        continue
      }
      let current = max(link.pointee.room / link.pointee.open, level)
      if current > key.level {
        sift(FillKey(level: current, link: key.link), from: 0)
        continue
      }
      level = current
      popKey()
      if admitFaster(than: level * (1 + 1e-12), on: key.link) { continue }
      for place in 0..<open.count {
        let member = open[place]
        if entries[bundles.base[Int(member.bundle)].start + member.entry].count
          == bundles.base[Int(member.bundle)].size
        {
          fix(member.bundle, at: level, by: key.link)
        } else {
          let apart = split(member.bundle, by: key.link)
          bundles.base[Int(apart)].stamp = epoch
          affected.append(apart)
          fix(apart, at: level, by: key.link)
        }
        fixed += 1
      }
    }
    queue.removeAll()
  }

  /// Lists in `open` who on a link has no rate yet. If there are bystanders with a higher rate, they join instead;
  /// then the link is not full yet.
  private mutating func admitFaster(than rate: Double, on link: Int32) -> Bool {
    open.removeAll()
    let state = links[link]
    let own = members.column.base + Int(state.start)
    for place in 0..<Int(state.count) {
      let bundle = bundles.base + Int(own[place].bundle)
      if bundle.pointee.stamp == epoch {
        if bundle.pointee.fixedStamp != fillEpoch { open.append(own[place]) }
      } else if bundle.pointee.rate > rate {
        admitted.append(own[place].bundle)
      }
    }
    if admitted.count == 0 { return false }
    counters.bystanders += admitted.count
    var next = touched.count
    while true {
      while let bundle = admitted.popLast() { admit(bundle) }
      if next == touched.count { break }
      let link = touched[next]
      next += 1
      let state = links[link]
      for place in 0..<state.count where state.bottlenecked > 0 {
        let bundle = members[state.start + place].bundle
        if bundles.base[Int(bundle)].bottleneck == link && bundles.base[Int(bundle)].stamp != epoch {
          admitted.append(bundle)
        }
      }
    }
    return true
  }

  /// Lets a bundle join a filling that has not come to its rate yet.
  private mutating func admit(_ index: Int32) {
    let bundle = bundles.base + Int(index)
    if bundle.pointee.stamp == epoch { return }
    bundle.pointee.stamp = epoch
    affected.append(index)
    let weight = bundle.pointee.weight
    for place in 0..<bundle.pointee.active {
      let entry = entries[bundle.pointee.start + place]
      let link = links.base + Int(entry.link)
      if link.pointee.stamp != epoch {
        touch(entry.link, because: bundle.pointee.bottleneck)
        link.pointee.room = link.pointee.capacity - link.pointee.load
        link.pointee.open = 0
        link.pointee.openFlows = 0
      }
      let count = Double(entry.count)
      link.pointee.room = max(0, link.pointee.room + count * weight * bundle.pointee.rate)
      link.pointee.open += count * weight
      link.pointee.openFlows += entry.count
      // Its share may have sunk; an older key of the link does no harm.
      pushKey(FillKey(level: link.pointee.room / link.pointee.open, link: entry.link))
    }
  }

  private mutating func prepare() {
    let links = self.links.base
    for place in 0..<touched.count {
      let link = links + Int(touched[place])
      link.pointee.room = link.pointee.capacity - link.pointee.load
      link.pointee.open = 0
      link.pointee.openFlows = 0
    }
    for place in 0..<affected.count {
      let bundle = bundles.base + Int(affected[place])
      let own = entries.column.base + Int(bundle.pointee.start)
      let weight = bundle.pointee.weight
      let rate = bundle.pointee.rate * weight
      for place in 0..<Int(bundle.pointee.active) {
        let link = links + Int(own[place].link)
        let count = Double(own[place].count)
        link.pointee.room += count * rate
        link.pointee.open += count * weight
        link.pointee.openFlows += own[place].count
      }
      counters.visits += Int(bundle.pointee.active)
    }
    for place in 0..<touched.count {
      let link = links + Int(touched[place])
      if link.pointee.openFlows == 0 { continue }
      // With everyone on the link affected, nothing need be inherited from earlier sums.
      if link.pointee.openFlows == link.pointee.flows {
        link.pointee.room = link.pointee.capacity
        link.pointee.open = link.pointee.demand
      }
      link.pointee.room = max(0, link.pointee.room)
      queue.append(FillKey(level: link.pointee.room / link.pointee.open, link: touched[place]))
    }
    var parent = (queue.count - 2) / 2
    while parent >= 0 && queue.count > 1 {
      sift(queue[parent], from: parent)
      parent -= 1
    }
  }

  @inline(__always)
  private mutating func fix(_ index: Int32, at level: Double, by bottleneck: Int32) {
    let bundle = bundles.base + Int(index)
    bundle.pointee.fixedStamp = fillEpoch
    bundle.pointee.newRate = level
    bundle.pointee.newBottleneck = bottleneck
    let own = entries.column.base + Int(bundle.pointee.start)
    let weight = bundle.pointee.weight
    for place in 0..<Int(bundle.pointee.active) {
      let link = links.base + Int(own[place].link)
      let taken = Double(own[place].count) * weight
      link.pointee.room = max(0, link.pointee.room - taken * level)
      link.pointee.open -= taken
      link.pointee.openFlows -= own[place].count
    }
  }

  /// Whether the filling must be repeated with more bundles or links.
  private mutating func widen() -> Bool {
    var isWider = false
    for place in 0..<affected.count {
      let index = affected[place]
      let bundle = bundles.base + Int(index)
      if bundle.pointee.fixedStamp != fillEpoch {
        // A split has left it with passive links only.
        activateShortest(of: index)
        isWider = true
        continue
      }
      if bundle.pointee.newRate <= bundle.pointee.headroom { continue }
      var headroom = Double.infinity
      for entry in bundle.pointee.active..<bundle.pointee.count {
        let link = links.base + Int(entries[bundle.pointee.start + entry].link)
        headroom = min(headroom, link.pointee.capacity / link.pointee.demand)
      }
      bundle.pointee.headroom = headroom
      if bundle.pointee.newRate <= headroom { continue }
      var entry = bundle.pointee.active
      while entry < bundle.pointee.count {
        let link = entries[bundle.pointee.start + entry].link
        // Activating moves other entries of the bundle to higher places only.
        if links[link].capacity / links[link].demand < bundle.pointee.newRate {
          if widens(link) { isWider = true }
        }
        entry += 1
      }
    }
    return isWider
  }

  private mutating func activateShortest(of index: Int32) {
    let bundle = bundles[index]
    var least = Double.infinity
    var shortest: Int32 = -1
    for place in 0..<bundle.count {
      let link = entries[bundle.start + place].link
      let fair = links[link].capacity / links[link].demand
      if fair < least || shortest < 0 {
        least = fair
        shortest = link
      }
    }
    activate(shortest)
    touch(shortest)
  }

  /// Activates a link; whether the rates just found are too much for it.
  private mutating func widens(_ index: Int32) -> Bool {
    activate(index)
    touch(index)
    let link = links.base + Int(index)
    var load = 0.0
    for place in 0..<link.pointee.count {
      let member = members[link.pointee.start + place]
      let bundle = bundles.base + Int(member.bundle)
      let rate = bundle.pointee.stamp == epoch ? bundle.pointee.newRate : bundle.pointee.rate
      load += Double(entries[bundle.pointee.start + member.entry].count) * bundle.pointee.weight * rate
    }
    link.pointee.room = link.pointee.capacity - load
    return load > link.pointee.capacity
  }

  private mutating func commit(at now: Double, blur: Double) {
    for place in 0..<affected.count {
      let index = affected[place]
      let bundle = bundles.base + Int(index)
      var bundleNow = now
      if bundle.pointee.bottleneck >= 0 {
        // Completions on its own bottleneck say best from when on a bundle is faster.
        let link = links.base + Int(bundle.pointee.bottleneck)
        if link.pointee.freed > 0 { bundleNow = link.pointee.moment / link.pointee.freed }
      }
      if bundle.pointee.bottleneck != bundle.pointee.newBottleneck {
        if bundle.pointee.bottleneck >= 0 {
          let old = links.base + Int(bundle.pointee.bottleneck)
          old.pointee.bottlenecked -= 1
          if old.pointee.bottlenecked == 0 { idle.append(bundle.pointee.bottleneck) }
        }
        links.base[Int(bundle.pointee.newBottleneck)].bottlenecked += 1
        bundle.pointee.bottleneck = bundle.pointee.newBottleneck
      }
      if bundle.pointee.rate != bundle.pointee.newRate { changeRate(of: index, at: bundleNow, blur: blur) }
      let first = flows.base[Int(bundle.pointee.root)].tag
      let isMoving = bundle.pointee.rate > 0
      times.set(
        index,
        isMoving ? bundle.pointee.since + (first - bundle.pointee.served) / bundle.pointee.rate : .infinity)
    }
    for place in 0..<touched.count {
      let link = links.base + Int(touched[place])
      if !link.pointee.isActive { continue }
      link.pointee.load = link.pointee.capacity - link.pointee.room
      if link.pointee.bottlenecked == 0 && link.pointee.flows <= link.pointee.checkAt {
        idle.append(touched[place])
      }
    }
    while let link = idle.popLast() {
      if links[link].isActive && links[link].bottlenecked == 0 { deactivateIfIdle(link) }
    }
  }

  @inline(__always)
  private mutating func changeRate(of index: Int32, at now: Double, blur: Double) {
    let bundle = bundles.base + Int(index)
    if let meter {
      let change = bundle.pointee.weight * (bundle.pointee.newRate - bundle.pointee.rate)
      for place in 0..<bundle.pointee.count {
        let entry = entries[bundle.pointee.start + place]
        meter.change(entry.link, by: Double(entry.count) * change, at: now)
      }
    }
    bundle.pointee.drift += abs(bundle.pointee.newRate - bundle.pointee.rate) * blur
    bundle.pointee.served += bundle.pointee.rate * (now - bundle.pointee.since)
    bundle.pointee.since = now
    bundle.pointee.rate = bundle.pointee.newRate
  }

  // MARK: The queue of links, by the level at which they fill up

  private mutating func popKey() {
    guard let last = queue.popLast(), queue.count > 0 else { return }
    sift(last, from: 0)
  }

  private mutating func pushKey(_ key: FillKey) {
    queue.append(key)
    var place = queue.count - 1
    while place > 0 {
      let parent = (place - 1) / 2
      if !(key < queue[parent]) { break }
      queue[place] = queue[parent]
      place = parent
    }
    queue[place] = key
  }

  @inline(__always)
  private mutating func sift(_ key: FillKey, from first: Int) {
    let keys = queue.base
    let count = queue.count
    var place = first
    while true {
      var child = 2 * place + 1
      if child >= count { break }
      if child + 1 < count && keys[child + 1] < keys[child] { child += 1 }
      if !(keys[child] < key) { break }
      keys[place] = keys[child]
      place = child
    }
    keys[place] = key
  }
}
