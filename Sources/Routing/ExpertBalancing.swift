/// The published expert-parallelism load balancer: replicates busy experts and spreads replicas over GPUs.
///
/// Arithmetic is float32 and ties go to the lowest index, so that placements are the published code's own where its
/// sort is stable. Each step reads as there: pack, replicate, pack.
/// Source: github.com/deepseek-ai/EPLB, `eplb.py`.
public struct ExpertBalancing: Hashable, Sendable {
  /// Slots for experts on all GPUs.
  public var replicas: Int
  /// Groups of experts that tokens choose among; they stay together on a node where `nodes` divides them.
  public var groups: Int
  public var nodes: Int
  public var gpus: Int

  /// - Precondition: `nodes` divides `gpus` unless groups cannot stay together, and `gpus` divides `replicas`.
  public init(replicas: Int, groups: Int, nodes: Int, gpus: Int) {
    precondition(replicas > 0 && groups > 0 && nodes > 0 && gpus > 0, "counts are positive")
    precondition(replicas % gpus == 0, "all GPUs have as many slots")
    precondition(groups % nodes != 0 || gpus % nodes == 0, "all nodes have as many GPUs")
    self.replicas = replicas
    self.groups = groups
    self.nodes = nodes
    self.gpus = gpus
  }

  /// Whether groups stay within nodes; otherwise experts are spread as if all GPUs were one node's.
  public var isHierarchical: Bool { groups % nodes == 0 }

  /// A placement of one layer.
  ///
  /// - Parameter loads: Of each expert, finite and not negative, for instance its tokens in the last steps.
  /// - Precondition: There are slots for all experts, and `groups` divides them.
  /// - Complexity: O(replicas × experts).
  public func placement(loads: [Float]) -> ExpertPlacement {
    let experts = loads.count
    let (groups, nodes) = isHierarchical ? (groups, nodes) : (1, 1)
    precondition(experts % groups == 0 && experts % nodes == 0, "all groups have as many experts")
    precondition(experts <= replicas, "every expert has a slot")
    precondition(loads.allSatisfy { $0.isFinite && $0 >= 0 }, "loads are counts")
    let groupSize = experts / groups
    let expertsPerNode = experts / nodes
    let slotsPerNode = replicas / nodes
    let gpusPerNode = gpus / nodes
    let slotsPerGPU = replicas / gpus

    // 1. Groups to nodes.
    let groupLoads = (0..<groups).map { loads[$0 * groupSize..<($0 + 1) * groupSize].reduce(0, +) }
    let groupPacking = packed(groupLoads, packs: nodes)
    var expertAtPosition = Array(repeating: 0, count: experts)
    for group in 0..<groups {
      let (node, rank) = groupPacking[group]
      let start = (node * (groups / nodes) + rank) * groupSize
      for member in 0..<groupSize { expertAtPosition[start + member] = group * groupSize + member }
    }

    var slotsOfExpert = Array(repeating: [Int](), count: experts)
    for node in 0..<nodes {
      // 2. Replicas within the node.
      let mine = expertAtPosition[node * expertsPerNode..<(node + 1) * expertsPerNode].map { $0 }
      let (expertOfReplica, counts) = replicated(mine.map { loads[$0] }, slots: slotsPerNode)
      // 3. Replicas to the node's GPUs.
      let replicaLoads = expertOfReplica.map { loads[mine[$0]] / Float(counts[$0]) }
      let packing = packed(replicaLoads, packs: gpusPerNode)
      for (replica, expert) in expertOfReplica.enumerated() {
        let slot = node * slotsPerNode + packing[replica].pack * slotsPerGPU + packing[replica].rank
        slotsOfExpert[mine[expert]].append(slot)
      }
    }
    return ExpertPlacement(slotsOfExpert: slotsOfExpert, gpus: gpus)
  }

  /// Spreads items over packs of equally many, the heaviest first, each to the lightest pack that is not full.
  private func packed(_ loads: [Float], packs: Int) -> [(pack: Int, rank: Int)] {
    let perPack = loads.count / packs
    // One item a pack: nothing can be balanced, and the published code keeps the order.
    if perPack == 1 { return loads.indices.map { ($0, 0) } }
    var result = Array(repeating: (pack: 0, rank: 0), count: loads.count)
    var packLoads = Array(repeating: Float(0), count: packs)
    var packCounts = Array(repeating: 0, count: packs)
    for item in loads.indices.sorted(by: { (loads[$1], $0) < (loads[$0], $1) }) {
      var lightest = -1
      for pack in 0..<packs where packCounts[pack] < perPack {
        if lightest < 0 || packLoads[pack] < packLoads[lightest] { lightest = pack }
      }
      result[item] = (lightest, packCounts[lightest])
      packLoads[lightest] += loads[item]
      packCounts[lightest] += 1
    }
    return result
  }

  /// Gives every further slot to the expert whose replicas are the busiest.
  private func replicated(_ loads: [Float], slots: Int) -> (expertOfReplica: [Int], counts: [Int]) {
    var experts = Array(loads.indices)
    var counts = Array(repeating: 1, count: loads.count)
    for _ in loads.count..<slots {
      var busiest = 0
      for expert in loads.indices
      where loads[expert] / Float(counts[expert]) > loads[busiest] / Float(counts[busiest]) {
        busiest = expert
      }
      experts.append(busiest)
      counts[busiest] += 1
    }
    return (experts, counts)
  }
}
