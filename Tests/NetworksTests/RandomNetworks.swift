import Networks
import TestSupport
import Units

/// A network with flows on it.
struct Drawn {
  var links = LinkTable()
  var routes = RouteTable()
  var transfers = Transfers()

  /// Draws one; transfers last seconds to minutes, so that picoseconds are no limit to comparing them.
  init(_ random: inout SeededGenerator) throws {
    let linkCount = random.pick(1...24)
    let capacities = [1e9, 2e9, 5e9, 1e10, 3.7e9]
    for link in 0..<linkCount {
      let capacity = random.chance(3) ? Double(random.pick(1...1000)) * 1e7 : capacities[random.below(5)]
      try links.add(
        "l\(link)", capacity: BytesPerSecond(capacity),
        latency: Span(microseconds: Double(random.pick(0...20))))
    }
    let routeCount = random.pick(1...40)
    for _ in 0..<routeCount {
      var all = (0..<linkCount).map { LinkID($0) }
      all.shuffle(using: &random)
      try routes.add(Array(all.prefix(random.pick(1...min(6, linkCount)))), of: links)
    }
    let hasWeights = random.chance(3)
    let hasLimits = random.chance(3)
    let isStaggered = random.chance(2)
    let sizes = random.chance(4) ? 1 : 50
    for _ in 0..<random.pick(1...90) {
      try transfers.add(
        RouteID(random.below(routeCount)),
        random.chance(30) ? .zero : Bytes(Int64(random.pick(1...sizes)) * 987_654_321),
        at: isStaggered ? Instant(picoseconds: Int64(random.pick(0...30)) * 333_333_333_333) : .start,
        weight: hasWeights ? [1, 2, 0.5, 0.3][random.below(4)] : 1,
        limit: hasLimits && random.chance(2) ? BytesPerSecond(Double(random.pick(1...60)) * 1e7) : nil)
    }
  }
}

/// The largest relative difference of two lists of times, in seconds.
func difference(_ times: [Instant], _ reference: [Double]) -> Double {
  zip(times, reference).map { abs($0.sinceStart.seconds - $1) / max($1, 1e-3) }.max() ?? 0
}
