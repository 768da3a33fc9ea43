import Clusters
import Documents
import Networks
import Testing
import Units

@testable import Fabrics

/// Some of every kind, small enough to try all pairs.
private func samples(seed: UInt64) throws -> [Cluster] {
  var draws = Draws(state: seed)
  let gpus = [1, 2, 4, 8].randomElement(using: &draws) ?? 4
  let cards = [gpus, max(1, gpus / 2), 2 * gpus].randomElement(using: &draws) ?? gpus
  let nodes = Int.random(in: 2...9, using: &draws)
  let ratio: Double = [1.0, 2.0, 3.0].randomElement(using: &draws) ?? 1.0
  let g = Int.random(in: 2...5, using: &draws)
  return [
    try cluster(.fatTree, nodes: nodes, gpus: gpus, cards: cards, ports: 24, oversubscription: ratio),
    try cluster(.fatTree, nodes: nodes, gpus: gpus, cards: cards, levels: 3, ports: 8),
    try cluster(
      .multiRailFatTree, nodes: nodes, gpus: gpus, cards: cards, ports: 48, oversubscription: ratio),
    try cluster(.multiPlaneFatTree, nodes: nodes, gpus: gpus, cards: cards, planes: cards, ports: 8),
    try cluster(
      .railOptimized, nodes: nodes, gpus: gpus, cards: cards, ports: 64, shape: .rails(unitNodes: fact(3))),
    try cluster(
      .dragonfly, nodes: max(1, g * 4 * 4 / cards), gpus: gpus, cards: cards, shape: dragonfly(g, 4, 4, 2)),
    try cluster(.slimFly, nodes: 50 / cards, gpus: gpus, cards: cards, shape: slimFly(5, cards: 1)),
    try cluster(
      .torus, nodes: 3 * 4 * 2 * 2 / cards, gpus: gpus, cards: cards, shape: torus([3, 4, 2], cards: 2)),
  ]
}

/// Fails unless a route joins its ends link by link, over working links and none twice.
private func expectValid(_ route: [LinkID], _ source: Int, _ target: Int, _ graph: FabricGraph) {
  #expect(route.first.map { graph.source(of: $0) } == source)
  #expect(route.last.map { graph.target(of: $0) } == target)
  for (one, next) in zip(route, route.dropFirst()) {
    #expect(graph.target(of: one) == graph.source(of: next))
  }
  #expect(Set(route).count == route.count)
  #expect(route.allSatisfy { graph.isUp[Int($0.index)] })
  #expect(Set(route.map { graph.source(of: $0) }).count == route.count, "passes a device twice")
}

@Suite struct `Routes` {
  @Test(arguments: 0..<8 as Range<UInt64>)
  func `random fabrics join every pair, both ways alike, by every choice`(seed: UInt64) throws {
    for cluster in try samples(seed: seed) {
      let graph = try FabricGraph(cluster)
      try graph.checkReachability()
      var fixed = Router(graph)
      var others = [
        Router(graph, choice: .hashed(seed: seed)), Router(graph, choice: .adaptive),
        Router(graph, rails: .nvlinkAtTarget), Router(graph, rails: .nvlinkAtSource),
      ]
      var draws = Draws(state: seed)
      for _ in 0..<150 where graph.gpus > 1 {
        let source = Int.random(in: 0..<graph.gpus, using: &draws)
        let target = Int.random(in: 0..<graph.gpus, using: &draws)
        if source == target { continue }
        let route = try fixed.route(from: source, to: target)
        expectValid(route, source, target, graph)
        #expect(try fixed.route(from: source, to: target) == route)
        // Where several cards serve one GPU, which of them is met may differ by flow.
        if cluster.nic.perNode.value <= cluster.gpusPerNode.value {
          #expect(try fixed.route(from: target, to: source).count == route.count)
        }
        for place in others.indices {
          let other = try others[place].route(from: source, to: target, flow: 3)
          expectValid(other, source, target, graph)
          if place < 2, cluster.nic.perNode.value <= cluster.gpusPerNode.value {
            #expect(other.count == route.count)
            #expect(latency(other, graph) == latency(route, graph))
          }
        }
        var table = RouteTable()
        try table.add(route, of: graph.table)
      }
    }
  }

