import Documents
import Models
import Plans
import Programs
import Tensors

/// One rank's part in training a model: a verified program, run again and again on the rank's share of the model.
///
/// All ranks of a world make one with the same plan, program, options and tokens, and make the same calls in the same
/// order. Calls that speak of all ranks' results give them on rank 0.
public final class RankTraining {
  public let plan: ValidPlan
  public let program: VerifiedProgram
  /// Steps done.
  public private(set) var step = 0
  let state: ModelState
  let options: ExecutionOptions
  private let executor: RankExecutor
  let rankZero: RankZero

  /// - Parameter choices: Nil where the model's routers choose.
  /// - Throws: A `Diagnostic` where the plan cannot be executed; a ``TransportError``.
  public init(
    _ plan: ValidPlan, program: VerifiedProgram, transport: any Transport, tokens: any TokenSource,
    options: ExecutionOptions = ExecutionOptions(), choices: (any ExpertChoices)? = nil
  ) throws {
    try requireExecutable(plan, ranks: transport.size)
    self.plan = plan
    self.program = program
    self.options = options
    state = ModelState(plan, rank: transport.rank)
    state.initialise(seed: options.seed)
    rankZero = RankZero(transport: transport)
    executor = try RankExecutor(
      program, state: state, transport: transport, tokens: tokens, options: options, choices: choices)
  }

  public var rank: Int { state.rank }

  /// Runs one step.
  ///
  /// - Returns: What came of it, on every rank.
  /// - Throws: On every rank, where a loss or the gradients' norm is not a number: nothing is updated then.
  public func runStep() throws -> StepReport {
    try executor.run(step: step)
    let losses = executor.losses
    let count = losses.crossEntropy.count
    let all = try rankZero.sum(losses.crossEntropy + losses.prediction + losses.balance)
    // Each part is a share of the step's mean; of its own mean it is the number of micro-batches as much.
    let scale = Double(count)
    func means(_ part: Int) -> [Double] { all[part * count..<(part + 1) * count].map { $0 * scale } }
    let report = StepReport(
      step: step, crossEntropies: means(0), predictions: means(1), balances: means(2),
      gradientNorm: executor.optimizer.gradientNorm,
      predictionWeight: plan.model.multiTokenPredictionDepth > 0 ? plan.model.numerics.predictionWeight : 0)
    guard report.loss.isFinite, report.gradientNorm.isFinite else {
      throw Diagnostic(
        .data, "the step's numbers are not finite", path: "step \(step + 1)",
        found: "loss \(report.loss), gradient norm \(report.gradientNorm)",
        hint: "the parameters are as the step before left them; look at the data, or lower --learning-rate")
    }
    step += 1
    return report
  }

  /// What the tasks of the last step did; rank 0 alone has it.
  public func measured() throws -> MeasuredStep? {
    try rankZero.collect(executor.record, traffic: executor.compute.mixture.traffic, of: program)
  }

  /// The model's parameters and selection biases, on rank 0.
  public func parameters() throws -> [NamedTensor] { try rankZero.assemble(state.parameterPieces()) }

  /// The last step's gradients, on rank 0; only where the options leave them.
  public func gradients() throws -> [NamedTensor] { try rankZero.assemble(state.gradientPieces()) }

  /// Reads the model's parameters, with Hugging Face's names behind a prefix.
  public func loadParameters(from file: TensorFile, prefix: String = "") throws {
    try rankZero.agree { try state.loadParameters(from: file, prefix: prefix) }
  }

  /// Goes on after so many steps; the caller has put parameters and states in their place.
  func resume(at step: Int) { self.step = step }
}

extension RankTraining {
  /// Does something on rank 0 that may fail; every rank calls it, and all throw its error.
  public func onRankZero(_ body: () throws -> Void) throws {
    try rankZero.agree { if rank == 0 { try body() } }
  }

  /// Writes the model's parameters and selection biases with Hugging Face's names; every rank calls it.
  public func export(to path: String) throws {
    let tensors = try parameters()
    try onRankZero {
      let writer = try TensorWriter(
        path, tensors: tensors.map { TensorDescription($0.name, .float32, $0.shape) },
        metadata: ["format": "pt", "model": plan.model.name, "step": "\(step)"])
      for tensor in tensors {
        try tensor.values.withUnsafeBufferPointer { try writer.append($0, to: tensor.name) }
      }
      try writer.finish()
    }
  }
}
