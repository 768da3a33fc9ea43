import Clusters
import Programs
import Testing
import Units

@testable import Timing

@Suite struct `All-to-alls alone` {
  private let gigabyte = Int64(1) << 30

  @Test func `the fullest member sets the pace`() throws {
    let times = CollectiveTimes(try resolveCluster("h800-2048").cluster)
    let shape = GroupShape(ranks: 16, nodes: 2, ranksPerNode: 8)
    let even = times.allToAll(AllToAllLoad(near: 7 * gigabyte, far: 8 * gigabyte), shape: shape)
    let full = times.allToAll(AllToAllLoad(near: 7 * gigabyte, far: 16 * gigabyte), shape: shape)
    #expect(abs(full.alone.seconds / even.alone.seconds - 2) < 0.01)
    let splits = Splits(sent: [5, 1, 2, 40], received: [5, 9, 3, 4])
    let load = AllToAllLoad(splits, member: 0, nodeOfMember: [0, 0, 1, 1])
    #expect(load == AllToAllLoad(near: 9, far: 42))
  }

  @Test func `within a node only NVLink counts, between nodes each GPU has its own card`() throws {
    let cluster = try resolveCluster("h800-2048").cluster
    let times = CollectiveTimes(cluster)
    let near = times.collective(
      .allToAll, bytes: 8 * gigabyte, shape: GroupShape(ranks: 8, nodes: 1, ranksPerNode: 8))
    let wanted = Double(7 * gigabyte) / cluster.collectives.nvlinkBandwidth.value.value
    #expect(abs(near.alone.seconds / wanted - 1) < 0.01)
    let far = times.collective(
      .allToAll, bytes: 64 * gigabyte, shape: GroupShape(ranks: 64, nodes: 8, ranksPerNode: 8))
    let card = Double(56 * gigabyte) / cluster.collectives.nicBandwidth.value.value
    #expect(abs(far.alone.seconds / card - 1) < 0.01)
  }
}