  @Test func `latencies end to end are those of the file`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    let graph = try FabricGraph(cluster)
    var router = Router(graph)
    let near = try router.route(from: 0, to: 8)
    let far = try router.route(from: 0, to: 8 * 255)
    let inside = try router.route(from: 3, to: 5)
    #expect(latency(inside, graph) == cluster.nvlink.latency.value)
    #expect(latency(near, graph) == cluster.fabric.sameLeafLatency.value)
    #expect(latency(far, graph) == cluster.fabric.crossLeafLatency.value)
    // A link that is walked against its cable's first direction is named the way it is walked.
    #expect(
      names(near, graph) == [
        "node0/gpu0>node0/nic0", "node0/nic0>plane0/leaf0", "plane0/leaf0>node1/nic0",
        "node1/nic0>node1/gpu0",
      ])
  }

  @Test func `another plane takes NVLink at the target, or at the source`() throws {
    let graph = try FabricGraph(resolveCluster("h800-2048").cluster)
    var straight = Router(graph)
    var source = Router(graph, rails: .nvlinkAtSource)
    let late = names(try straight.route(from: 1, to: 8 + 6), graph)
    #expect(late.suffix(2) == ["node1/gpu1>node1/nvswitch", "node1/nvswitch>node1/gpu6"])
    let early = names(try source.route(from: 1, to: 8 + 6), graph)
    #expect(early.prefix(2) == ["node0/gpu1>node0/nvswitch", "node0/nvswitch>node0/gpu6"])
    #expect(early.count == late.count)
  }

  @Test func `a multi-rail tree crosses rails through its spines, or takes NVLink when asked to`() throws {
    let graph = try FabricGraph(cluster(.multiRailFatTree, nodes: 64))
    var straight = Router(graph)
    var hops = Router(graph, rails: .nvlinkAtTarget)
    #expect(try straight.route(from: 1, to: 8 + 6).count == 6)
    let route = names(try hops.route(from: 1, to: 8 + 6), graph)
    #expect(route.count == 6)
    #expect(route.last == "node1/nvswitch>node1/gpu6")
  }

  @Test func `fixed routes to the GPUs of another leaf use every uplink alike`() throws {
    let graph = try FabricGraph(cluster(.fatTree, nodes: 64, gpus: 1, cards: 1, ports: 16))
    var router = Router(graph)
    var uses: [LinkID: Int] = [:]
    for target in 8..<16 { uses[try router.route(from: 0, to: target)[2], default: 0] += 1 }
    #expect(uses.count == 8)
  }

  @Test func `adaptive routes fill equal ways evenly, hashed ones by their seed`() throws {
    let graph = try FabricGraph(cluster(.fatTree, nodes: 64, gpus: 1, cards: 1, ports: 16))
    var adaptive = Router(graph, choice: .adaptive)
    var uses: [LinkID: Int] = [:]
    for flow in 0..<80 { uses[try adaptive.route(from: 0, to: 60, flow: flow)[2], default: 0] += 1 }
    #expect(uses.count == 8 && uses.values.allSatisfy { $0 == 10 })
    let path = try adaptive.route(from: 0, to: 60)
    adaptive.release(path)
    #expect(adaptive.loads[Int(path[2].index)] == 10)

    func hashed(_ seed: UInt64) throws -> [[LinkID]] {
      var router = Router(graph, choice: .hashed(seed: seed))
      return try (0..<40).map { try router.route(from: 0, to: 60, flow: $0) }
    }
    #expect(try hashed(1) == hashed(1))
    #expect(try hashed(1) != hashed(2))
    #expect(try Set(hashed(1).map { $0[2] }).count > 4)
  }

  @Test func `a torus is crossed one dimension after the other`() throws {
    let graph = try FabricGraph(
      cluster(.torus, nodes: 16, gpus: 1, cards: 1, shape: torus([4, 4], cards: 1)))
    var router = Router(graph)
    #expect(
      names(try router.route(from: 0, to: 5), graph).contains {
        $0.hasPrefix("switch0-0>") && !$0.contains("1-1")
      })
    #expect(try router.route(from: 0, to: 10).count == 4 + 4)
  }

  @Test func `sixteen thousand GPUs are routed without a table of pairs`() throws {
    let graph = try FabricGraph(cluster(.multiPlaneFatTree, nodes: 2048, planes: 8))
    var router = Router(graph, choice: .hashed(seed: 7))
    var draws = Draws(state: 1)
    for _ in 0..<2000 {
      let source = Int.random(in: 0..<16_384, using: &draws)
      let target = (source + Int.random(in: 1..<16_384, using: &draws)) % 16_384
      let route = try router.route(from: source, to: target)
      #expect(graph.source(of: route[0]) == source && graph.target(of: route[route.count - 1]) == target)
    }
  }

  @Test func `ends that are not there or are the same are refused`() throws {
    var router = Router(try FabricGraph(cluster(.fatTree, nodes: 2)))
    #expect(throws: Diagnostic.self) { try router.route(from: 0, to: 16) }
    #expect(throws: Diagnostic.self) { try router.route(from: -1, to: 3) }
    #expect(throws: Diagnostic.self) { try router.route(from: 3, to: 3) }
  }
}
