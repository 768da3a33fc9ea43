import Units

/// A flow of a ``FlowEngine``, until its completion has been taken.
@frozen
public struct FlowID: Hashable, Sendable {
  @usableFromInline let index: Int32
  @inlinable init(index: Int32) { self.index = index }
}

/// The end of a flow.
@frozen
public struct Completion: Hashable, Sendable {
  /// What the starter called the flow.
  public let label: Int
  public let at: Instant
}

/// A network that a simulator drives: flows start while it runs, links fail and recover.
///
/// The driver asks for ``nextEvent()``, advances to it or to an earlier event of its own, takes the completions, and
/// starts what follows from them. Completions come in the order of time, then of starting.
///
/// ```
/// while let event = try network.nextEvent() {
///   try network.advance(to: event)
///   for completion in network.takeCompletions() { … start(…, at: completion.at) … }
/// }
/// ```
public final class FlowEngine {
  private let links: LinkTable
  private let routeTable: RouteTable
  private let routes: Column<Int32>
  private let window: Double
  private let share: Double
  private var pool: Pool
  /// Flows that wait for their first byte, and completions that lie ahead: heaps by time, then order of starting.
  private var waiting: EventHeap
  private var done: EventHeap
  private var labels = Column<Int>()
  private var order = Column<UInt32>()
  private var freeFlows = Column<Int32>()
  private var freeLimits: [Int32] = []
  private var started: UInt32 = 0
  private var taken: [Completion] = []

  /// The network's clock.
  public private(set) var now = Instant.start
  /// Flows that have started and not ended.
  public private(set) var flowsUnderWay = 0

  /// - Parameter accuracy: a driver's decisions depend on completions, so the default is exact.
  public init(_ links: LinkTable, _ routes: RouteTable, accuracy: Accuracy = .exact) {
    self.links = links
    routeTable = routes
    var column = Column<Int32>(capacity: routes.links.count)
    for link in routes.links { column.append(link) }
    pool = Pool(capacities: links.capacities, routes: UnsafePointer(column.base), flows: 4096)
    self.routes = column
    (window, share) = accuracy.limits
    waiting = EventHeap()
    done = EventHeap()
  }

  public var counters: NetworkCounters { pool.counters }

  /// Starts a flow; its first byte leaves after `overhead` and the route's latency.
  ///
  /// - Parameter label: comes back with the completion.
  /// - Throws: ``NetworkError`` for a route that is not there, a size below zero, a weight or limit that is not
  ///   positive, or a start before the clock.
  public func start(
    _ route: RouteID, _ size: Bytes, at start: Instant, label: Int, overhead: Span = .zero,
    weight: Double = 1,
    limit: BytesPerSecond? = nil
  ) throws(NetworkError) {
    guard route.index >= 0, route.index < routeTable.count else {
      throw .missingRoute(index: Int(route.index), routes: routeTable.count)
    }
    try check(size: size, weight: weight, limit: limit)
    if start < now { throw .beforeNow(at: start, now: now) }
    let offset = routeTable.offsets[Int(route.index)]
    var flow = Pool.Flow(
      bytes: size.count, weight: weight, routeStart: offset,
      routeCount: routeTable.offsets[Int(route.index) + 1] - offset)
    if let limit {
      if let free = freeLimits.popLast() {
        flow.limit = free
        pool.setCapacity(of: free, to: limit.value * 1e-12)
      } else {
        flow.limit = pool.addLink(capacity: limit.value * 1e-12)
      }
    }
    let index: Int32
    if let free = freeFlows.popLast() {
      index = free
      pool.flows[index] = flow
      labels[index] = label
      order[index] = started
    } else {
      index = Int32(pool.flows.count)
      pool.flows.append(flow)
      labels.append(label)
      order.append(started)
    }
    let ready = (start + overhead + routeTable.latency(of: route)).picoseconds
    if size == .zero {
      done.push(ready, order: started, payload: index)
    } else {
      waiting.push(ready, order: started, payload: index)
    }
    started += 1
    flowsUnderWay += 1
  }

  /// Sets what a link carries from `at` on: less when it degrades, nothing when it fails, more when it is repaired.
  ///
  /// Flows on a failed link stand still until it is repaired.
  ///
  /// - Throws: ``NetworkError/badCapacity(link:bytesPerSecond:)`` below zero,
  ///   ``NetworkError/beforeNow(at:now:)``.
  public func setCapacity(of link: LinkID, to capacity: BytesPerSecond, at: Instant) throws(NetworkError) {
    guard capacity.value >= 0, capacity.value.isFinite else {
      throw .badCapacity(link: links.name(of: link), bytesPerSecond: capacity.value)
    }
    try advance(to: at)
    pool.setCapacity(of: link.index, to: capacity.value * 1e-12)
    pool.settle(at: Double(at.picoseconds))
  }

