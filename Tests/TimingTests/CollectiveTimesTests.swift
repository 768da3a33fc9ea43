import Clusters
import Models
import Operators
import Programs
import Routing
import Testing
import Timing
import Units

@Suite struct `Collectives alone` {
  private static let shapes = [
    GroupShape(ranks: 2, nodes: 1, ranksPerNode: 2), GroupShape(ranks: 8, nodes: 1, ranksPerNode: 8),
    GroupShape(ranks: 16, nodes: 2, ranksPerNode: 8), GroupShape(ranks: 64, nodes: 64, ranksPerNode: 1),
    GroupShape(ranks: 256, nodes: 128, ranksPerNode: 2),
  ]

  private func cluster() throws -> Cluster { try resolveCluster("h800-2048").cluster }

  @Test(arguments: shapes) func `tend to their ring's traffic over bandwidth`(shape: GroupShape) throws {
    let cluster = try cluster()
    let times = CollectiveTimes(cluster)
    let size = Int64(1) << 38
    let share = Double(shape.ranks - 1) / Double(shape.ranks)
    let nvlink = cluster.collectives.nvlinkBandwidth.value.value
    let cards = cluster.collectives.nicBandwidth.value.value * Double(shape.ranksPerNode)
    let bandwidth = shape.nodes == 1 ? nvlink : shape.ranksPerNode == 1 ? cards : min(nvlink, cards)
    for kind in [TaskKind.reduceScatter, .allGather] {
      let ideal = share * Double(size) / bandwidth
      let time = times.collective(kind, bytes: size, shape: shape).alone.seconds
      #expect(time >= ideal && time < ideal * 1.01, "\(kind)")
    }
    // Switches that add up may beat the ring within a node, nothing else does.
    let allReduce = times.collective(.allReduce, bytes: size, shape: shape).alone.seconds
    let ideal = 2 * share * Double(size) / bandwidth
    #expect(allReduce < ideal * 1.01 && allReduce > ideal * (shape.nodes == 1 ? 0.5 : 0.999))
  }

  @Test func `slow down beyond the leaf of an oversubscribed fabric, and only there`() throws {
    let whole = try cluster()
    var thin = whole
    thin.fabric.oversubscription = Sourced(Ratio(2), tag: .assumed, source: "test")
    let size = Int64(1) << 38
    let near = GroupShape(ranks: 16, nodes: 16, ranksPerNode: 1)
    let far = GroupShape(ranks: 64, nodes: 64, ranksPerNode: 1)
    func seconds(_ cluster: Cluster, _ shape: GroupShape) -> Double {
      CollectiveTimes(cluster).collective(.reduceScatter, bytes: size, shape: shape).alone.seconds
    }
    #expect(seconds(thin, near) == seconds(whole, near))
    #expect(abs(seconds(thin, far) / seconds(whole, far) - 2) < 0.01)
  }

  @Test(arguments: shapes) func `never get faster with more bytes, and load no link beyond its peak`(
    shape: GroupShape
  ) throws {
    let times = CollectiveTimes(try cluster())
    for kind in TaskKind.allCases where kind.isCollective && kind != .dispatch && kind != .combine {
      var last = Span.zero
      for power in 0..<34 {
        let cost = times.collective(kind, bytes: Int64(1) << power, shape: shape)
        #expect(cost.alone >= last && cost.alone > .zero)
        last = cost.alone
        let shares = [cost.linkShare.0, cost.linkShare.1, cost.linkShare.2, cost.linkShare.3]
        #expect(shares.allSatisfy { (0...1).contains($0) })
      }
    }
  }

  @Test func `take nothing in a group of one`() throws {
    let times = CollectiveTimes(try cluster())
    let one = GroupShape(ranks: 1, nodes: 1, ranksPerNode: 1)
    for kind in TaskKind.allCases where kind.isCollective && kind != .dispatch && kind != .combine {
      #expect(times.collective(kind, bytes: 1 << 20, shape: one) == .free)
    }
  }

  @Test func `send messages faster over NVLink than over the network, and longer ones longer`() throws {
    let times = CollectiveTimes(try cluster())
    var last = Span.zero
    for bytes in [0, 1, 1 << 10, 1 << 20, 1 << 30] as [Int64] {
      let (near, far) = (times.message(bytes, crossesNodes: false), times.message(bytes, crossesNodes: true))
      #expect(near.alone <= far.alone && near.alone >= last && near.alone > .zero)
      #expect(near.linkShare.2 == 0 && far.linkShare.0 == 0)
      last = near.alone
    }
  }

