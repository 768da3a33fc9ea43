import Models
import Plans
import Routing
import Testing
import Units

@Suite struct `Where a plan's experts lie` {
  /// DeepSeek-V3's plan with two mixture layers a stage's worth of routing drawn.
  private func valid(
    _ routing: ExpertRouting = .balanced, redundant: Int = 0, placement: ExpertPlacementName = .eplb,
    nodes: Int = 256, gpusPerNode: Int = 8
  ) throws -> ValidPlan {
    var plan = try ValidationTests.deepseek()
    (plan.routing, plan.redundantExperts, plan.expertPlacement) = (routing, redundant, placement)
    return try validate(plan, model: deepseekV3, cluster: cluster(nodes: nodes, gpusPerNode: gpusPerNode))
  }

  /// A model with two layers, whose loads are quick to draw.
  private static let small: Model = {
    var model = deepseekV3
    (model.layers, model.multiTokenPredictionDepth) = (2, 0)
    model.mixture = Mixture(
      routedExperts: 32, topK: 4, expertIntermediate: 512, groups: 8, limitedGroups: 4, hasSelectionBias: true
    )
    return model
  }()

  private func loaded(
    _ routing: ExpertRouting, placement: ExpertPlacementName = .contiguous, redundant: Int = 0
  ) throws -> ValidPlan {
    var plan = Plan(name: "small", source: "test", globalBatch: 64, sequence: 1024)
    (plan.expert, plan.routing) = (16, routing)
    (plan.expertPlacement, plan.redundantExperts) = (placement, redundant)
    let valid = try validate(plan, model: Self.small, cluster: cluster(nodes: 4))
    let popularity: ExpertPopularity =
      if case .zipf(let exponent) = routing { .zipf(exponents: [exponent]) } else { .balanced }
    return valid.loaded(by: RoutingSample(model: Self.small, popularity: popularity, seed: 1))
  }

  @Test func `is hierarchical where nodes divide the groups of experts, else global`() throws {
    let hierarchical = try valid()
    #expect(hierarchical.balancing == ExpertBalancing(replicas: 256, groups: 8, nodes: 8, gpus: 64))
    #expect(hierarchical.balancing?.isHierarchical == true)
    #expect(hierarchical.notes.contains { $0.contains("hierarchically: the 8 groups stay whole on 8 nodes") })
    let global = try valid(redundant: 64, nodes: 512, gpusPerNode: 4)
    #expect(global.balancing == ExpertBalancing(replicas: 320, groups: 8, nodes: 16, gpus: 64))
    #expect(global.balancing?.isHierarchical == false)
    #expect(global.notes.contains { $0.contains("globally: 8 groups do not divide among 16 nodes") })
    #expect(global.notes.contains { $0.contains("replicas' gradients") })
    #expect(try valid(placement: .contiguous).balancing == nil)
  }

  @Test func `keeps every group of experts on one node, replicas and all`() throws {
    let loads = try #require(try loaded(.zipf(exponent: 1), placement: .eplb, redundant: 16).expertLoads)
    for load in loads.loads {
      #expect(load.placement.slotsPerGPU == 3)
      for group in 0..<8 {
        let nodes = Set(
          load.placement.slotsOfExpert[group * 4..<group * 4 + 4].joined().map {
            load.placement.gpu(ofSlot: $0) / 8
          })
        #expect(nodes.count == 1)
      }
    }
  }

  @Test func `changes nothing where experts are balanced and held once`() throws {
    #expect(try loaded(.balanced, placement: .eplb).expertLoads == nil)
    #expect(try loaded(.balanced).expertLoads == nil)
    let replicated = try loaded(.balanced, placement: .eplb, redundant: 32)
    let loads = try #require(replicated.expertLoads)
    #expect(loads.worst.imbalance < 1.01, "as many copies of each")
  }

  @Test func `decides what the fullest rank computes`() throws {
    let plain = try #require(try loaded(.zipf(exponent: 0.75)).expertLoads)
    let placed = try #require(try loaded(.zipf(exponent: 0.75), placement: .eplb, redundant: 32).expertLoads)
    #expect(plain.layers == [0, 1] && plain[0] != plain[1])
    #expect(plain.worst.imbalance > 1.5 && plain.meanImbalance <= plain.worst.imbalance)
    #expect(placed.meanImbalance < plain.meanImbalance)
    let valid = try loaded(.zipf(exponent: 0.75))
    let slice = valid.slice(ofLayer: 1)
    #expect(slice.expertRows == Double(valid.residualTokens * 4) * (plain[1]?.imbalance ?? 0))
    #expect((slice.receivedRows ?? 0) <= slice.expertRows ?? 0)
    #expect(valid.slice.expertRows == nil)
  }

  @Test func `counts in memory: replicas' parameters, gradients and states, and uneven rows`() throws {
    let (plain, replicated) = (
      try loaded(.balanced), try loaded(.balanced, placement: .eplb, redundant: 32)
    )
    let reports = [plain, replicated].map { memory(of: $0, reserve: noReserve).worst }
    // Two more experts on each of 16 ranks, in two layers; two ranks share the optimizer's states.
    let parameters = Int64(2 * 2 * 3 * deepseekV3.hidden * 512)
    #expect(reports[1][.parameters].count - reports[0][.parameters].count == parameters * 2)
    #expect(reports[1][.gradients].count - reports[0][.gradients].count == parameters * 4)
    #expect(reports[1][.master].count - reports[0][.master].count == parameters * 4 / 2)
    #expect(reports[1][.optimizerMoments].count - reports[0][.optimizerMoments].count == parameters * 8 / 2)
    let skewed = memory(of: try loaded(.zipf(exponent: 1)), reserve: noReserve).worst
    #expect(skewed[.activations] > reports[0][.activations])
    #expect(skewed[.expertBuffers] > reports[0][.expertBuffers])
    #expect(skewed[.parameters] == reports[0][.parameters])
  }

  @Test func `needs experts, and ranks to put them on`() {
    let changes: [(String, @Sendable (inout Plan) -> Void)] = [
      ("routing", { $0.routing = .zipf(exponent: 1) }), ("expert_placement", { $0.expertPlacement = .eplb }),
      ("redundant_experts", { $0.redundantExperts = 8 }),
    ]
    for (path, change) in changes {
      var plan = Plan(name: "dense", source: "test", globalBatch: 64, sequence: 2048)
      change(&plan)
      let found = diagnostic {
        try validate(plan, model: gpt(hidden: 1024, layers: 4, heads: 8), cluster: cluster(nodes: 1))
      }
      #expect(found?.path == path && found?.problem == "the model has no experts")
    }
  }

  @Test func `a recording is named as seen from the plan's file`() throws {
    #expect(try ExpertRouting(text: "recorded:a:b.csv") == .recorded(path: "a:b.csv"))
    for text in ["balanced", "zipf:0.5", "recorded:x.csv"] {
      #expect(try ExpertRouting(text: text).text == text)
    }
  }
}
