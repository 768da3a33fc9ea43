import Models
import Routing

/// Rules of routing and of where experts lie.
extension PlanRules {
  func checkRouting() throws {
    guard let mixture = model.mixture else {
      for (path, found, allowed) in [
        ("routing", plan.routing.text, "balanced"),
        ("expert_placement", plan.expertPlacement.rawValue, "contiguous"),
        ("redundant_experts", "\(plan.redundantExperts)", "0"),
      ] where found != allowed {
        throw refuse(
          "the model has no experts", at: path, found: found, allowed: allowed,
          hint: "\(model.name) is dense")
      }
      return
    }
    if case .zipf(let exponent) = plan.routing, !ExpertRouting.exponents.contains(exponent) {
      throw refuse(
        "this is no exponent of a popularity", at: "routing", found: "\(exponent)", allowed: "0 to 4")
    }
    guard plan.expertPlacement == .contiguous || plan.expert > 1 else {
      throw refuse(
        "there are no expert ranks to balance", at: "expert_placement", found: "eplb with expert 1",
        allowed: "contiguous", hint: "parallel.expert spreads experts over ranks")
    }
    let redundant = plan.redundantExperts
    guard redundant == 0 || plan.expertPlacement == .eplb else {
      throw refuse(
        "redundant experts need a balancer that places them", at: "redundant_experts", found: "\(redundant)",
        allowed: "0 with expert_placement contiguous", hint: "expert_placement: eplb")
    }
    let most = mixture.routedExperts * (plan.expert - 1)
    guard (0...most).contains(redundant), redundant % plan.expert == 0 else {
      throw refuse(
        "redundant experts do not fill the expert ranks evenly", at: "redundant_experts",
        found: "\(redundant)", allowed: "a multiple of expert = \(plan.expert), at most \(most)",
        hint: "each rank holds (\(mixture.routedExperts) + redundant_experts) / \(plan.expert) experts")
    }
  }

  /// How experts come to lie, and what replicas cost.
  func expertNotes(grid: RankGrid) -> [String] {
    guard plan.expertPlacement == .eplb, let mixture = model.mixture else { return [] }
    let span = grid.span(of: grid.group(.expert, containing: 0), gpusPerNode: cluster.gpusPerNode.value)
    let isHierarchical =
      mixture.groups % span.nodes == 0 && span.nodes * span.ranksPerNode == plan.expert
    var notes: [String] = []
    if span.nodes > 1 {
      notes.append(
        isHierarchical
          ? "experts are placed hierarchically: the \(mixture.groups) groups stay whole on \(span.nodes) nodes"
          : "experts are placed globally: \(mixture.groups) groups do not divide among \(span.nodes) nodes")
    }
    if plan.redundantExperts > 0 {
      notes.append(
        "replicas' gradients are added in one all-reduce of the expert group, of as many bytes as the rank with "
          + "most replicas holds, after the reduction over expert data; each replica is then updated by itself"
      )
    }
    return notes
  }
}
