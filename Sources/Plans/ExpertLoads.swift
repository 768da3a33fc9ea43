import Models
import Routing

/// What the routed experts of every mixture layer put on the ranks of an expert group.
public struct ExpertLoads: Hashable, Sendable {
  /// Layers of the model with a mixture, ascending.
  public let layers: [Int]
  /// By ``layers``.
  public let loads: [ExpertLoad]

  public subscript(layer: Int) -> ExpertLoad? {
    layers.firstIndex(of: layer).map { loads[$0] }
  }

  /// The layer whose fullest rank is the fullest, the first of equals.
  public var worst: (layer: Int, imbalance: Double) {
    // Layers that differ by rounding alone are equals.
    let most = loads.reduce(0) { max($0, $1.imbalance) } * (1 - 1e-12)
    let index = loads.firstIndex { $0.imbalance >= most } ?? 0
    return (layers[index], loads[index].imbalance)
  }

  /// The fullest rank's rows over the mean rank's, mean over layers.
  public var meanImbalance: Double { loads.reduce(0) { $0 + $1.imbalance } / Double(loads.count) }

  /// Ranks that a token would have to travel to if every rank received what the fullest does.
  var mostRanks: Double {
    loads.reduce(0) { max($0, ($1.rankChance.max() ?? 0) * Double($1.rankChance.count)) }
  }

  /// The member of an expert group that computes most rows in some layers together, the first of equals.
  func fullest(of layers: [Int]) -> Int {
    let chosen = layers.compactMap { self[$0] }
    guard let members = chosen.first?.work.count else { return 0 }
    let sums = (0..<members).map { member in chosen.reduce(0) { $0 + $1.work[member] } }
    return sums.indices.max { (sums[$0], $1) < (sums[$1], $0) } ?? 0
  }
}

extension ValidPlan {
  /// The plan with what routing and placement put on its ranks.
  ///
  /// The balancer is given the long-run loads themselves. Balanced routing without redundant experts stays as it is:
  /// then no placement changes anything.
  /// - Parameter sample: Of the plan's routing and model; nil for a dense model.
  /// - Complexity: O(layers × (tokens of the sample × ranks + slots × experts)).
  public func loaded(by sample: RoutingSample?) -> ValidPlan {
    var plan = self
    plan.expertLoads = nil
    guard let sample, plan.plan.expert > 1, plan.plan.routing != .balanced || plan.plan.redundantExperts > 0
    else { return plan }
    let ranksPerNode = expertSpan.ranksPerNode
    plan.expertLoads = ExpertLoads(
      layers: sample.layers.map(\.layer),
      loads: sample.layers.map {
        ExpertLoad(
          $0, topK: sample.mixture.topK, placement: placement(frequencies: $0.frequencies),
          ranksPerNode: ranksPerNode)
      })
    return plan
  }

  private func placement(frequencies: [Double]) -> ExpertPlacement {
    balancing?.placement(loads: frequencies.map(Float.init))
      ?? ExpertPlacement(contiguous: frequencies.count, gpus: plan.expert)
  }

  /// The balancer of the plan's experts; nil where they lie in order.
  ///
  /// It is hierarchical where nodes divide the groups of experts, as published, and nodes hold as many ranks each.
  public var balancing: ExpertBalancing? {
    guard let mixture = model.mixture, plan.expertPlacement == .eplb, plan.expert > 1 else { return nil }
    let span = expertSpan
    let isEven = span.nodes * span.ranksPerNode == plan.expert
    return ExpertBalancing(
      replicas: mixture.routedExperts + plan.redundantExperts, groups: isEven ? mixture.groups : 1,
      nodes: isEven ? span.nodes : 1, gpus: plan.expert)
  }

  private var expertSpan: GroupSpan {
    grid.span(of: grid.group(.expert, containing: 0), gpusPerNode: cluster.gpusPerNode.value)
  }

  /// One GPU's share of a layer, with the rows of a member of its expert group where experts are uneven.
  ///
  /// - Parameter member: Nil for the one that computes most in this layer, for which all others wait.
  public func slice(ofLayer layer: Int, member: Int? = nil) -> Slice {
    var slice = slice
    guard let mixture = model.mixture, let load = expertLoads?[layer] else { return slice }
    let member = member ?? load.fullest
    let tokens = Double(residualTokens * plan.expertTensor)
    slice.expertRows = tokens * Double(mixture.topK) * load.work[member]
    slice.receivedRows = tokens * load.rankChance[member] * Double(plan.expert)
    return slice
  }
}
