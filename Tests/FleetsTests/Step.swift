import Clusters
import Fabrics
import Fleets
import Models
import Plans
import Programs
import Routing
import Schedules
import Simulation
import Timelines
import Timing
import Units

/// A few narrower layers of DeepSeek-V3 on 64 of its GPUs: two pipeline ranks, expert groups of two nodes.
struct Step {
  let model: Model
  let cluster: Cluster
  let program: VerifiedProgram
  let costs: ProgramCosts
  let symmetric: Timeline

  init(cluster name: String = "h800-2048", ports: Int? = nil, change: (inout Plan) -> Void = { _ in }) throws
  {
    var model = try resolveModel("deepseek-v3").model
    model.layers = 4
    model.mixture?.routedExperts = 64
    model.mixture?.groups = 8
    model.mixture?.firstDenseLayers = 1
    model.multiTokenPredictionDepth = 0
    var plan = try shippedPlan(named: "deepseek-v3").plan
    plan.pipeline = 2
    plan.expert = 16
    plan.layout = nil
    plan.globalBatch = 8 * 32
    change(&plan)
    var cluster = try resolveCluster(name).cluster.resized(nodes: 8)
    // Small switches make leaves of few nodes, so that 64 GPUs need spines.
    if let ports { cluster.fabric.switchPorts = Sourced(ports, tag: .assumed, source: "test") }
    self.cluster = cluster
    self.model = model
    let valid = try validate(plan, model: model, cluster: cluster)
    let order = try PipelineOrder.published(
      plan.schedule.rawValue, ranks: plan.pipeline, microBatches: valid.microBatches, virtualStages: nil)
    program = try VerifiedProgram(lower(valid, order: order, seed: 1))
    costs = try ProgramCosts(
      program, on: cluster,
      sharing: CommunicationSharing(multiprocessors: plan.communicationSMs, extent: .overlappedPairs))
    symmetric = Simulator.run(program, costs: costs)
  }

  func run(
    _ routing: FleetRouting = .balanced, _ perturbations: Perturbations = Perturbations(), seed: UInt64 = 1,
    threads: Int = 1, choice: RouteChoice = .fixed
  ) throws -> FleetReport {
    try FleetRun(
      program, costs: costs, on: cluster, routing: routing, perturbations: perturbations, seed: seed,
      threads: threads, choice: choice, expected: symmetric.makespan
    ).report
  }

  func skewed(_ exponent: Double = 0.3) throws -> FleetRouting {
    guard let draw = RoutingDraw(model: model, popularity: .zipf(exponents: [exponent]), seed: 1) else {
      throw NoExperts()
    }
    return .drawn(draw)
  }
}

struct NoExperts: Error {}
