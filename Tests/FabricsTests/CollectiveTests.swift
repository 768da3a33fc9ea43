import Clusters
import Documents
import Networks
import Testing
import Units

@testable import Fabrics

/// Sizes and rates of the clusters below divide, so closed forms hold to rounding.
private let size = Bytes(Int64(1) << 36)

private func collectives(_ cluster: Cluster, _ choice: RouteChoice = .fixed) throws -> CollectiveFlows {
  CollectiveFlows(try FabricGraph(cluster), cluster, gpus: cluster.gpus, choice: choice)
}

/// One GPU and one card in each node, all on one leaf.
private func flat(_ nodes: Int) throws -> Cluster {
  try cluster(.fatTree, nodes: nodes, gpus: 1, cards: 1, levels: 1, ports: 64)
}

extension CollectiveFlows {
  /// Seconds of each phase's flows without the latency of their routes, which are alike in these tests.
  fileprivate mutating func seconds(
    _ kind: CollectiveKind, _ algorithm: CollectiveAlgorithm, _ size: Bytes
  ) throws -> [Double] {
    try phases(kind, algorithm, size).map { try seconds($0) }
  }

  fileprivate func seconds(_ phase: Phase) throws -> Double {
    let latency = phase.routes.latency(of: phase.transfers.route(of: 0))
    let times = try phase.transfers.run(on: graph.table, phase.routes, accuracy: .exact)
    return (times.makespan - latency).seconds
  }
}

private func close(_ a: Double, _ b: Double) -> Bool { abs(a / b - 1) < 1e-9 }

@Suite struct `Collectives as flows` {
  @Test(arguments: [2, 3, 8, 16]) func `rings between nodes meet their closed forms`(nodes: Int) throws {
    let cluster = try flat(nodes)
    var flows = try collectives(cluster)
    let (n, s) = (Double(nodes), Double(size.count) / cluster.nic.achieved.value.value)
    #expect(close(try flows.seconds(.allReduce, .ring, size)[0], 2 * (n - 1) / n * s))
    #expect(close(try flows.seconds(.reduceScatter, .ring, size)[0], (n - 1) / n * s))
    #expect(close(try flows.seconds(.allGather, .ring, size)[0], (n - 1) / n * s))
    #expect(close(try flows.seconds(.broadcast, .ring, size)[0], s))
  }

  @Test func `rings within a node meet theirs`() throws {
    let cluster = try cluster(.fatTree, nodes: 1)
    var flows = try collectives(cluster)
    let s = Double(size.count) / cluster.nvlink.achieved.value.value
    #expect(close(try flows.seconds(.allReduce, .ring, size)[0], 2 * 7.0 / 8 * s))
    #expect(close(try flows.seconds(.allGather, .ring, size)[0], 7.0 / 8 * s))
  }

  /// The busiest node is inside one tree, with a parent and two children, and a leaf of the other.
  @Test(arguments: [8, 16, 32]) func `a double binary tree sends twice the buffer out of its busiest node`(
    nodes: Int
  ) throws {
    let cluster = try flat(nodes)
    var flows = try collectives(cluster)
    let s = Double(size.count) / cluster.nic.achieved.value.value
    #expect(close(try flows.seconds(.allReduce, .tree, size)[0], 2 * s))
  }

  @Test func `by node and between nodes takes three closed forms`() throws {
    let cluster = try cluster(.fatTree, nodes: 4)
    var flows = try collectives(cluster)
    let inside = 7.0 / 8 * Double(size.count) / cluster.nvlink.achieved.value.value
    let between = 2 * 3.0 / 4 * Double(size.count) / 8 / cluster.nic.achieved.value.value
    let seconds = try flows.seconds(.allReduce, .hierarchical, size)
    #expect(seconds.count == 3)
    #expect(zip(seconds, [inside, between, inside]).allSatisfy(close))
    let scatter = try flows.seconds(.reduceScatter, .hierarchical, size)
    #expect(zip(scatter, [inside, between / 2]).allSatisfy(close) && scatter.count == 2)
    let gather = try flows.seconds(.allGather, .hierarchical, size)
    #expect(zip(gather, [between / 2, inside]).allSatisfy(close) && gather.count == 2)
  }

  @Test func `switches that add up give the calibrated bus bandwidth`() throws {
    let cluster = try cluster(.fatTree, nodes: 1)
    var flows = try collectives(cluster)
    let seconds = try flows.seconds(.allReduce, .nvls, size)[0]
    let bus = 2 * 7.0 / 8 * Double(size.count) / seconds
    #expect(close(bus, try #require(cluster.collectives.nvlinkAllReduceBandwidth).value.value))
    var plain = cluster
    plain.collectives.nvlinkAllReduceBandwidth = nil
    var without = try collectives(plain)
    #expect(throws: Diagnostic.self) { try without.phases(.allReduce, .nvls, size) }
    #expect(throws: Diagnostic.self) { try flows.phases(.allGather, .tree, size) }
  }

  /// Six GPUs on each of two leaves with two uplinks: 36 shares cross two cables each way.
  @Test func `an all-to-all over thin uplinks is bound by the bisection`() throws {
    let cluster = try cluster(
      .fatTree, nodes: 12, gpus: 1, cards: 1, levels: 2, ports: 8, oversubscription: 3)
    var flows = try collectives(cluster, .adaptive)
    let share = Bytes(Int64(1) << 30)
    let phase = try flows.phases(.allToAll, .pairwise, Bytes(share.count * 12))[0]
    let longest = (0..<phase.routes.count).map { phase.routes.latency(of: RouteID($0)) }.max() ?? .zero
    let times = try phase.transfers.run(on: flows.graph.table, phase.routes, accuracy: .exact)
    let bound = 36 * Double(share.count) / (2 * cluster.nic.achieved.value.value)
    // Near flows start earlier by what their shorter way takes, and end long before.
    #expect(close((times.makespan - longest).seconds, bound))
  }

