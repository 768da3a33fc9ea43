/// Completions, alone or those of a quantum together.
extension Pool {
  /// When a flow ends next if nothing else happens; infinity when none moves.
  mutating func nextCompletion() -> Double { times.earliest() }

  /// Ends every flow that is due soon after the next completion, each at its own predicted time, and gives the others
  /// their new rates from the times when something was set free on their bottleneck.
  ///
  /// How soon: within `window`, and within `share` of the time for which the flow itself has been under way; but not
  /// where what has been set free on its bottleneck before would have let it end much earlier. What is left of that is
  /// taken off its time, to first order.
  ///
  /// - Parameter horizon: nothing after this is ended.
  mutating func completeNext(window: Double, share: Double, horizon: Double) {
    let first = times.earliest()
    // Completions closer than this are one in exact mode too; what separates them is rounding.
    let simultaneous = max(0.01, first * 1e-13)
    let quantum = min(window, share * (first - origin))
    let end = min(first + max(quantum, simultaneous), max(horizon, first))
    stack.removeAll()
    times.collect(until: end, into: &stack)
    var freed = 0.0
    var moment = 0.0
    var last = first
    sortDueByTime()
    for place in 0..<stack.count {
      let index = stack[place]
      let state = bundles[index]
      let bottleneck = links.base + Int(state.bottleneck)
      let drift = state.drift / state.rate
      while bundles[index].size > 0 {
        let root = bundles[index].root
        var time = state.since + (flows[root].tag - state.served) / state.rate
        // What has been set free on its bottleneck would have let it end this much earlier. Where that is too much,
        // the flow waits for its new rate; it may still end within the quantum.
        var late = 0.0
        if bottleneck.pointee.stamp == epoch && bottleneck.pointee.freed > 0 {
          late = (bottleneck.pointee.freed * time - bottleneck.pointee.moment) / bottleneck.pointee.capacity
        }
        let isMuch = late > Self.most * min(share, 1) * (time - flows[root].began)
        let isEarly = time - first > share * (first - flows[root].began)
        if time > end || ((isMuch || isEarly) && time > first + simultaneous) {
          times.set(index, time)
          break
        }
        time = max(time - late, first)
        last = max(last, time)
        let rate = state.rate * state.weight
        freed += rate
        moment += rate * (time - first)
        if let meter { forEachLink(of: flows[root]) { meter.change($0, by: -rate, at: time) } }
        if quantum > simultaneous {
          driftSum += drift
          driftMost = max(driftMost, drift)
        }
        finished.append(Finish(flow: root, time: time))
        bundles.base[Int(index)].root = meldChildren(of: root)
        remove(root, at: time)
      }
    }
    let now = freed > 0 ? first + moment / freed : first
    settle(at: now, blur: quantum > simultaneous ? max(now - first, last - now) : 0)
  }

  private func sortDueByTime() {
    let times = self.times.times.base
    let list = stack.base
    let count = stack.count
    if count > 64 {
      var all = UnsafeMutableBufferPointer(start: list, count: count)
      all.sort { (one: Int32, other: Int32) -> Bool in
        let first = times[Int(one)]
        let second = times[Int(other)]
        return first < second || (first == second && one < other)
      }
      return
    }
    var next = 1
    while next < count {
      let index = list[next]
      var place = next
      while place > 0 && times[Int(index)] < times[Int(list[place - 1])] {
        list[place] = list[place - 1]
        place -= 1
      }
      list[place] = index
      next += 1
    }
  }
}