  /// When something happens next: a flow begins to transfer or ends; nil when nothing is under way.
  ///
  /// - Throws: ``NetworkError/stalled(flows:links:)`` when flows are left that nothing but a repair can move.
  public func nextEvent() throws(NetworkError) -> Instant? {
    let next = nextTime()
    if next != .max { return max(now, Instant(picoseconds: next)) }
    if flowsUnderWay == 0 { return nil }
    throw .stalled(flows: pool.live, links: failedLinks())
  }

  private func nextTime() -> Int64 {
    let completion = pool.nextCompletion()
    let rounded = completion.isFinite ? Int64(completion.rounded(.toNearestOrEven)) : .max
    return min(waiting.first, min(done.first, rounded))
  }

  /// Lets everything happen until `instant`, inclusively.
  ///
  /// - Throws: ``NetworkError/beforeNow(at:now:)``.
  public func advance(to instant: Instant) throws(NetworkError) {
    if instant < now { throw .beforeNow(at: instant, now: now) }
    let end = instant.picoseconds
    while true {
      let begin = waiting.first
      let completion = pool.nextCompletion()
      // Completions are whole picoseconds outside; what rounds to `end` belongs to it.
      let due = completion.isFinite ? Int64(completion.rounded(.toNearestOrEven)) : .max
      if begin <= due {
        if begin > end { break }
        while waiting.first == begin, let index = waiting.pop() { pool.join(index) }
        pool.settle(at: Double(begin))
      } else {
        if due > end { break }
        pool.completeNext(
          window: window, share: share, horizon: begin == .max ? .infinity : Double(begin))
        for place in 0..<pool.finished.count {
          let finish = pool.finished[place]
          let time = Int64(finish.time.rounded(.toNearestOrEven))
          done.push(max(time, now.picoseconds), order: order[finish.flow], payload: finish.flow)
        }
        pool.finished.removeAll()
      }
    }
    now = instant
    while done.first <= end {
      let time = done.first
      guard let index = done.pop() else { break }
      taken.append(Completion(label: labels[index], at: Instant(picoseconds: time)))
      if pool.flows[index].limit >= 0 { freeLimits.append(pool.flows[index].limit) }
      freeFlows.append(index)
      flowsUnderWay -= 1
    }
  }

  /// The completions until now that have not been taken yet, by time, then by order of starting.
  public func takeCompletions() -> [Completion] {
    defer { taken.removeAll(keepingCapacity: true) }
    return taken
  }

  /// Whole bytes that flows which have ended took over a link.
  public func carried(over link: LinkID) -> Bytes { Bytes(pool.carried[link.index]) }

  /// What the flows on a link take of it now.
  public func load(of link: LinkID) -> BytesPerSecond {
    BytesPerSecond(pool.currentLoad(of: link.index) * 1e12)
  }

  private func failedLinks() -> [String] {
    (0..<links.count).filter { pool.links[$0].capacity == 0 && pool.links[$0].flows > 0 }.map {
      links.names[$0]
    }
  }
}

/// Payloads by time, then by order.
struct EventHeap: ~Copyable {
  private var keys = Column<Key>()

  /// What lies ahead, and when.
  struct Key: BitwiseCopyable {
    var time: Int64
    var order: UInt32
    var payload: Int32

    @inline(__always) static func < (a: Self, b: Self) -> Bool {
      a.time < b.time || (a.time == b.time && a.order < b.order)
    }
  }

  /// The earliest time, `Int64.max` when there is none.
  var first: Int64 { keys.count > 0 ? keys[0].time : .max }

  mutating func push(_ time: Int64, order: UInt32, payload: Int32) {
    let key = Key(time: time, order: order, payload: payload)
    keys.append(key)
    var place = keys.count - 1
    while place > 0 {
      let parent = (place - 1) / 4
      if !(key < keys[parent]) { break }
      keys[place] = keys[parent]
      place = parent
    }
    keys[place] = key
  }

  mutating func pop() -> Int32? {
    guard let last = keys.popLast() else { return nil }
    if keys.count == 0 { return last.payload }
    let first = keys[0].payload
    var place = 0
    while true {
      let children = 4 * place + 1
      if children >= keys.count { break }
      var least = children
      for child in children..<min(children + 4, keys.count) where keys[child] < keys[least] { least = child }
      if !(keys[least] < last) { break }
      keys[place] = keys[least]
      place = least
    }
    keys[place] = last
    return first
  }
}
