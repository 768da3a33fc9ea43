import Plans
import Programs

/// The communicators that a plan's tasks speak of, by what they are for.
struct Groups {
  private(set) var communicators: [Communicator] = []
  private var indices: [String: Int32] = [:]

  init(_ plan: ValidPlan) {
    let grid = plan.grid
    func add(_ name: String, _ groups: [[Int]]) {
      indices[name] = Int32(communicators.count)
      communicators.append(Communicator(name: name, ranks: plan.ranks, groups: groups))
    }
    for kind in [GroupKind.pipeline, .tensor, .context, .expert, .expertTensor] where grid.size(of: kind) > 1
    {
      add(kind.rawValue, grid.groups(kind).map(Array.init))
    }
    // A stage that two pipeline ranks hold (DualPipe) is reduced over both; each group is found from its lowest rank.
    func reductionGroups(_ group: (Int) -> RankGroup) -> [[Int]] {
      (0..<plan.ranks).compactMap { rank in
        let members = group(rank)
        return members.first == rank ? Array(members) : nil
      }
    }
    if plan.denseCopies > 1 { add("data", reductionGroups(plan.denseGradientGroup)) }
    if plan.expertCopies > 1, plan.model.mixture != nil {
      add("expert_data", reductionGroups(plan.expertGradientGroup))
    }
    if plan.embeddingSharing == .acrossRanks {
      let (first, last) = (0, plan.plan.pipeline - 1)
      add(
        "embedding",
        grid.groups(.pipeline).map { pipeline in [pipeline[first], pipeline[last]] })
    }
    if plan.ranks > 1 { add("world", [Array(0..<plan.ranks)]) }
  }

  /// Index of a communicator, or nil where the group is one rank alone.
  func index(_ name: String) -> Int32? { indices[name] }
}
