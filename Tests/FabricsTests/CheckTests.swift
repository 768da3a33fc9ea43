import Clusters
import Documents
import Networks
import Testing
import Units

@testable import Fabrics

private func check(_ cluster: Cluster) throws -> FabricCheck {
  try FabricCheck(FabricGraph(cluster, rates: .peak))
}

private let card = 50e9

@Suite struct `Bisection and paths` {
  @Test func `a full tree carries what half of its cards send`() throws {
    for kind in [Fabric.Kind.fatTree, .multiRailFatTree] {
      let found = try check(cluster(kind, nodes: 64))
      #expect(found.bisection?.value == 256 * card)
      #expect(found.injection.value == 256 * card)
      #expect(found.oversubscription?.value == 1)
    }
    let planes = try check(resolveCluster("h800-2048").cluster)
    #expect(planes.bisection?.value == 1024 * card)
    #expect(planes.mostPorts == 64)
    #expect(planes.diameter == 2)
  }

  @Test func `three to one carries a third between leaves`() throws {
    // 48 cards and 16 uplinks each: 8 leaves, of which 4 in each half.
    let found = try check(cluster(.fatTree, nodes: 48, oversubscription: 3))
    #expect(found.oversubscription?.value == 3)
    #expect(found.bisection?.value == 4 * 16 * card)
  }

  @Test func `a torus is cut through two planes`() throws {
    let found = try check(cluster(.torus, nodes: 64, gpus: 1, cards: 1, shape: torus([4, 4, 4], cards: 1)))
    #expect(found.bisection?.value == 2 * 16 * card)
    #expect(found.diameter == 6)
  }

  @Test func `a ring of switches is cut twice`() throws {
    let found = try check(cluster(.torus, nodes: 6, gpus: 1, cards: 1, shape: torus([6], cards: 1)))
    #expect(found.bisection?.value == 2 * card)
    #expect(found.paths.map(\.gpus) == [2, 2, 1])
    #expect(found.paths.map(\.ways) == [1, 1, 2])
  }

  @Test func `one leaf has no limit but its cards`() throws {
    let found = try check(resolveCluster("small").cluster)
    #expect(found.bisection?.value == 4 * card)
    #expect(found.oversubscription == nil)
    #expect(found.diameter == 0)
  }

  @Test func `kinds of path count every other GPU`() throws {
    let found = try check(resolveCluster("h800-2048").cluster)
    #expect(found.paths.reduce(0) { $0 + $1.gpus } == 2047)
    #expect(found.paths.contains { $0.name == "same switch" && $0.gpus == 31 && $0.ways == 1 })
    // Four spines, eight cables to each and eight back.
    #expect(
      found.paths.contains { $0.name == "2 cables between switches" && $0.gpus == 224 && $0.ways == 256 })
  }

  @Test func `one node without a network reaches itself`() throws {
    let found = try check(resolveCluster("h800-node").cluster)
    #expect(found.paths.count == 1)
    #expect(found.bisection?.value == 4 * 200e9)
  }

  @Test func `every shipped cluster is connected`() throws {
    for name in shippedClusterNames {
      let graph = try FabricGraph(resolveCluster(name).cluster)
      try graph.checkReachability()
    }
  }

  @Test func `maximum flow of a known graph`() {
    var flow = MaximumFlow(vertices: 6)
    for (a, b, capacity) in [
      (0, 1, 16.0), (0, 2, 13), (1, 2, 10), (2, 1, 4), (1, 3, 12), (3, 2, 9), (2, 4, 14), (4, 3, 7),
      (3, 5, 20), (4, 5, 4),
    ] { flow.connect(a, b, capacity, 0) }
    #expect(flow.run(from: 0, to: 5) == 23)
  }
}

@Suite struct `Failed and degraded cables` {
  private func failure(_ place: Failure.Place, _ share: Double? = nil) -> Failure {
    Failure(place, remaining: share.map { fact(Ratio($0)) })
  }

