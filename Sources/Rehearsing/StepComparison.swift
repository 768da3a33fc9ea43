import Clusters
import Documents
import Estimation
import Execution
import Operators
import Plans
import Programs
import Schedules
import Simulation
import Timelines
import Timing
import Units

/// A step as it ran beside the same program simulated on a cluster's file.
public struct StepComparison: Sendable {
  /// Seconds of one kind of task, summed over a rank's tasks, the mean over ranks.
  public struct Row: Sendable {
    public var name: String
    public var predicted: Double
    public var measured: Double
    /// Processor time that the simulated tasks take.
    public var predictedProcessor: Double
    /// Processor time of the measured tasks: without waiting for others, and for the core.
    public var processor: Double
  }

  /// The cluster's name.
  public var cluster: String
  public var predictedSeconds: Double
  public var measuredSeconds: Double
  /// Computation and communication by kind, the longest measured first.
  public var rows: [Row] = []
  /// Tasks whose simulated bytes are not those that the transport counted.
  public var differences: [String] = []

  /// Predicted over measured, less one.
  public var error: Double { predictedSeconds / measuredSeconds - 1 }

  /// Simulates a step's very program: its tasks, and the tokens that its routers sent.
  ///
  /// - Throws: A `Diagnostic`.
  public init(_ step: MeasuredStep, inputs: ExecutionInputs, cluster path: String) throws {
    let found = try resolveCluster(path).cluster
    let cluster = found.withRanks(step.started.count)
    // The cluster must have room for the plan; what runs on it is the very program that was executed.
    _ = try validate(inputs.plan.plan, model: inputs.model, cluster: cluster, file: inputs.request.plan)
    var executed = step.program.program
    executed.traffic = step.traffic
    let program = try VerifiedProgram(executed)
    let costs = try ProgramCosts(program, on: cluster)
    let timeline = Simulator.run(program, costs: costs)
    self.cluster = found.name
    predictedSeconds = timeline.makespan.seconds
    measuredSeconds = step.seconds
    differences = step.differences(from: timeline, of: program)
    var rows: [Row] = []
    var indices: [String: Int] = [:]
    func add(
      _ name: String, predicted: Double, measured: Double, predictedProcessor: Double, processor: Double
    ) {
      let index = indices[name] ?? rows.count
      if index == rows.count {
        indices[name] = index
        rows.append(Row(name: name, predicted: 0, measured: 0, predictedProcessor: 0, processor: 0))
      }
      rows[index].predicted += predicted
      rows[index].measured += measured
      rows[index].predictedProcessor += predictedProcessor
      rows[index].processor += processor
    }
    let share = 1 / Double(program.program.ranks)
    for rank in 0..<program.program.ranks {
      let role = Int(program.roles.roleOfRank[rank])
      let code = program.program.codes[Int(program.program.codeOfRank[rank])]
      for task in 0..<code.count {
        let cost = costs.cost(role: role, task: task)
        add(
          program.program.kindName(code: code, task: task),
          predicted: Double(timeline.ended[role][task] - timeline.started[role][task]) * 1e-12 * share,
          measured: Double(step.ended[rank][task] - step.started[rank][task]) * 1e-9 * share,
          predictedProcessor: cost.alone.seconds * cost.processorShare * share,
          processor: Double(step.processor[rank][task]) * 1e-9 * share)
      }
    }
    self.rows = rows.sorted { ($1.measured, $0.name) < ($0.measured, $1.name) }
  }
}

extension Cluster {
  /// The same machine with so many ranks on it.
  fileprivate func withRanks(_ count: Int) -> Cluster {
    var cluster = self
    cluster.gpusPerNode = Sourced(count, tag: .assumed, source: "the ranks of this run")
    cluster.nodes = Sourced(1, tag: .assumed, source: "the ranks of this run")
    return cluster
  }
}
