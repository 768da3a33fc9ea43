import Networks
import TestSupport
import Testing
import Units

@Suite struct `A network that a simulator drives` {
  private func line(_ capacity: Double) throws -> (LinkTable, RouteTable) {
    var links = LinkTable()
    var routes = RouteTable()
    try routes.add([try links.add("line", capacity: BytesPerSecond(capacity))], of: links)
    try routes.add([LinkID(0), try links.add("spur", capacity: BytesPerSecond(capacity * 4))], of: links)
    return (links, routes)
  }

  private func runOut(_ engine: FlowEngine) throws -> [Completion] {
    var completions: [Completion] = []
    while let event = try engine.nextEvent() {
      try engine.advance(to: event)
      completions += engine.takeCompletions()
    }
    return completions
  }

  @Test func `ends the flows of random networks as the naive one does, whenever they are announced`() throws {
    var random = SeededGenerator(seed: 41)
    for _ in 0..<400 {
      let drawn = try Drawn(&random)
      if (0..<drawn.transfers.count).contains(where: { drawn.transfers.isSpecial($0) }) { continue }
      let expected = NaiveNetwork.run(drawn.transfers, on: drawn.links, drawn.routes)
      let engine = FlowEngine(drawn.links, drawn.routes)
      var ended = Array(repeating: Instant.never, count: drawn.transfers.count)
      // Each is announced at its start, with stops at arbitrary moments in between.
      for flow in (0..<drawn.transfers.count).sorted(by: {
        drawn.transfers.start(of: $0) < drawn.transfers.start(of: $1)
      }) {
        let start = drawn.transfers.start(of: flow)
        let pause = Instant(picoseconds: (engine.now.picoseconds + start.picoseconds) / 2)
        for stop in [pause, start] {
          try engine.advance(to: stop)
          for completion in engine.takeCompletions() { ended[completion.label] = completion.at }
        }
        try engine.start(
          drawn.transfers.route(of: flow), drawn.transfers.size(of: flow), at: start, label: flow)
      }
      for completion in try runOut(engine) { ended[completion.label] = completion.at }
      #expect(difference(ended, expected) <= 1e-9)
      #expect(engine.flowsUnderWay == 0)
    }
  }

  @Test func `a link at half speed takes the rest of the bytes at half speed`() throws {
    let (links, routes) = try line(10e9)
    let engine = FlowEngine(links, routes)
    try engine.start(RouteID(0), Bytes(50_000_000_000), at: .start, label: 0)
    try engine.start(RouteID(1), Bytes(50_000_000_000), at: .start, label: 1)
    try engine.setCapacity(
      of: LinkID(0), to: BytesPerSecond(5e9), at: Instant(picoseconds: 4_000_000_000_000))
    #expect(engine.load(of: LinkID(0)) == BytesPerSecond(5e9))
    let completions = try runOut(engine)
    // 40 of 100 GB in 4 s, the rest at 5 GB/s.
    #expect(completions.map(\.at.sinceStart.seconds) == [16, 16])
    #expect(completions.map(\.label) == [0, 1])
  }

  @Test func `a failed link stops its flows until it is repaired`() throws {
    let (links, routes) = try line(10e9)
    let engine = FlowEngine(links, routes)
    try engine.start(RouteID(0), Bytes(40_000_000_000), at: .start, label: 0)
    try engine.start(RouteID(1), Bytes(10_000_000_000), at: .start, label: 1)
    let second = 1_000_000_000_000 as Int64
    try engine.setCapacity(of: LinkID(1), to: .zero, at: Instant(picoseconds: second))
    try engine.setCapacity(of: LinkID(1), to: BytesPerSecond(1e9), at: Instant(picoseconds: 3 * second))
    let completions = try runOut(engine)
    // The first: 5 GB in 1 s, 20 in 2 s alone, the last 15 beside 1 GB/s.
    #expect(abs(completions[0].at.sinceStart.seconds - (3 + 15 / 9.0)) < 1e-9)
    #expect(abs(completions[1].at.sinceStart.seconds - 8) < 1e-9)
  }

  @Test func `flows on a link that stays failed are named, not waited for`() throws {
    let (links, routes) = try line(10e9)
    let engine = FlowEngine(links, routes)
    try engine.start(RouteID(1), Bytes(10), at: .start, label: 0)
    try engine.setCapacity(of: LinkID(1), to: .zero, at: .start)
    let error = #expect(throws: NetworkError.stalled(flows: 1, links: ["spur"])) { try engine.nextEvent() }
    #expect(error?.description == "1 flows cannot finish: no capacity is left on spur")
  }

  @Test func `time does not run backwards`() throws {
    let (links, routes) = try line(10e9)
    let engine = FlowEngine(links, routes)
    try engine.advance(to: Instant(picoseconds: 5))
    #expect(throws: NetworkError.beforeNow(at: .start, now: Instant(picoseconds: 5))) {
      try engine.start(RouteID(0), Bytes(1), at: .start, label: 0)
    }
    #expect(throws: NetworkError.self) { try engine.advance(to: .start) }
  }

  @Test func `places of flows are used again, and results stay the same`() throws {
    let (links, routes) = try line(10e9)
    let engine = FlowEngine(links, routes)
    for round in 0..<300 {
      for flow in 0..<3 {
        try engine.start(
          RouteID(flow % 2), Bytes(1_000_000_000), at: engine.now, label: flow,
          limit: flow == 2 ? BytesPerSecond(5e9) : nil)
      }
      let completions = try runOut(engine)
      #expect(completions.map(\.label) == [0, 1, 2])
      #expect(completions.last?.at.picoseconds == Int64(round + 1) * 300_000_000_000)
    }
  }
}

@Suite struct `What cannot be a network` {
  @Test(arguments: [0, -1, .nan, .infinity]) func `is refused: a capacity that is not positive`(
    capacity: Double
  ) {
    var links = LinkTable()
    #expect(throws: NetworkError.self) { try links.add("bad", capacity: BytesPerSecond(capacity)) }
    #expect(links.count == 0)
  }

  @Test func `is refused: routes over nothing, over links that are missing, or twice over one`() throws {
    var links = LinkTable()
    let link = try links.add("a", capacity: BytesPerSecond(1))
    var routes = RouteTable()
    #expect(throws: NetworkError.unconnected("gpu3 to gpu9")) {
      try routes.add([], of: links, "gpu3 to gpu9")
    }
    #expect(throws: NetworkError.missingLink(index: 4, links: 1, route: "gpu3 to gpu9")) {
      try routes.add([link, LinkID(4)], of: links, "gpu3 to gpu9")
    }
    #expect(throws: NetworkError.repeatedLink(link: "a", route: "a loop")) {
      try routes.add([link, link], of: links, "a loop")
    }
    #expect(routes.count == 0)
    var transfers = Transfers()
    try transfers.add(RouteID(0), Bytes(1))
    #expect(throws: NetworkError.missingRoute(index: 0, routes: 0)) { try transfers.run(on: links, routes) }
  }

  @Test func `is refused: sizes, weights and limits that no flow has`() {
    var transfers = Transfers()
    #expect(throws: NetworkError.badSize(bytes: -1)) { try transfers.add(RouteID(0), Bytes(-1)) }
    #expect(throws: NetworkError.badWeight(0)) { try transfers.add(RouteID(0), Bytes(1), weight: 0) }
    #expect(throws: NetworkError.badLimit(bytesPerSecond: 0)) {
      try transfers.add(RouteID(0), Bytes(1), limit: .zero)
    }
    #expect(transfers.count == 0)
  }
}