  @Test(arguments: [1, 2, 7]) func `k to one takes k messages' time at the receiver`(senders: Int) throws {
    let cluster = try flat(8)
    var flows = try collectives(cluster)
    var bytes = Array(repeating: Array(repeating: Int64(0), count: 8), count: 8)
    for source in 1...senders { bytes[source][0] = size.count }
    let seconds = try flows.seconds(try flows.pairwise(bytes))
    #expect(close(seconds, Double(senders) * Double(size.count) / cluster.nic.achieved.value.value))
  }

  @Test(arguments: CollectiveKind.allCases) func `no byte is lost on any link, whatever the size`(
    kind: CollectiveKind
  ) throws {
    let cluster = try cluster(.fatTree, nodes: 3)
    var flows = try collectives(cluster, .hashed(seed: 3))
    let odd = Bytes(1_000_003)
    let (n, g) = (Int64(24), Int64(8))
    for algorithm in CollectiveAlgorithm.choices(kind, hasNVLS: false, onlyDefault: false) {
      var sent: Int64 = 0
      for phase in try flows.phases(kind, algorithm, odd) {
        let times = try phase.transfers.run(on: flows.graph.table, phase.routes)
        var expected = Array(repeating: Int64(0), count: flows.graph.links)
        for flow in 0..<phase.transfers.count {
          let bytes = phase.transfers.size(of: flow).count
          sent += bytes
          for link in phase.routes.links(of: phase.transfers.route(of: flow)) {
            expected[Int(link.index)] += bytes
          }
        }
        #expect(times.carried.map(\.count) == expected)
        // What enters a device that is no GPU leaves it.
        for device in 0..<flows.graph.devices where flows.graph.kinds[device] != .gpu {
          let out = flows.graph.out(of: device).reduce(0) { $0 + expected[Int($1)] }
          let into = flows.graph.out(of: device).reduce(0) { $0 + expected[Int($1) ^ 1] }
          #expect(out == into)
        }
      }
      // Every copy and every sum moves a whole buffer n - 1 times, whatever the way.
      let s = odd.count
      let passes: Int64 = kind == .allReduce ? 2 : 1
      switch (kind, algorithm) {
      case (.allToAll, _):
        // What stays is a share of about a 24th for each.
        #expect(abs(sent - (n - 1) * s) < n)
      case (.broadcast, .hierarchical):
        #expect(sent > (n - 1) * s && sent < (n - 1) * s + 2 * s)
      case (_, .hierarchical): #expect(sent == passes * (3 * (g - 1) + 2) * s)
      default: #expect(sent == passes * (n - 1) * s)
      }
    }
  }

  @Test func `two trees span all nodes, and who is inside one is a leaf of the other`() {
    for count in 1...65 {
      var children = [Array(repeating: 0, count: count), Array(repeating: 0, count: count)]
      for tree in 0..<2 {
        var roots = 0
        for node in 0..<count {
          let parent = CollectiveFlows.parent(node, of: count, tree: tree)
          if parent < 0 { roots += 1 } else { children[tree][parent] += 1 }
          var place = node
          var hops = 0
          while place >= 0 && hops <= 8 {
            place = CollectiveFlows.parent(place, of: count, tree: tree)
            hops += 1
          }
          #expect(place < 0, "\(count) \(tree) \(node)")
        }
        #expect(roots == 1 && (children[tree].max() ?? 0) <= 2)
      }
      if count % 2 == 0 { #expect((0..<count).allSatisfy { children[0][$0] == 0 || children[1][$0] == 0 }) }
    }
  }
}

@Suite struct `Choice of an algorithm` {
  @Test func `is a tree for small buffers, rings for large ones, and what was asked for`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    var bench = try FabricBench(cluster, gpus: 64)
    let table = try #require(
      try bench.tables(sizes: [Bytes(1024), Bytes(1 << 30)]).first { $0.name.hasPrefix("all_reduce") })
    #expect(table.rows[0].choice == "tree/LL" && table.rows[1].choice == "ring/Simple")
    var forced = try FabricBench(cluster, gpus: 64, algorithm: .tree)
    let tables = try forced.tables(sizes: [Bytes(1 << 30)])
    #expect(tables.first { $0.name.hasPrefix("all_reduce") }?.rows[0].choice.hasPrefix("tree") == true)
    // Only an all-reduce has trees; the all-to-all has no choice.
    #expect(
      !tables.contains { $0.name.hasPrefix("all_gather") }
        && tables.contains { $0.name.hasPrefix("alltoall") })
  }

  @Test func `within a node is the switches that add up, for large buffers`() throws {
    var bench = try FabricBench(resolveCluster("h800-2048").cluster, gpus: 8)
    let tables = try bench.tables(sizes: [Bytes(1024), Bytes(1 << 30)])
    let table = try #require(tables.first { $0.name.hasPrefix("all_reduce") })
    #expect(table.rows[0].choice.hasSuffix("LL") && table.rows[1].choice == "nvls/Simple")
    #expect(abs(table.rows[1].bus.value / 215e9 - 1) < 0.02)
  }

  @Test func `reaches past 256 GPUs, without the all-to-all`() throws {
    var bench = try FabricBench(resolveCluster("h800-2048").cluster, gpus: 512)
    let tables = try bench.tables(sizes: [Bytes(1 << 30)])
    #expect(tables.contains { $0.name == "all_reduce, 512 GPUs" })
    #expect(!tables.contains { $0.name.hasPrefix("alltoall") })
  }
}