  @Test func `routes go round a failed spine, cable and card`() throws {
    let whole = try cluster(.multiPlaneFatTree, nodes: 128, planes: 8)
    for place in [
      Failure.Place.device("plane0/spine0"), .cable("plane0/leaf0", "plane0/spine1", number: 0),
      .device("node0/nic0"),
      .cable("node0/nic0", "plane0/leaf0", number: nil),
    ] {
      var broken = whole
      broken.failures = [failure(place)]
      let graph = try FabricGraph(broken)
      try graph.checkReachability()
      var router = Router(graph)
      for target in [8, 8 * 100, 8 * 100 + 1] {
        let route = try router.route(from: 0, to: target)
        #expect(route.allSatisfy { graph.isUp[Int($0.index)] })
        let other = try router.route(from: target, to: 0)
        #expect(other.allSatisfy { graph.isUp[Int($0.index)] })
      }
    }
  }

  @Test func `without NVLink a node's GPUs meet at a switch`() throws {
    let graph = try FabricGraph(
      cluster(.fatTree, nodes: 2, failures: [failure(.cable("node0/gpu0", "node0/nvswitch", number: nil))]))
    try graph.checkReachability()
    var router = Router(graph)
    #expect(names(try router.route(from: 0, to: 3), graph).contains("leaf0>node0/nic3"))
  }

  @Test func `a degraded cable has its share both ways and slows the bisection`() throws {
    let graph = try FabricGraph(
      cluster(.fatTree, nodes: 8, failures: [failure(.device("node0/nic0"), 0.5)]), rates: .peak)
    var router = Router(graph)
    let rates = try (router.route(from: 0, to: 8) + router.route(from: 8, to: 0)).map {
      graph.rate(of: $0).value
    }
    #expect(rates.min() == 0.5 * card)
    #expect(try FabricCheck(graph).bisection?.value == 31.5 * card)
  }

  @Test func `where no way is left both ends are named`() throws {
    // A GPU without card and NVLink; a node without cards; two nodes without a plane in common.
    for failures in [
      [failure(.device("node1/gpu1"))],
      (0..<2).map { failure(.device("node1/nic\($0)")) },
      [failure(.device("node0/nic0")), failure(.device("node1/nic1"))],
    ] {
      let graph = try FabricGraph(
        cluster(.multiPlaneFatTree, nodes: 3, gpus: 2, cards: 2, planes: 2, failures: failures))
      let error = try #require(throws: Diagnostic.self) { try graph.checkReachability() }
      #expect(error.problem.contains("there is no way from node"))
      #expect(error.problem.contains("node1/gpu"))
      #expect(error.found?.contains("failed") == true)
      var router = Router(graph)
      #expect(throws: Diagnostic.self) {
        for target in 0..<6 {
          for source in 0..<6 where source != target { _ = try router.route(from: source, to: target) }
        }
      }
    }
  }

  @Test func `failures of what is not there are refused by name`() throws {
    for (place, part) in [
      (Failure.Place.device("plane0/leaf7"), "no such device"),
      (.cable("node0/gpu0", "leaf0", number: nil), "no cable"),
      (.cable("leaf0", "spine0", number: 99), "not so many"),
      (.cable("node0/nic9", "leaf0", number: nil), "no such device"),
    ] {
      let error = try #require(throws: Diagnostic.self) {
        try FabricGraph(cluster(.fatTree, nodes: 8, failures: [failure(place)]))
      }
      #expect(error.problem.contains(part))
    }
  }

  @Test func `whether a route exists is what reachability says`() throws {
    var draws = Draws(state: 11)
    var cut = 0
    for _ in 0..<60 {
      var broken = try cluster(.multiPlaneFatTree, nodes: 3, gpus: 2, cards: 2, planes: 2, ports: 4)
      let whole = try FabricGraph(broken)
      broken.failures = (0..<2).map { _ in
        let cable = Int.random(in: 0..<whole.cables, using: &draws)
        let ends = [whole.sources[2 * cable], whole.targets[2 * cable]].map { whole.deviceNames[Int($0)] }
        return failure(.cable(ends[0], ends[1], number: nil))
      }
      let graph = try FabricGraph(broken)
      var router = Router(graph)
      let joined = (0..<6).allSatisfy { source in
        (0..<6).allSatisfy { source == $0 || (try? router.route(from: source, to: $0)) != nil }
      }
      let checked = (try? graph.checkReachability()) != nil
      #expect(joined == checked, "\(graph.failures)")
      cut += joined ? 0 : 1
    }
    #expect((5...55).contains(cut))
  }
}
