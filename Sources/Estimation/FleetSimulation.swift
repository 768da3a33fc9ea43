import Clusters
import Documents
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
  /// `nicRANK:SHARE@SECONDSs` each.
  public var degraded: [String] = []
  public var threads = 1

  public init() {}
}

/// A step of a whole cluster, beside the same step of one rank of each role.
public struct FleetSimulation: Sendable {
  public let plan: ValidPlan
  public let seed: UInt64
  public let perturbations: Perturbations
  /// One rank of each role, balanced.
  public let symmetric: Timeline
  public let flow: FleetReport?
  /// The same with nobody slow and nothing broken, where something is.
  public let undisturbed: FleetReport?
  public let provenance: [String]

  /// - Parameter progress: Told of each stage of the work.
  /// - Throws: A `Diagnostic`, or what ``diagnostic(for:)`` turns into one.
  public init(_ request: SimulationRequest, progress: (String) -> Void = { _ in }) throws {
    let inputs = try EstimateInputs(request.estimate)
    plan = inputs.plan
    seed = request.estimate.seed
    let perturbations = try Perturbations(request, ranks: inputs.plan.ranks)
    self.perturbations = perturbations
    provenance = inputs.provenance.inputs.map { "\($0.name): \($0.pathOrShippedName)" }
    if inputs.cluster.host != nil, request.fidelity == .flow {
      throw Diagnostic(
        .usage, "ranks that share processors have no flows", path: "--fidelity", found: "flow",
        allowed: "symmetric",
        hint: "rehearse execute runs such a plan for good")
    }
    progress("lowering and verifying the plan")
    let step = try SimulatedStep(inputs.balancedPlan(), seed: seed)
    symmetric = step.timeline
    guard request.fidelity == .flow else {
      (flow, undisturbed) = (nil, nil)
      return
    }
    let choices = inputs.plan.plan
    let costs = try ProgramCosts(
      step.program, on: inputs.cluster,
      sharing: CommunicationSharing(
        multiprocessors: choices.communicationSMs,
        extent: choices.overlap.tensorCollectives == .all ? .everySlot : .overlappedPairs))
    progress("drawing \(choices.routing.text) routing")
    let routing = try FleetRouting(inputs)
    func run(_ perturbations: Perturbations) throws -> FleetReport {
      do {
        return try FleetRun(
          step.program, costs: costs, on: inputs.cluster, routing: routing, perturbations: perturbations,
          seed: request.estimate.seed, threads: request.threads, expected: step.timeline.makespan
        ).report
      } catch let error as NetworkError {
        throw Diagnostic(.data, error.description, path: "cluster \(inputs.cluster.name)")
      }
    }
    progress("\(inputs.plan.ranks) ranks, \(step.program.program.taskCount) tasks")
    undisturbed = perturbations.isEmpty ? nil : try run(Perturbations())
    if undisturbed != nil { progress("once more with what is slow or broken") }
    flow = try run(perturbations)
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
  /// - Throws: A `Diagnostic` for a recording that cannot be read, or for redundant experts.
  init(_ inputs: EstimateInputs) throws {
    let source = try RoutingSource(inputs.plan)
    guard source.popularity != .balanced,
      let draw = RoutingDraw(model: inputs.model, popularity: source.popularity, seed: inputs.seed)
    else {
      self = .balanced
      return
    }
    self = .drawn(draw)
  }
}

extension Perturbations {
  /// Reads the command line's forms.
  ///
  /// - Throws: A `Diagnostic` that names the flag.
  init(_ request: SimulationRequest, ranks: Int) throws {
    self.init()
    for text in request.slowGPUs {
      let parts = text.split(separator: ":")
      guard parts.count == 2, let rank = Int(parts[0]), (0..<ranks).contains(rank),
        let times = Double(parts[1]), (0.01...100).contains(times)
      else {
        throw Diagnostic(
          .usage, "this is no slow GPU", path: "--slow-gpu", found: "\"\(text.prefix(80))\"",
          allowed: "RANK:TIMES with a rank of 0 to \(ranks - 1) and 0.01 to 100 times",
          hint: "--slow-gpu 17:1.3")
      }
      slowRanks[rank] = times
    }
    guard (0...0.5).contains(request.jitter) else {
      throw Diagnostic(
        .usage, "the jitter is out of range", path: "--jitter", found: "\(request.jitter)",
        allowed: "0 to 0.5")
    }
    jitter = request.jitter
    for text in request.degraded { cards.append(try CardChange(text, ranks: ranks)) }
    cards.sort { ($0.at, $0.rank) < ($1.at, $1.rank) }
  }
}

extension CardChange {
  init(_ text: String, ranks: Int) throws {
    let parts = text.split(whereSeparator: { $0 == ":" || $0 == "@" })
    guard parts.count == 3, parts[0].hasPrefix("nic"), parts[2].hasSuffix("s"),
      let rank = Int(parts[0].dropFirst(3)),
      (0..<ranks).contains(rank), let share = Double(parts[1]), share >= 0.001, share <= 1,
      let at = Double(parts[2].dropLast()), (0...86_400).contains(at)
    else {
      throw Diagnostic(
        .usage, "this is no degraded link", path: "--degrade", found: "\"\(text.prefix(80))\"",
        allowed: "nicRANK:SHARE@SECONDSs with a rank of 0 to \(ranks - 1), a share of 0.001 to 1",
        hint: "--degrade nic17:0.5@3s; a GPU whose card is gone has no other way in this network")
    }
    self.init(rank: rank, share: share, at: Span(seconds: at))
  }
}
