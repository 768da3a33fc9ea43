import Networks
import Testing
import Units

/// A network under construction, with links by number.
struct Sketch {
  var links = LinkTable()
  var routes = RouteTable()
  var transfers = Transfers()

  init(capacities: [Double], latency: Span = .zero) throws {
    for (index, capacity) in capacities.enumerated() {
      try links.add("l\(index)", capacity: BytesPerSecond(capacity), latency: latency)
    }
  }

  mutating func flow(_ route: [Int], _ bytes: Int, at start: Instant = .start) throws {
    try transfers.add(try routes.add(route.map { LinkID($0) }, of: links), Bytes(bytes), at: start)
  }

  func seconds(overhead: Span = .zero) throws -> [Double] {
    try transfers.run(on: links, routes, accuracy: .exact, overhead: overhead).ended.map(\.sinceStart.seconds)
  }
}

private func expectEqual(_ value: Double, _ expected: Double, _ comment: Comment? = nil) {
  #expect(abs(value - expected) <= 1e-9 * expected, comment)
}

@Suite struct `Closed forms` {
  @Test func `k senders to one receiver take k times as long as one`() throws {
    for senders in [1, 2, 7, 64, 500] {
      var sketch = try Sketch(capacities: Array(repeating: 50e9, count: senders + 1))
      for sender in 0..<senders { try sketch.flow([sender, senders], 80_000_000_000) }
      for time in try sketch.seconds() { expectEqual(time, Double(senders) * 1.6) }
    }
  }

  @Test func `two flows over one shared and one private link`() throws {
    // Both pass link 0; the second alone passes link 1, which is slower than half of link 0.
    var sketch = try Sketch(capacities: [10e9, 2e9])
    try sketch.flow([0], 40_000_000_000)
    try sketch.flow([0, 1], 40_000_000_000)
    let times = try sketch.seconds()
    expectEqual(times[0], 5)  // 8 GB/s, what the second leaves
    expectEqual(times[1], 20)
    // With a faster private link the shared one sets both rates, until the smaller flow has gone.
    var fair = try Sketch(capacities: [10e9, 9e9])
    try fair.flow([0], 20_000_000_000)
    try fair.flow([0, 1], 40_000_000_000)
    let fairTimes = try fair.seconds()
    expectEqual(fairTimes[0], 4)
    expectEqual(fairTimes[1], 4 + 20.0 / 9)
  }

  @Test func `a flow over many links gets on each as much as the flows over one`() throws {
    // The parking lot: one long flow, and a short one on each link.
    for hops in [2, 5, 30] {
      var sketch = try Sketch(capacities: Array(repeating: 10e9, count: hops))
      try sketch.flow(Array(0..<hops), 30_000_000_000)
      for hop in 0..<hops { try sketch.flow([hop], 20_000_000_000) }
      let times = try sketch.seconds()
      for hop in 0..<hops { expectEqual(times[hop + 1], 4) }
      expectEqual(times[0], 5)
    }
  }

  @Test func `a ring all-reduce takes 2 (n - 1) / n of the bytes per link, and its steps' latencies`() throws
  {
    for ranks in [2, 4, 16, 64] {
      let bytes = 64_000_000_000
      var links = LinkTable()
      var routes = RouteTable()
      for rank in 0..<ranks {
        let link = try links.add(
          "ring\(rank)", capacity: BytesPerSecond(25e9), latency: Span(microseconds: 2))
        try routes.add([link], of: links)
      }
      let engine = FlowEngine(links, routes)
      let steps = 2 * (ranks - 1)
      for rank in 0..<ranks { try engine.start(RouteID(rank), Bytes(bytes / ranks), at: .start, label: rank) }
      var last = Instant.start
      while let event = try engine.nextEvent() {
        try engine.advance(to: event)
        for completion in engine.takeCompletions() {
          last = completion.at
          // The chunk that a rank has received it passes on in the next step.
          let step = completion.label / ranks + 1
          let rank = (completion.label + 1) % ranks
          if step < steps {
            try engine.start(
              RouteID(rank), Bytes(bytes / ranks), at: completion.at, label: step * ranks + rank)
          }
        }
      }
      let one = Double(bytes / ranks) / 25e9 + 2e-6
      expectEqual(last.sinceStart.seconds, Double(steps) * one)
      for rank in 0..<ranks { #expect(engine.carried(over: LinkID(rank)) == Bytes(bytes / ranks * steps)) }
    }
  }

  @Test func `an all-to-all takes what its bisection lets through`() throws {
    // Two halves of 8 ranks on switches that one thin trunk each way connects.
    let ranks = 16
    var sketch = try Sketch(capacities: Array(repeating: 50e9, count: 2 * ranks) + [40e9, 40e9])
    for source in 0..<ranks {
      for target in 0..<ranks where target != source {
        let half = (source / 8, target / 8)
        let trunk = half.0 == half.1 ? [] : [2 * ranks + half.0]
        try sketch.flow([source] + trunk + [ranks + target], 5_000_000_000)
      }
    }
    let makespan = try sketch.seconds().max() ?? 0
    expectEqual(makespan, 64 * 5 / 40.0)
  }

  @Test func `unequal paths pay for their own hops, then share alike`() throws {
    var sketch = try Sketch(capacities: [10e9, 100e9, 100e9, 100e9], latency: Span(microseconds: 5))
    try sketch.flow([0], 50_000_000_000)
    try sketch.flow([1, 2, 3, 0], 50_000_000_000)
    let overhead = Span(microseconds: 7)
    let times = try sketch.seconds(overhead: overhead)
    // The first begins at 12 us and is alone for 15 us, 150 kB.
    expectEqual(times[0], 27e-6 + (50e9 - 150e3) / 5e9)
    expectEqual(times[1], 27e-6 + (100e9 - 150e3) / 10e9)
  }

  @Test func `weights divide a link, and limits leave the rest to others`() throws {
    var links = LinkTable()
    var routes = RouteTable()
    let route = try routes.add([try links.add("shared", capacity: BytesPerSecond(12e9))], of: links)
    var weighted = Transfers()
    try weighted.add(route, Bytes(40_000_000_000), weight: 2)
    try weighted.add(route, Bytes(40_000_000_000), weight: 1)
    let times = try weighted.run(on: links, routes, accuracy: .exact).ended.map(\.sinceStart.seconds)
    expectEqual(times[0], 5)
    expectEqual(times[1], 5 + 20.0 / 12)
    var limited = Transfers()
    try limited.add(route, Bytes(20_000_000_000), limit: BytesPerSecond(2e9))
    try limited.add(route, Bytes(20_000_000_000))
    let limitedTimes = try limited.run(on: links, routes, accuracy: .exact).ended.map(\.sinceStart.seconds)
    expectEqual(limitedTimes[0], 10)
    expectEqual(limitedTimes[1], 2)
  }
}
