/// Completions, alone or those of a quantum together.
extension Pool {
  /// When a flow ends next if nothing else happens; infinity when none moves.
  mutating func nextCompletion() -> Double { times.earliest() }

  /// Ends every flow that is due within `quantum` of the next completion, each at its own predicted time, and gives the
  /// others their new rates from the middle of these times on, weighted by the rates set free.
  ///
  /// - Parameter horizon: nothing after this is ended.
  mutating func completeNext(quantum: Double, horizon: Double) {
    let first = times.earliest()
    // Completions closer than this are one in exact mode too; what separates them is rounding.
    let simultaneous = max(0.01, first * 1e-13)
    let end = min(first + max(quantum, simultaneous), max(horizon, first))
    stack.removeAll()
    times.collect(until: end, into: &stack)
    var freed = 0.0
    var moment = 0.0
    var last = first
    for place in 0..<stack.count {
      let index = stack[place]
      let state = bundles[index]
      let drift = state.drift / state.rate
      while bundles[index].size > 0 {
        let root = bundles[index].root
        var time = state.since + (flows[root].tag - state.served) / state.rate
        if time > end {
          times.set(index, time)
          break
        }
        time = max(time, first)
        last = max(last, time)
        let rate = state.rate * state.weight
        freed += rate
        moment += rate * (time - first)
        if let meter { forEachLink(of: flows[root]) { meter.change($0, by: -rate, at: time) } }
        if quantum > 0 {
          driftSum += drift
          driftMost = max(driftMost, drift)
        }
        finished.append(Finish(flow: root, time: time))
        bundles.base[Int(index)].root = meldChildren(of: root)
        remove(root, at: time)
      }
    }
    let now = freed > 0 ? first + moment / freed : first
    settle(at: now, blur: quantum > 0 ? max(now - first, last - now) : 0)
  }
}
