import Clusters
import Documents
import Testing
import Units

@testable import Fabrics

/// The most cables between two switches, by breadth-first search from some of them.
private func diameter(_ layout: SwitchLayout, from sources: [Int]) -> Int {
  var neighbours = Array(repeating: [Int](), count: layout.switches)
  for cable in layout.cables {
    neighbours[Int(cable.a)].append(Int(cable.b))
    neighbours[Int(cable.b)].append(Int(cable.a))
  }
  return sources.map { source in
    var distances = Array(repeating: -1, count: layout.switches)
    distances[source] = 0
    var queue = [source]
    var head = 0
    while head < queue.count {
      for next in neighbours[queue[head]] where distances[next] < 0 {
        distances[next] = distances[queue[head]] + 1
        queue.append(next)
      }
      head += 1
    }
    return distances.contains(-1) ? Int.max : distances.max() ?? 0
  }.max() ?? 0
}

private func switches(of cluster: Cluster) throws -> SwitchLayout {
  try SwitchLayout(cluster.fabric, nodes: cluster.nodes.value, cardsPerNode: cluster.nic.perNode.value)
}

@Suite struct `Counts of switches and cables` {
  @Test func `the published table comes out of the builders to the unit`() throws {
    let prices = try FabricPrices.shipped()
    #expect(prices.published.map(\.name) == ["FT2", "MPFT", "FT3", "SF", "DF"])
    for row in prices.published {
      let built = try PublishedFabrics.build(row.name)
      #expect(built.counts == row.counts, "\(row.name)")
      let cost = prices.cost(of: built.counts)
      #expect(abs(cost / row.cost - 1) < 0.0065, "\(row.name): \(cost.value)")
    }
    #expect(throws: Diagnostic.self) { try PublishedFabrics.build("FT4") }
  }

  @Test func `the cluster of DeepSeek-V3 has 96 switches in eight planes`() throws {
    let layout = try switches(of: resolveCluster("h800-2048").cluster)
    #expect(layout.switches == 96)
    #expect(layout.cables.count == 2048)
    #expect(layout.cards.count == 2048)
    for plane in 0..<8 {
      #expect(layout.tiers.indices.count { layout.planes[$0] == plane && layout.tiers[$0] == 1 } == 8)
      #expect(layout.tiers.indices.count { layout.planes[$0] == plane && layout.tiers[$0] == 2 } == 4)
    }
    #expect(layout.usedPorts.allSatisfy { $0 == 64 })
  }

  @Test(arguments: [
    (1, 8, 8, 1.0), (2, 64, 256, 1), (2, 64, 336, 2), (2, 64, 384, 3), (2, 16, 11, 1), (3, 8, 16, 1),
  ])
  func `a tree of any size keeps within its ports`(levels: Int, ports: Int, nodes: Int, ratio: Double) throws
  {
    for kind in [Fabric.Kind.fatTree, .multiRailFatTree] {
      let cards = levels == 1 || kind == .fatTree ? 1 : 2
      let cluster = try cluster(
        kind, nodes: max(1, nodes / cards), gpus: 2, cards: cards, levels: levels, ports: ports,
        oversubscription: ratio)
      let layout = try switches(of: cluster)
      #expect(layout.usedPorts.allSatisfy { $0 <= ports })
      #expect(diameter(layout, from: Array(0..<min(40, layout.switches))) <= 2 * (levels - 1))
    }
  }

  @Test func `rails share leaves across nodes`() throws {
    let layout = try switches(of: cluster(.multiRailFatTree, nodes: 64))
    #expect(layout.tiers.count { $0 == 1 } == 16)
    #expect(layout.cards[0] == layout.cards[31 * 8])
    #expect(layout.cards[0] != layout.cards[32 * 8])
    #expect(layout.cards[0] != layout.cards[1])
    let units = try switches(
      of:
        cluster(.railOptimized, nodes: 64, shape: .rails(unitNodes: fact(16))))
    #expect(units.tiers.count { $0 == 1 } == 32)
    #expect(units.cards[0] != units.cards[16 * 8])
  }

