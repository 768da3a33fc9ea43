import Clusters
import Documents
import Fabrics
import Fleets
import Models
import Networks
import Plans
import Programs
import Routing
import Schedules
import Simulation
import Timelines
import Timing
import Units

/// How closely a step is simulated.
public enum Fidelity: String, CaseIterable, Sendable {
  /// Every rank and every flow on its own.
  case flow
  /// One rank of each role: what estimates use.
  case symmetric
}

/// What `rehearse simulate` is asked for.
public struct SimulationRequest: Sendable {
  public var estimate = EstimateRequest()
  public var fidelity = Fidelity.flow
  /// `RANK:TIMES` each.
  public var slowGPUs: [String] = []
  public var jitter = 0.0
  /// `LINK:SHARE@SECONDSs` each; a link is `nicRANK`, a device of the fabric, or two of them that a cable joins.
  public var degraded: [String] = []
  /// `LINK@SECONDSs` each.
  public var failed: [String] = []
  /// `EXPERT:TIMES` or `LAYER:EXPERT:TIMES` each.
  public var hotExperts: [String] = []
  /// How one of several equal ways through the fabric is chosen.
  public var choice = RouteChoice.fixed
  public var threads = 1

  public init() {}
}

/// A step of a whole cluster, beside the same step of one rank of each role.
public struct FleetSimulation: Sendable {
  /// What one thing that is slow or broken costs on its own.
  public struct Cost: Sendable {
    /// As the command line named it.
    public let name: String
    /// With this alone, minus with nothing; may be negative where chance helps.
    public let span: Span
    public let report: FleetReport
  }

  public let plan: ValidPlan
  public let seed: UInt64
  /// One rank of each role, balanced.
  public let symmetric: Timeline
  public let flow: FleetReport?
  /// The same with nobody slow and nothing broken, where something is.
  public let undisturbed: FleetReport?
  /// Each perturbation alone, in the order of the request.
  public let costs: [Cost]
  public let provenance: [String]
  /// How many steps were simulated rank by rank.
  public var runs: Int {
    (flow == nil ? 0 : 1) + (undisturbed == nil ? 0 : 1) + (costs.count > 1 ? costs.count : 0)
  }

  /// - Parameter progress: Told of each stage of the work, and how much of it is done, 0 to 1.
  /// - Throws: A `Diagnostic`, or what ``diagnostic(for:)`` turns into one.
  public init(
    _ request: SimulationRequest, progress: @escaping @Sendable (String, Double) -> Void = { _, _ in }
  ) throws {
    let inputs = try EstimateInputs(request.estimate)
    plan = inputs.plan
    seed = request.estimate.seed
    let all = try NamedPerturbation.all(request, inputs)
    provenance = inputs.provenance.inputs.map { "\($0.name): \($0.pathOrShippedName)" }
    if inputs.cluster.host != nil, request.fidelity == .flow {
      throw Diagnostic(
        .usage, "ranks that share processors have no flows", path: "--fidelity", found: "flow",
        allowed: "symmetric",
        hint: "rehearse execute runs such a plan for good")
    }
    progress("lowering and verifying the plan", 0)
    let step = try SimulatedStep(inputs.balancedPlan(), seed: seed)
    symmetric = step.timeline
    guard request.fidelity == .flow else {
      (flow, undisturbed, costs) = (nil, nil, [])
      return
    }
    let choices = inputs.plan.plan
    // Flows meet on the fabric's own links; the share that a whole cluster leaves of them is for estimates.
    var cluster = inputs.cluster
    cluster.fabric.oversubscription = Sourced(
      Ratio(1), tag: .derived, source: "flows share the fabric's links themselves")
    let taskCosts = try ProgramCosts(
      step.program, on: cluster,
      sharing: CommunicationSharing(
        multiprocessors: choices.communicationSMs,
        extent: choices.overlap.tensorCollectives == .all ? .everySlot : .overlappedPairs))
    func run(_ what: String, _ perturbations: [NamedPerturbation]) throws -> FleetReport {
      var together = Perturbations()
      for one in perturbations { one.apply(&together) }
      let name = "\(what)\(inputs.plan.ranks) ranks, \(step.program.program.taskCount) tasks"
      do {
        return try FleetRun(
          step.program, costs: taskCosts, on: inputs.cluster,
          routing: try FleetRouting(inputs, hot: perturbations.compactMap(\.hot)),
          perturbations: together, seed: request.estimate.seed, threads: request.threads,
          choice: request.choice, expected: step.timeline.makespan, progress: { progress(name, $0) }
        ).report
      } catch let error as NetworkError {
        throw Diagnostic(.data, error.description, path: "cluster \(inputs.cluster.name)")
      }
    }
    flow = try run("", all)
    guard let flow, !all.isEmpty else {
      (undisturbed, costs) = (nil, [])
      return
    }
    let base = try run("undisturbed: ", [])
    undisturbed = base
    costs = try all.map { one in
      let report = all.count == 1 ? flow : try run("\(one.name) alone: ", [one])
      return Cost(name: one.name, span: report.makespan - base.makespan, report: report)
    }
  }
}

extension EstimateInputs {
  /// The same plan with balanced experts: where exchanges are drawn one by one, unevenness comes from the draws alone.
  fileprivate func balancedPlan() throws -> ValidPlan {
    var choices = plan.plan
    choices.routing = .balanced
    return try validate(choices, model: model, cluster: cluster)
  }
}

extension FleetRouting {
  /// Draws of the plan's routing, with experts where its placement puts them.
  ///
  /// A balancer knows the routing's long-run loads, but not that an expert is hot in this step.
  /// - Throws: A `Diagnostic` for a recording that cannot be read, or an expert that is not there.
  init(_ inputs: EstimateInputs, hot: [HotExpert]) throws {
    let source = try RoutingSource(inputs.plan)
    let balancing = inputs.plan.balancing
    let isPlain = source.popularity == .balanced && hot.isEmpty && balancing == nil
    guard !isPlain, inputs.model.mixture != nil,
      let sample = inputs.sample
        ?? RoutingSample(model: inputs.model, popularity: source.popularity, seed: inputs.seed, tokens: 1)
    else {
      self = .balanced
      return
    }
    var placements: [Int: ExpertPlacement] = [:]
    if let balancing {
      for layer in sample.layers {
        placements[layer.layer] = balancing.placement(loads: layer.frequencies.map(Float.init))
      }
    }
    var draw = sample.draw
    if !hot.isEmpty {
      var shares = sample.layers.map(\.frequencies)
      for one in hot {
        for (place, layer) in sample.layers.enumerated() where one.layer == nil || one.layer == layer.layer {
          shares[place][one.expert] *= one.times
        }
      }
      draw = RoutingDraw(
        mixture: sample.mixture, layers: sample.layers.map(\.layer), popularity: .recorded(shares),
        seed: inputs.seed)
    }
    self = .drawn(draw, placements: placements)
  }
}
