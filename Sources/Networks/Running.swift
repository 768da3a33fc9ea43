import Dispatch
import Units

extension Transfers {
  /// Runs every flow to its end.
  ///
  /// Parts of the network that no flow connects run on their own, on as many threads as wished; the result does not
  /// depend on their number.
  ///
  /// - Parameters:
  ///   - overhead: before each flow, in addition to its route's latency.
  ///   - useBuckets: into how many equal parts of `useUntil` links' loads are gathered; 0 for not at all.
  /// - Throws: ``NetworkError/missingRoute(index:routes:)`` when a flow's route is not in the table.
  /// - Complexity: in practice about O(n log n) in flows for parts of one size.
  public func run(
    on links: LinkTable, _ routes: RouteTable, accuracy: Accuracy = .standard, overhead: Span = .zero,
    threads: Int = 1,
    useBuckets: Int = 0, useUntil: Span = .zero
  ) throws(NetworkError) -> TransferTimes {
    for route in self.routes where route < 0 || route >= routes.count {
      throw .missingRoute(index: Int(route), routes: routes.count)
    }
    let parts = Parts(self, links, routes)
    var began = Array(repeating: Instant.start, count: count)
    var ended = began
    var carried = Array(repeating: Bytes.zero, count: links.count)
    let work = PartWork(
      transfers: self, links: links, routes: routes, accuracy: accuracy, overhead: overhead, parts: parts,
      useBuckets: useBuckets, bucket: (Double(useUntil.picoseconds) / Double(max(useBuckets, 1))).rounded(.up)
    )
    var outcomes = Array(repeating: PartOutcome(), count: parts.count)
    began.withUnsafeMutableBufferPointer { began in
      ended.withUnsafeMutableBufferPointer { ended in
        carried.withUnsafeMutableBufferPointer { carried in
          outcomes.withUnsafeMutableBufferPointer { outcomes in
            let target = PartTarget(began: began, ended: ended, carried: carried, outcomes: outcomes)
            let workers = max(1, min(threads, parts.count))
            if workers == 1 {
              for part in 0..<parts.count { work.run(part, into: target) }
            } else {
              DispatchQueue.concurrentPerform(iterations: workers) { worker in
                for part in stride(from: worker, to: parts.count, by: workers) {
                  work.run(part, into: target)
                }
              }
            }
          }
        }
      }
    }
    return gather(outcomes, TransferTimes(began: began, ended: ended, carried: carried), links, work)
  }

  private func gather(
    _ outcomes: [PartOutcome], _ times: TransferTimes, _ links: LinkTable, _ work: PartWork
  ) -> TransferTimes {
    var times = times
    times.parts = outcomes.count
    var sum = 0.0
    var most = 0.0
    for outcome in outcomes {
      times.counters += outcome.counters
      sum += outcome.driftSum
      most = max(most, outcome.driftMost)
    }
    times.meanError = Span(modelled: sum / Double(max(count, 1)) * 1e-12)
    times.mostError = Span(modelled: most * 1e-12)
    if work.useBuckets > 0 {
      var bytes = Array(repeating: [Double](), count: links.count)
      for outcome in outcomes { for (link, carried) in outcome.use { bytes[Int(link)] = carried } }
      times.use = LinkUse(width: Span(picoseconds: Int64(work.bucket)), bytes: bytes, links: links)
    }
    return times
  }
}

/// Which flows share links, directly or through others: the connected parts of a network.
struct Parts: Sendable {
  /// Flows and links of part `p` are `flows[flowOffsets[p]..<flowOffsets[p + 1]]` and likewise, ascending.
  var flowOffsets: [Int32] = [0]
  var flows: [Int32]
  var linkOffsets: [Int32] = [0]
  var links: [Int32]
  /// Each route's links as places within their part.
  var localRoutes: [Int32]

  var count: Int { flowOffsets.count - 1 }

  init(_ transfers: Transfers, _ table: LinkTable, _ routes: RouteTable) {
    var parents = (0..<Int32(table.count)).map { $0 }
    func root(_ link: Int32) -> Int32 {
      var link = Int(link)
      while parents[link] != link {
        parents[link] = parents[Int(parents[link])]
        link = Int(parents[link])
      }
      return Int32(link)
    }
    var isUsed = Array(repeating: false, count: routes.count)
    for route in transfers.routes { isUsed[Int(route)] = true }
    for route in 0..<routes.count where isUsed[route] {
      let own = routes.links[Int(routes.offsets[route])..<Int(routes.offsets[route + 1])]
      guard let first = own.first else { continue }
      for link in own.dropFirst() {
        let one = root(first)
        let other = root(link)
        if one != other { parents[Int(max(one, other))] = min(one, other) }
      }
    }
    // Parts in the order of their first flows.
    var partOfRoot = Array(repeating: Int32(-1), count: table.count)
    var partOfRoute = Array(repeating: Int32(-1), count: routes.count)
    var sizes: [Int32] = []
    for route in transfers.routes {
      var part = partOfRoute[Int(route)]
      if part < 0 {
        let top = Int(root(routes.links[Int(routes.offsets[Int(route)])]))
        if partOfRoot[top] < 0 {
          partOfRoot[top] = Int32(sizes.count)
          sizes.append(0)
        }
        part = partOfRoot[top]
        partOfRoute[Int(route)] = part
      }
      sizes[Int(part)] += 1
    }
    for size in sizes { flowOffsets.append((flowOffsets.last ?? 0) + size) }
    flows = Array(repeating: 0, count: transfers.count)
    var next = flowOffsets
    for (flow, route) in transfers.routes.enumerated() {
      let part = Int(partOfRoute[Int(route)])
      flows[Int(next[part])] = Int32(flow)
      next[part] += 1
    }
    var linkSizes = Array(repeating: Int32(0), count: sizes.count)
    var local = Array(repeating: Int32(-1), count: table.count)
    for link in 0..<table.count {
      let part = Int(partOfRoot[Int(root(Int32(link)))])
      if part < 0 { continue }
      local[link] = linkSizes[part]
      linkSizes[part] += 1
    }
    for size in linkSizes { linkOffsets.append((linkOffsets.last ?? 0) + size) }
    links = Array(repeating: 0, count: Int(linkOffsets.last ?? 0))
    for link in 0..<table.count where local[link] >= 0 {
      links[Int(linkOffsets[Int(partOfRoot[Int(root(Int32(link)))])] + local[link])] = Int32(link)
    }
    localRoutes = routes.links.map { local[Int($0)] }
  }
}