  @Test(arguments: [(9, 4, 2, 2), (5, 4, 2, 1), (3, 2, 1, 2), (2, 3, 1, 1), (1, 4, 2, 1), (8, 4, 2, 3)])
  func `a dragonfly uses every global cable that has a partner`(g: Int, a: Int, p: Int, h: Int) throws {
    let layout = try switches(
      of:
        cluster(.dragonfly, nodes: g * a * p, gpus: 1, cards: 1, shape: dragonfly(g, a, p, h)))
    let local = g * a * (a - 1) / 2
    let global = g == 1 ? 0 : a * h * g / 2
    #expect(layout.switches == g * a)
    #expect(layout.cables.count == local + global)
    #expect(diameter(layout, from: Array(0..<layout.switches)) <= 3)
    #expect(layout.usedPorts.allSatisfy { $0 <= a - 1 + p + h })
  }

  @Test(arguments: [3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 23, 25, 27])
  func `a slim fly is regular and two cables wide`(q: Int) throws {
    let layout = try switches(
      of: cluster(.slimFly, nodes: 2 * q * q, gpus: 1, cards: 1, shape: slimFly(q, cards: 1)))
    let counts = try #require(SlimFlyCounts(q: q))
    #expect(layout.switches == counts.switches)
    #expect(layout.cables.count == counts.links)
    #expect(layout.usedPorts.allSatisfy { Int($0) == counts.radix + 1 })
    #expect(diameter(layout, from: Array(stride(from: 0, to: layout.switches, by: max(1, q / 2)))) == 2)
  }

  @Test(arguments: [2, 6, 10, 12, 14, 15, 28]) func `a slim fly needs a prime power`(q: Int) throws {
    let cluster = try cluster(.slimFly, nodes: 2, gpus: 1, cards: 1, shape: slimFly(q, cards: 1))
    #expect(throws: Diagnostic.self) { try switches(of: cluster) }
  }

  @Test(arguments: [[4], [2], [1], [4, 4], [3, 5], [2, 2, 2], [4, 4, 4], [2, 3, 1, 4]])
  func `a torus has a cable for each step along each dimension`(dimensions: [Int]) throws {
    let count = dimensions.reduce(1, *)
    let layout = try switches(
      of:
        cluster(.torus, nodes: count, gpus: 1, cards: 1, shape: torus(dimensions, cards: 1)))
    let cables = dimensions.map { $0 == 1 ? 0 : $0 == 2 ? count / 2 : count }.reduce(0, +)
    #expect(layout.cables.count == cables)
    #expect(diameter(layout, from: [0]) == dimensions.map { $0 / 2 }.reduce(0, +))
  }

  @Test func `too many cards, groups or layers are refused`() throws {
    #expect(throws: Diagnostic.self) {
      try switches(of: cluster(.fatTree, nodes: 9, gpus: 1, cards: 1, levels: 1, ports: 8))
    }
    #expect(throws: Diagnostic.self) {
      try switches(of: cluster(.fatTree, nodes: 33, gpus: 1, cards: 1, ports: 8))
    }
    #expect(throws: Diagnostic.self) { try switches(of: cluster(.fatTree, nodes: 8, levels: 4)) }
    #expect(throws: Diagnostic.self) {
      try switches(of: cluster(.dragonfly, nodes: 1, shape: dragonfly(10, 4, 2, 2)))
    }
    #expect(throws: Diagnostic.self) {
      try switches(of: cluster(.dragonfly, nodes: 1, ports: 4, shape: dragonfly(3, 4, 8, 2)))
    }
    #expect(throws: Diagnostic.self) {
      try switches(of: cluster(.torus, nodes: 9, shape: torus([2, 2], cards: 8)))
    }
  }
}
