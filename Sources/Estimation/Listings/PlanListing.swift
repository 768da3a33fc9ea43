import Documents
import Plans
import Reports
import Units

/// The shipped plans in a table.
public func planTable(width: Int = 80) throws -> String {
  var table = TextTable(
    [.init("plan"), .init("model"), .init("cluster"), .init("source", folds: true)], width: width)
  for name in shippedPlanNames {
    let plan = try shippedPlan(named: name).plan
    table.append([name, plan.model ?? "", plan.cluster ?? "", plan.source])
  }
  return table.lines().joined(separator: "\n") + "\n"
}

/// What a plan comes to once it is proved: ranks, micro-batches, stages, memory.
public struct PlanListing: Sendable {
  private let inputs: EstimateInputs
  private let memory: MemoryReport

  public init(_ inputs: EstimateInputs) {
    self.inputs = inputs
    memory = Plans.memory(of: inputs.plan, reserve: inputs.reserve)
  }

  /// What is missing, where the plan does not fit.
  public var shortage: Diagnostic? { Estimate.Memory(memory).shortage }

  public func table(width: Int = 80) -> String {
    let plan = inputs.plan
    let grid = plan.grid
    var table = TextTable([.init(""), .init("", folds: true)], width: width)
    table.append(["plan", "\(plan.plan.name): \(plan.model.name) on \(plan.cluster.name)"])
    table.append([
      "ranks",
      "\(grouped(plan.ranks)) = tensor \(grid.tensor) x context \(grid.context) x data \(grid.data) x pipeline "
        + "\(grid.pipeline)",
    ])
    if plan.model.mixture != nil {
      table.append([
        "experts",
        "expert tensor \(grid.expertTensor) x expert \(grid.expert) x expert data \(grid.expertData) on each stage",
      ])
    }
    if let loads = plan.expertLoads {
      let worst = loads.worst
      table.append([
        "loads",
        "\(plan.plan.routing.text), \(plan.plan.expertPlacement.rawValue), \(plan.plan.redundantExperts) redundant: "
          + "fullest rank over mean \(fixed(worst.imbalance, decimals: 2)) in layer \(worst.layer), "
          + "\(fixed(loads.meanImbalance, decimals: 2)) on average",
      ])
    }
    table.append([
      "batch", "\(plan.microBatches) micro-batches a pipeline, \(grouped(plan.tokensPerStep)) tokens a step",
    ])
    table.append(["stages", "\(plan.stages): \(plan.layout.text)"])
    table.append([
      "memory",
      "\(memory.peak.shown) of \(memory.capacity.value.shown) on rank \(memory.worst.pipelineRank)"
        + (memory.fits
          ? ", fits" : ", does not fit: \((memory.peak - memory.capacity.value).shown) too much"),
    ])
    for note in plan.notes { table.append(["note", note]) }
    return table.lines().joined(separator: "\n") + "\n"
  }
}
