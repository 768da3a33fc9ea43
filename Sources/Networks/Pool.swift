/// Flows that share links by max-min fairness: the columns, and how flows join and leave.
///
/// *Bundles.* Flows of one bundle have one weight and at every moment one rate, so their order of completion never
/// changes: each carries a tag, the bytes that a flow of weight 1 must have been served when it ends, in a heap. A
/// change of the rate then costs the same for one flow as for a thousand. Any grouping is right, because a link that
/// fills up splits the bundles of which only a part passes it (`PoolFill.swift`); flows are grouped by the links of
/// their route that are likely to be short.
///
/// *Active links.* Only links that can fill up take part in filling. A link is passive while no bundle on it
/// has a rate above `capacity / demand`: then its load cannot pass its capacity, whoever else is on it.
///
/// Times are picoseconds, rates bytes per picosecond (per unit of weight).
struct Pool: ~Copyable {
  struct Link: BitwiseCopyable {
    var capacity: Double
    /// Weights of the flows on the link.
    var demand = 0.0
    /// What the flows take of an active link.
    var load = 0.0
    /// Filling: what is left, and the weights of the flows whose rate is still open.
    var room = 0.0
    var open = 0.0
    var openFlows: Int32 = 0
    /// Settling: the rates of the flows that have ended here, and these times when.
    var freed = 0.0
    var moment = 0.0
    var flows: Int32 = 0
    /// Bundles whose rate this link sets.
    var bottlenecked: Int32 = 0
    /// The number of flows at which to look again whether the link can become passive.
    var checkAt: Int32 = 0
    var stamp: Int32 = 0
    /// The bundles on the link: a segment of `members`.
    var start: Int32 = 0
    var count: Int32 = 0
    var logarithm: Int32 = -1
    var isActive = false
  }

  struct Member: BitwiseCopyable {
    var bundle: Int32
    /// Place in the bundle's segment of `entries`.
    var entry: Int32
  }

  /// A bundle on a link: how many of its flows pass there.
  struct Entry: BitwiseCopyable {
    var link: Int32
    var count: Int32
    /// Place in the link's segment of `members`.
    var position: Int32
  }

  struct Bundle: BitwiseCopyable {
    var rate = 0.0
    /// Bytes served to a flow of weight 1 until `since`.
    var served = 0.0
    var since = 0.0
    var weight = 1.0
    /// The rate up to which the bundle's passive links are known to suffice.
    var headroom = 0.0
    var newRate = 0.0
    /// To first order, how far `served` may be off because completions were taken together.
    var drift = 0.0
    var key: UInt64 = 0
    /// The flow that ends first, -1 for none.
    var root: Int32 = -1
    var size: Int32 = 0
    var bottleneck: Int32 = -1
    var newBottleneck: Int32 = -1
    /// Its links: a segment of `entries`, the active ones first.
    var start: Int32 = 0
    var count: Int32 = 0
    var active: Int32 = 0
    var logarithm: Int32 = 0
    var stamp: Int32 = 0
    var fixedStamp: Int32 = 0
  }

  struct Flow: BitwiseCopyable {
    var tag = 0.0
    var began = 0.0
    var bytes: Int64
    var weight: Double
    var bundle: Int32 = -1
    /// The heap of the bundle's tags: a pairing heap, first child and next sibling.
    var child: Int32 = -1
    var sibling: Int32 = -1
    var routeStart: Int32
    var routeCount: Int32
    /// A link of its own that limits the flow's rate, -1 for none.
    var limit: Int32 = -1
  }

  struct Finish: BitwiseCopyable {
    var flow: Int32
    var time: Double
  }

  /// A bundle that would gather more links than this is closed, so that searching its entries stays cheap.
  static let mostEntries: Int32 = 48
  /// Links count as likely to be short up to this multiple of the least `capacity / demand` on the route.
  static let likelyShort = 2.0
  /// Stands for a rate set free elsewhere: it counts for when, not for how much.
  static let trace = 1e-30
  /// Completions are taken together only up to this part of the accuracy's share of errors in a flow's duration.
  static let most = 0.03

  /// The routes' links, owned by whoever owns the pool.
  let routes: UnsafePointer<Int32>
  var links: Column<Link>
  var flows: Column<Flow>
  var bundles: Column<Bundle>
  var times: EarliestTimes
  var members = Segments<Member>(capacity: 1024)
  var entries = Segments<Entry>(capacity: 1024)
  /// Whole bytes that completed flows have carried over each link.
  var carried: Column<Int64>

