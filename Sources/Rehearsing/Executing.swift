import Documents
import Execution
import Kernels
import Models
import Plans
import Programs
import Routing
import Tensors

/// Runs a request's steps on one rank of a world; every rank calls it with the same request.
///
/// - Parameters:
///   - share: How many ranks share how many cores, in words.
///   - progress: Told on rank 0 what is going on.
/// - Returns: The result on rank 0, nil on the others.
/// - Throws: A `Diagnostic` on every rank alike, or a ``Execution/TransportError`` on some.
public func execute(
  _ request: ExecutionRequest, on transport: any Transport, share: String, progress: (String) -> Void
) throws -> ExecutionResult? {
  let isFirst = transport.rank == 0
  func say(_ text: String) { if isFirst { progress(text) } }
  // Ranks share the cores; a pool of threads on each would fight for them.
  Kernels.MatrixProduct.setThreads(1)
  let inputs = try ExecutionInputs(request, ranks: transport.size)
  let plan = inputs.plan
  let training = try RankTraining(
    plan, program: inputs.program, transport: transport, tokens: try tokens(request, plan),
    options: options(request), choices: try choices(request, inputs.model))
  say("\(plan.model.name): \(summary(plan)); \(share)")
  let folder = request.checkpoint.map(CheckpointFolder.init)
  if let folder, request.resumes {
    try training.resume(from: folder)
    say("resumed after step \(training.step)")
  }
  var result = ExecutionResult(plan: plan, share: share)
  var sums = KindSums()
  var last: MeasuredStep?
  for index in 0..<request.steps {
    let report = try training.runStep()
    if let measured = try training.measured() {
      let step = ExecutionResult.Step(report, measured, plan: plan)
      say(step.line)
      result.steps.append(step)
      result.differences += measured.differences
      // The first step makes its buffers; it would spoil the mean.
      if index > 0 || request.steps == 1 { sums.add(measured) }
      last = measured
    }
    let isLast = index == request.steps - 1
    if let folder, isLast || request.saveEvery.map({ (index + 1) % $0 == 0 }) ?? false {
      try training.save(to: folder)
      say("saved step \(training.step)")
    }
  }
  if let path = request.export { try training.export(to: path) }
  try training.onRankZero {
    guard let last else { return }
    if let path = request.record { try record(last, to: path) }
    if let path = request.compare {
      result.comparison = try StepComparison(last, inputs: inputs, cluster: path)
    }
  }
  result.kinds = sums.means
  return isFirst ? result : nil
}

private func tokens(_ request: ExecutionRequest, _ plan: ValidPlan) throws -> any TokenSource {
  guard plan.model.vocabulary >= 256 else {
    throw Diagnostic(
      .data, "the vocabulary has no room for bytes", path: "vocab_size", found: "\(plan.model.vocabulary)",
      allowed: "256 or more", hint: "the tokens are the bytes of a text")
  }
  let length = plan.plan.sequence
  return try request.data.map { try ByteText(file: $0, length: length) } ?? ByteText.shipped(length: length)
}

private func options(_ request: ExecutionRequest) -> ExecutionOptions {
  var options = ExecutionOptions()
  options.seed = request.seed
  if let rate = request.learningRate { options.learningRate = rate }
  return options
}

/// `DualPipe, PP 4 x EP 2 x DP 2, 16 micro-batches of 2 x 128 tokens`.
func summary(_ plan: ValidPlan) -> String {
  let choices = plan.plan
  return
    "\(choices.schedule.rawValue), PP \(choices.pipeline), EP \(choices.expert), DP \(plan.dataParallel), "
    + "ZeRO \(choices.zeroStage), \(plan.microBatches) micro-batches of \(choices.microBatch) x "
    + "\(choices.sequence) tokens"
}

extension ExecutionResult.Step {
  init(_ report: StepReport, _ measured: MeasuredStep, plan: ValidPlan) {
    let tokens = Double(plan.tokensPerStep)
    let seconds = max(measured.seconds, 1e-9)
    let flops = plan.model.flopsPerToken(sequence: plan.plan.sequence, causal: true).value * tokens
    self.init(
      number: report.step + 1, report: report, seconds: seconds, tokensPerSecond: tokens / seconds,
      gigaflopsPerSecond: flops / seconds / 1e9)
  }

  /// One line of progress.
  var line: String {
    "step \(number): loss \(report.loss.shown(4)), gradient norm \(report.gradientNorm.shown(3)), "
      + "\(seconds.shown(2)) s, \(tokensPerSecond.shown(0)) tokens/s, \(gigaflopsPerSecond.shown(1)) GFLOP/s"
  }
}

extension MeasuredStep {
  /// Tasks whose bytes differ from the program's, in words.
  var differences: [String] {
    bytesThatDiffer().map { difference in
      let program = program.program
      let code = Int(program.codeOfRank[difference.rank])
      return "rank \(difference.rank): \(program.describe(code: code, task: difference.task)): "
        + "\(difference.counted) bytes counted, \(difference.lowered) lowered"
    }
  }
}