struct PartOutcome: Sendable {
  var counters = NetworkCounters()
  var driftSum = 0.0
  var driftMost = 0.0
  var use: [(link: Int32, bytes: [Double])] = []
}

/// Where parts write; each its own flows, links and outcome, so that threads need no locks.
struct PartTarget: @unchecked Sendable {
  let began: UnsafeMutableBufferPointer<Instant>
  let ended: UnsafeMutableBufferPointer<Instant>
  let carried: UnsafeMutableBufferPointer<Bytes>
  let outcomes: UnsafeMutableBufferPointer<PartOutcome>
}

struct PartWork: Sendable {
  let transfers: Transfers
  let links: LinkTable
  let routes: RouteTable
  let accuracy: Accuracy
  let overhead: Span
  let parts: Parts
  let useBuckets: Int
  /// Picoseconds.
  let bucket: Double

  /// Runs one part to its end.
  func run(_ part: Int, into target: PartTarget) {
    let flows = parts.flows[Int(parts.flowOffsets[part])..<Int(parts.flowOffsets[part + 1])]
    let ownLinks = parts.links[Int(parts.linkOffsets[part])..<Int(parts.linkOffsets[part + 1])]
    var ready = flows.map { (time: transfers.ready(Int($0), on: routes, overhead: overhead), flow: $0) }
    // By time, then by flow; most lists come sorted.
    if zip(ready, ready.dropFirst()).contains(where: { $0.time > $1.time }) {
      ready.sort { $0.time < $1.time || ($0.time == $1.time && $0.flow < $1.flow) }
    }
    parts.localRoutes.withUnsafeBufferPointer { localRoutes in
      guard let base = localRoutes.baseAddress else { return }
      var pool = Pool(
        capacities: ownLinks.lazy.map { links.capacities[Int($0)] }, routes: base, flows: flows.count)
      if useBuckets > 0 { pool.meter = LoadMeter(links: ownLinks.count, buckets: useBuckets, width: bucket) }
      for (time, flow) in ready { add(Int(flow), at: time, to: &pool, target) }
      drive(&pool, ready, target)
      for (local, link) in ownLinks.enumerated() {
        target.carried[Int(link)] = Bytes(pool.carried[local])
        if let meter = pool.meter { target.outcomes[part].use.append((link, meter.bytes(of: local))) }
      }
      target.outcomes[part].counters = pool.counters
      target.outcomes[part].driftSum = pool.driftSum
      target.outcomes[part].driftMost = pool.driftMost
    }
  }

  private func add(_ flow: Int, at ready: Int64, to pool: inout Pool, _ target: PartTarget) {
    let route = Int(transfers.routes[flow])
    var state = Pool.Flow(
      bytes: transfers.bytes[flow], weight: transfers.weight(of: flow), routeStart: routes.offsets[route],
      routeCount: routes.offsets[route + 1] - routes.offsets[route])
    let limit = transfers.limit(of: flow)
    if limit.isFinite { state.limit = pool.addLink(capacity: limit) }
    pool.flows.append(state)
    target.began[flow] = Instant(picoseconds: ready)
    target.ended[flow] = Instant(picoseconds: ready)
  }

  private func drive(
    _ pool: inout Pool, _ ready: [(time: Int64, flow: Int32)], _ target: PartTarget
  ) {
    let (window, share) = accuracy.limits
    var next = 0
    while true {
      let start = next < ready.count ? Double(ready[next].time) : .infinity
      let completion = pool.nextCompletion()
      if start <= completion {
        if start == .infinity { break }
        let time = ready[next].time
        while next < ready.count && ready[next].time == time {
          // A message of no bytes ends where it would begin.
          if pool.flows[next].bytes > 0 { pool.join(Int32(next)) }
          next += 1
        }
        pool.settle(at: start)
      } else {
        pool.completeNext(window: window, share: share, horizon: start)
        for place in 0..<pool.finished.count {
          let finish = pool.finished[place]
          target.ended[Int(ready[Int(finish.flow)].flow)] =
            Instant(picoseconds: Int64(finish.time.rounded(.toNearestOrEven)))
        }
        pool.finished.removeAll()
      }
    }
  }
}