  /// Finds a bundle for a key; forgetful, which only costs bundles.
  var table: Column<Int32>
  var freeBundles = Column<Int32>()
  /// Flows that have come since the last settlement.
  var joining = Column<Int32>()
  /// Passive links whose demand has grown, or whose capacity has shrunk, since then.
  var rechecked = Column<Int32>()

  // One settlement's lists; a link or bundle is in it when its stamp is `epoch`.
  var epoch: Int32 = 1
  var fillEpoch: Int32 = 0
  var touched = Column<Int32>()
  var affected = Column<Int32>()
  var admitted = Column<Int32>()
  var open = Column<Member>()
  var idle = Column<Int32>()
  var queue = Column<FillKey>()
  var stack = Column<Int32>()

  var finished = Column<Finish>()
  var meter: LoadMeter?
  var counters = NetworkCounters()
  var driftSum = 0.0
  var driftMost = 0.0
  var live = 0
  /// When the pool last ceased to be empty.
  var origin = 0.0

  init(capacities: some Collection<Double>, routes: UnsafePointer<Int32>, flows: Int) {
    self.routes = routes
    links = Column(capacity: capacities.count)
    for capacity in capacities { links.append(Link(capacity: capacity)) }
    carried = Column(repeating: 0, count: capacities.count)
    self.flows = Column(capacity: flows)
    bundles = Column(capacity: 64)
    times = EarliestTimes()
    var size = 256
    while size < 2 * flows && size < 1 << 20 { size *= 2 }
    table = Column(repeating: -1, count: size)
  }

  /// Calls `body` with each link of a flow.
  @inline(__always)
  func forEachLink(of flow: Flow, _ body: (Int32) -> Void) {
    let route = routes + Int(flow.routeStart)
    for place in 0..<Int(flow.routeCount) { body(route[place]) }
    if flow.limit >= 0 { body(flow.limit) }
  }

  /// A private link for one flow's limit.
  mutating func addLink(capacity: Double) -> Int32 {
    links.append(Link(capacity: capacity))
    carried.append(0)
    return Int32(links.count - 1)
  }

  /// Announces a flow; it shares from the next settlement on.
  mutating func join(_ index: Int32) {
    let flow = flows[index]
    let links = self.links.base
    let epoch = self.epoch
    for place in 0..<flow.routeCount + (flow.limit >= 0 ? 1 : 0) {
      let link = place < flow.routeCount ? routes[Int(flow.routeStart + place)] : flow.limit
      links[Int(link)].demand += flow.weight
      links[Int(link)].flows += 1
      // The sign marks it as listed already; touching overwrites the mark, which costs a second look at most.
      if !links[Int(link)].isActive, links[Int(link)].stamp != -epoch {
        links[Int(link)].stamp = -epoch
        rechecked.append(link)
      }
    }
    joining.append(index)
    live += 1
  }

  /// Puts a flow that has joined into a bundle, and returns that.
  mutating func place(_ index: Int32, at now: Double) -> Int32 {
    let flow = flows[index]
    var least = Double.infinity
    let links = self.links.base
    forEachLink(of: flow) { least = min(least, links[Int($0)].capacity / links[Int($0)].demand) }
    let bound = least * Self.likelyShort
    var key = flow.weight.bitPattern ^ 0x9E37_79B9_7F4A_7C15
    forEachLink(of: flow) { link in
      if links[Int(link)].capacity / links[Int(link)].demand <= bound {
        key = (key ^ UInt64(UInt32(bitPattern: link))) &* 0xBF58_476D_1CE4_E5B9
        key ^= key >> 29
      }
    }
    let slot = Int(truncatingIfNeeded: key & UInt64(table.count - 1))
    var bundle = table[slot]
    let isKnown =
      bundle >= 0 && bundles[bundle].key == key && bundles[bundle].size > 0
      && bundles[bundle].weight == flow.weight
      && bundles[bundle].count + flow.routeCount < Self.mostEntries
    if !isKnown {
      bundle = makeBundle(key: key, weight: flow.weight, at: now)
      table[slot] = bundle
      // Every bundle needs a link that can fill up.
      for place in 0..<flow.routeCount + (flow.limit >= 0 ? 1 : 0) {
        let link = place < flow.routeCount ? routes[Int(flow.routeStart + place)] : flow.limit
        if !links[Int(link)].isActive, links[Int(link)].capacity / links[Int(link)].demand <= bound {
          activate(link)
        }
      }
    }
    let state = bundles[bundle]
    insert(index, into: bundle)
    flows.base[Int(index)].began = now
    flows.base[Int(index)].tag =
      state.served + state.rate * (now - state.since) + Double(flow.bytes) / flow.weight
    bundles[bundle].root = meld(bundles[bundle].root, index)
    if let meter, state.rate > 0 {
      forEachLink(of: flow) { meter.change($0, by: flow.weight * state.rate, at: now) }
    }
    return bundle
  }