  @Test func `know where a group sits`() {
    #expect(GroupShape(of: [0, 1, 2, 3], gpusPerNode: 4) == GroupShape(ranks: 4, nodes: 1, ranksPerNode: 4))
    #expect(GroupShape(of: [3, 4, 5, 12], gpusPerNode: 4) == GroupShape(ranks: 4, nodes: 3, ranksPerNode: 2))
    #expect(GroupShape(of: [], gpusPerNode: 4) == GroupShape(ranks: 0, nodes: 0, ranksPerNode: 0))
  }
}

@Suite struct `Dispatch and combine alone` {
  /// DeepEP's first release: logical bandwidths of dispatch in FP8 and combine in BF16, 4,096 tokens of 7,168 elements.
  ///
  /// Source: DeepEP README, February 2025.
  static let published = [(8, 153.0, 158.0), (16, 43.0, 43.0), (32, 44.0, 47.0), (64, 46.0, 45.0)]

  private func exchange(ranks: Int, format: Format) -> (Exchange, GroupShape) {
    let nodes = ranks / 8
    let mixture = Mixture(
      routedExperts: 256, sharedExperts: 1, topK: 8, expertIntermediate: 2048, groups: nodes,
      limitedGroups: min(4, nodes), scoring: .sigmoid, hasSelectionBias: true, firstDenseLayers: 3)
    let traffic = ExpertTraffic(balanced: mixture, ranks: ranks, ranksPerNode: 8, tokens: 1024, seed: 1)
    return (
      Exchange(
        tokens: 4096, nodesPerToken: traffic.nodesPerToken, remoteNodesPerToken: traffic.remoteNodesPerToken,
        ranksPerToken: traffic.ranksPerToken, forwardedPerToken: traffic.forwardedPerToken,
        bytesPerToken: 7168 * format.bytesPerElement),
      GroupShape(ranks: ranks, nodes: nodes, ranksPerNode: 8)
    )
  }

  @Test(arguments: published) func `meet DeepEP's published bandwidths within 8 %`(
    ranks: Int, dispatch: Double, combine: Double
  ) throws {
    let cluster = try resolveCluster("h800-2048").cluster
    let times = CollectiveTimes(cluster)
    let calibration = try #require(cluster.allToAll)
    func check(_ rate: Double, _ published: Double, _ kind: TaskKind) {
      #expect(abs(rate / published - 1) < 0.08, "EP\(ranks) \(kind): \(rate) for \(published) GB/s")
    }
    for (kind, format, gigabytes) in [
      (TaskKind.dispatch, Format.float8, dispatch), (.combine, .bfloat16, combine),
    ] {
      let (exchange, shape) = exchange(ranks: ranks, format: format)
      // The benchmark's bandwidth is of the kernel that moves data: its layout is known before the clock starts.
      let notify = kind == .dispatch ? calibration.notifyLatency.value : calibration.cachedNotifyLatency.value
      let cost = times.exchange(kind, exchange, shape: shape, layoutIsKnown: kind == .combine)
      let copies = ranks == 8 ? exchange.ranksPerToken : exchange.nodesPerToken
      let rate = exchange.tokens * copies * exchange.bytesPerToken / (cost.alone - notify).seconds / 1e9
      check(rate, gigabytes, kind)
    }
  }

  @Test func `take longer with more tokens, wider rows and unknown layouts`() throws {
    let times = CollectiveTimes(try resolveCluster("h800-2048").cluster)
    var (exchange, shape) = exchange(ranks: 64, format: .float8)
    let first = times.exchange(.dispatch, exchange, shape: shape, layoutIsKnown: false).alone
    #expect(times.exchange(.dispatch, exchange, shape: shape, layoutIsKnown: true).alone < first)
    exchange.tokens *= 2
    let second = times.exchange(.dispatch, exchange, shape: shape, layoutIsKnown: false).alone
    #expect(second > first)
    exchange.bytesPerToken *= 2
    #expect(times.exchange(.dispatch, exchange, shape: shape, layoutIsKnown: false).alone > second)
    shape = GroupShape(ranks: 1, nodes: 1, ranksPerNode: 1)
    #expect(times.exchange(.dispatch, exchange, shape: shape, layoutIsKnown: false) == .free)
  }
}
