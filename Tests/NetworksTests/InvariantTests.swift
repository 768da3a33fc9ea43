import Networks
import TestSupport
import Testing
import Units

/// Groups of ranks that exchange unequal messages within a group, over up-links, down-links and thin trunks.
private struct Groups {
  var links = LinkTable()
  var flows: [(route: [LinkID], bytes: Int)] = []

  init(_ count: Int, ranks: Int, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for group in 0..<count {
      let first = links.count
      for rank in 0..<2 * ranks { try links.add("g\(group)r\(rank)", capacity: BytesPerSecond(50e9)) }
      for trunk in 0..<2 { try links.add("g\(group)t\(trunk)", capacity: BytesPerSecond(120e9)) }
      for source in 0..<ranks {
        for target in 0..<ranks where target != source {
          let half = (2 * source / ranks, 2 * target / ranks)
          let trunk = half.0 == half.1 ? [] : [LinkID(first + 2 * ranks + half.0)]
          flows.append(
            (
              [LinkID(first + source)] + trunk + [LinkID(first + ranks + target)],
              random.pick(1_000_000...9_000_000)
            ))
        }
      }
    }
  }

  /// - Parameter order: in which the flows are listed.
  func transfers(_ order: [Int]? = nil) throws -> (RouteTable, Transfers) {
    var routes = RouteTable()
    var transfers = Transfers()
    for flow in order ?? Array(flows.indices) {
      try transfers.add(try routes.add(flows[flow].route, of: links), Bytes(flows[flow].bytes))
    }
    return (routes, transfers)
  }
}

@Suite struct `Whatever flows` {
  @Test func `every link carries the bytes of its flows, exactly`() throws {
    var random = SeededGenerator(seed: 5)
    for _ in 0..<100 {
      let drawn = try Drawn(&random)
      var expected = Array(repeating: Bytes.zero, count: drawn.links.count)
      for flow in 0..<drawn.transfers.count {
        for link in drawn.routes.links(of: drawn.transfers.route(of: flow)) {
          expected[Int(link.index)] += drawn.transfers.size(of: flow)
        }
      }
      for accuracy in [Accuracy.exact, .standard, .quantum(Span(milliseconds: 100))] {
        let times = try drawn.transfers.run(on: drawn.links, drawn.routes, accuracy: accuracy)
        #expect(times.carried == expected)
      }
    }
  }

  @Test func `the result is the same on one thread and on two, to the byte`() throws {
    let groups = try Groups(6, ranks: 16, seed: 8)
    let (routes, transfers) = try groups.transfers()
    for accuracy in [Accuracy.exact, .standard] {
      let one = try transfers.run(on: groups.links, routes, accuracy: accuracy, threads: 1)
      #expect(one.parts == 6)
      for threads in [2, 3, 16] {
        let other = try transfers.run(on: groups.links, routes, accuracy: accuracy, threads: threads)
        #expect(other.ended == one.ended && other.carried == one.carried && other.counters == one.counters)
        #expect(other.meanError == one.meanError)
      }
    }
  }

  @Test func `flows that are listed in another order end at the same times`() throws {
    let groups = try Groups(2, ranks: 16, seed: 9)
    let (routes, transfers) = try groups.transfers()
    let times = try transfers.run(on: groups.links, routes, accuracy: .exact).ended
    var random = SeededGenerator(seed: 10)
    let order = groups.flows.indices.shuffled(using: &random)
    let (otherRoutes, otherTransfers) = try groups.transfers(order)
    let other = try otherTransfers.run(on: groups.links, otherRoutes, accuracy: .exact).ended
    // Sums in another order round differently: within two picoseconds of milliseconds.
    for (place, flow) in order.enumerated() {
      #expect(abs((other[place] - times[flow]).picoseconds) <= 2)
    }
  }

  @Test func `the standard accuracy stays within its error of exact`() throws {
    let groups = try Groups(4, ranks: 32, seed: 11)
    let (routes, transfers) = try groups.transfers()
    let exact = try transfers.run(on: groups.links, routes, accuracy: .exact)
    let standard = try transfers.run(on: groups.links, routes)
    #expect(abs(standard.makespan.seconds / exact.makespan.seconds - 1) < 0.003)
    let errors = zip(standard.ended, exact.ended).map {
      abs($0.sinceStart.seconds / $1.sinceStart.seconds - 1)
    }
    #expect(errors.reduce(0, +) / Double(errors.count) < 0.005)
    let meanOff =
      zip(standard.ended, exact.ended).map { abs(($0 - $1).seconds) }.reduce(0, +) / Double(errors.count)
    #expect(meanOff <= standard.meanError.seconds && standard.meanError <= standard.mostError)
    #expect(standard.counters.settlements < exact.counters.settlements / 2)
    #expect(exact.meanError == .zero && exact.mostError == .zero)
  }

  @Test func `no link carries more than it can, and all of its bytes show in its use`() throws {
    let groups = try Groups(1, ranks: 16, seed: 12)
    let (routes, transfers) = try groups.transfers()
    let plain = try transfers.run(on: groups.links, routes, accuracy: .exact)
    let times = try transfers.run(
      on: groups.links, routes, accuracy: .exact, useBuckets: 20, useUntil: plain.makespan)
    #expect(times.ended == plain.ended)
    let use = try #require(times.use)
    for link in 0..<groups.links.count {
      let total = use.bytes[link].reduce(0, +)
      #expect(abs(total - Double(times.carried[link].count)) <= 1e-6 * total)
      for ratio in use.utilisation(of: LinkID(link)) { #expect(ratio.value <= 1 + 1e-9) }
    }
    let busiest = times.busiestLinks(3, of: groups.links)
    #expect(busiest.count == 3 && busiest[0].utilisation >= busiest[1].utilisation)
    let parts = times.parts(of: 0, transfers, groups.links, routes)
    #expect(parts.transfer + parts.waiting == times.ended[0] - times.began[0])
  }
}