  mutating func makeBundle(key: UInt64, weight: Double, at now: Double) -> Int32 {
    var bundle = Bundle()
    bundle.key = key
    bundle.weight = weight
    bundle.since = now
    bundle.logarithm = 3
    bundle.start = entries.allocate(logarithm: 3, filler: Entry(link: 0, count: 0, position: 0))
    if let index = freeBundles.popLast() {
      bundles[index] = bundle
      return index
    }
    bundles.append(bundle)
    times.append()
    return Int32(bundles.count - 1)
  }

  mutating func freeBundle(_ index: Int32) {
    let bundle = bundles[index]
    if bundle.bottleneck >= 0 {
      let link = links.base + Int(bundle.bottleneck)
      link.pointee.bottlenecked -= 1
      if link.pointee.bottlenecked == 0 { idle.append(bundle.bottleneck) }
    }
    entries.release(bundle.start, logarithm: Int(bundle.logarithm))
    bundles.base[Int(index)].key = 0
    times.set(index, .infinity)
    freeBundles.append(index)
  }

  /// Counts a flow into a bundle's entries; its tag and place in the heap are up to the caller.
  mutating func insert(_ index: Int32, into bundle: Int32) {
    let flow = flows[index]
    flows.base[Int(index)].bundle = bundle
    bundles.base[Int(bundle)].size += 1
    let flowRate = flow.weight * bundles[bundle].rate
    for place in 0..<flow.routeCount + (flow.limit >= 0 ? 1 : 0) {
      let link = place < flow.routeCount ? routes[Int(flow.routeStart + place)] : flow.limit
      if links.base[Int(link)].isActive { links.base[Int(link)].load += flowRate }
      let entry = find(link, in: bundle)
      if entry >= 0 {
        entries.column.base[Int(bundles[bundle].start + entry)].count += 1
      } else {
        addEntry(link, to: bundle)
      }
    }
  }

  /// Takes a flow that has ended out of its bundle and off its links.
  mutating func remove(_ index: Int32, at time: Double) {
    let flow = flows[index]
    let bundle = flow.bundle
    let flowRate = flow.weight * bundles[bundle].rate
    for place in 0..<flow.routeCount + (flow.limit >= 0 ? 1 : 0) {
      let link = place < flow.routeCount ? routes[Int(flow.routeStart + place)] : flow.limit
      let state = links.base + Int(link)
      state.pointee.demand -= flow.weight
      state.pointee.flows -= 1
      carried[link] += flow.bytes
      if state.pointee.isActive {
        state.pointee.load -= flowRate
        if state.pointee.bottlenecked > 0 {
          touch(link)
          state.pointee.moment = (state.pointee.freed > 0 ? state.pointee.moment : 0) + flowRate * time
          state.pointee.freed += flowRate
        }
      }
      if state.pointee.flows == 0 {
        // What rounding has left.
        state.pointee.demand = 0
        state.pointee.load = 0
      }
      discount(link, in: bundle)
    }
    bundles.base[Int(bundle)].size -= 1
    live -= 1
    if bundles[bundle].size == 0 { freeBundle(bundle) }
  }

  /// Where a link stands in a bundle's segment, -1 for nowhere.
  @inline(__always)
  func find(_ link: Int32, in bundle: Int32) -> Int32 {
    let state = bundles[bundle]
    let own = entries.column.base + Int(state.start)
    for place in 0..<state.count where own[Int(place)].link == link { return place }
    return -1
  }

  @inline(__always)
  mutating func discount(_ link: Int32, in bundle: Int32) {
    let place = find(link, in: bundle)
    let entry = entries.column.base + Int(bundles[bundle].start + place)
    entry.pointee.count -= 1
    if entry.pointee.count == 0 { removeEntry(place, of: bundle) }
  }
}
