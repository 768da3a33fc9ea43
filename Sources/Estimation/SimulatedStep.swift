import Clusters
import Documents
import Plans
import Programs
import Schedules
import Simulation
import Timelines
import Timing

/// A plan's step after it ran in the simulator, with everything that led to it.
public struct SimulatedStep: Sendable {
  public let plan: ValidPlan
  public let order: PipelineOrder
  public let program: VerifiedProgram
  public let timeline: Timeline
  /// Of the routing draw.
  public let seed: UInt64

  /// Orders, lowers, verifies, times and runs a plan.
  ///
  /// - Parameter order: Nil for the published order of the plan's schedule.
  /// - Throws: A `Diagnostic`, a ``Programs/VerificationError`` or a ``Timing/UntimedKernel``.
  public init(_ plan: ValidPlan, order: PipelineOrder? = nil, seed: UInt64) throws {
    let choices = plan.plan
    self.plan = plan
    self.seed = seed
    self.order = try order ?? plan.publishedOrder()
    program = try VerifiedProgram(lower(plan, order: self.order, seed: seed))
    let sharing = CommunicationSharing(
      multiprocessors: choices.communicationSMs,
      extent: choices.overlap.tensorCollectives == .all ? .everySlot : .overlappedPairs)
    let costs = try ProgramCosts(program, on: plan.cluster, sharing: sharing)
    try Self.requireCountable(costs, of: program, on: plan.cluster)
    timeline = Simulator.run(program, costs: costs)
  }

  /// The clock counts picoseconds in 64 bits: 106 days, whatever a file's bandwidths would make of a step.
  private static func requireCountable(
    _ costs: ProgramCosts, of program: VerifiedProgram, on cluster: Cluster
  ) throws {
    guard costs.longest < .longestTask, costs.serialSeconds(of: program) < 8.64e6 else {
      throw Diagnostic(
        .data, "the step takes too long to be simulated", path: "cluster \(cluster.name)",
        found: "days for a single task, or months for a step", allowed: "tasks of less than 3 days",
        hint: "look for a rate that is too low: bandwidths of nvlink, nic and collectives, peaks of the GPU")
    }
  }

  /// Roles of a pipeline rank, with the ranks each of them stands for.
  func roles(ofPipelineRank rank: Int) -> [(role: Int, ranks: Int)] {
    (0..<program.roles.count).filter { program.roles.codeOfRole[$0] == Int32(rank) }.map {
      ($0, Int(program.roles.ranksOfRole[$0]))
    }
  }
}

extension ValidPlan {
  /// The published order of the plan's schedule, at its size.
  func publishedOrder() throws -> PipelineOrder {
    try .published(
      plan.schedule.rawValue, ranks: plan.pipeline, microBatches: microBatches,
      virtualStages: plan.virtualStages == 1 ? nil : plan.virtualStages)
  }
}
