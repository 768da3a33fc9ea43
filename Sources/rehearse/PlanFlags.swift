import ArgumentParser
import Documents
import Operators
import Plans

extension Format: ExpressibleByArgument {}
extension ScheduleName: ExpressibleByArgument {}
extension ExpertPlacementName: ExpressibleByArgument {}
extension TensorOverlap: ExpressibleByArgument {}

extension AllToAllForm: ExpressibleByArgument {
  /// Flags have hyphens where files have underscores; both are understood.
  public init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }
  public static var allValueStrings: [String] { allCases.map { $0.rawValue.replacing("_", with: "-") } }
}

/// Flags that change single choices of a plan.
struct PlanFlags: ParsableArguments {
  @Option(name: .customLong("tp"), help: "Tensor-parallel degree.") var tensor: Int?
  @Flag(name: .customLong("sp"), inversion: .prefixedNo, help: "Sequence parallelism.") var sequenceParallel:
    Bool?
  @Option(name: .customLong("cp"), help: "Context-parallel degree.") var context: Int?
  @Option(name: .customLong("pp"), help: "Pipeline ranks.") var pipeline: Int?
  @Option(name: .customLong("vpp"), help: "Stages on each rank of an interleaved schedule.")
  var virtualStages: Int?
  @Option(name: .customLong("ep"), help: "Expert-parallel degree.") var expert: Int?
  @Option(name: .customLong("etp"), help: "Tensor-parallel degree within an expert.") var expertTensor: Int?
  @Option(name: .customLong("dp"), help: "Data-parallel degree; derived when left out.") var data: Int?
  @Option(name: .customLong("zero"), help: "ZeRO stage, 0 to 3.") var zeroStage: Int?
  @Option(
    help: ArgumentHelp(
      "Experts that tokens choose: balanced, zipf:EXPONENT, recorded:PATH.", valueName: "routing"))
  var routing: String?
  @Option(help: "Where experts lie: contiguous, eplb.") var expertPlacement: ExpertPlacementName?
  @Option(help: "Copies of busy experts, placed by eplb.") var redundantExperts: Int?
  @Option(help: "Sequences of a micro-batch.") var microBatch: Int?
  @Option(help: "Sequences of a step.") var globalBatch: Int?
  @Option(name: .customLong("seq-len"), help: "Tokens of a sequence.") var sequence: Int?
  @Option(help: "none, selective, full, or units: \(Recompute.knownUnits.joined(separator: ","))")
  var recompute: String?
  @Option(help: "\(ScheduleName.allCases.map(\.rawValue).joined(separator: ", ")).") var schedule:
    ScheduleName?
  @Option(help: ArgumentHelp("Stages: layers, E embedding, M prediction module, H head.", valueName: "text"))
  var layout: String?
  @Option(name: .customLong("comm-sms"), help: "SMs that communication kernels hold.") var communicationSMs:
    Int?
  @Option(name: .customLong("precision"), help: "Of linear layers: bf16, fp16, fp8, fp32.") var linear:
    Format?
  @Option(name: .customLong("dispatch-precision"), help: "Of tokens sent to experts.") var dispatch: Format?
  @Option(name: .customLong("combine-precision"), help: "Of experts' outputs sent back.") var combine: Format?
  @Option(name: .customLong("gradient-precision"), help: "Of accumulated gradients.") var gradients: Format?
  @Option(name: .customLong("reduction-precision"), help: "Of gradients on the wire.") var gradientReduction:
    Format?
  @Option(name: .customLong("moments-precision"), help: "Of the optimizer's moments.") var optimizerMoments:
    Format?
  @Option(name: .customLong("master-precision"), help: "Of the master parameters.") var master: Format?

  @Flag(
    name: .customLong("overlap-grad-reduce"), inversion: .prefixedNo,
    help: "Reduce gradients beside the backward.")
  var overlapGradientReduction: Bool?
  @Flag(
    name: .customLong("overlap-param-gather"), inversion: .prefixedNo,
    help: "Gather parameters beside the forward.")
  var overlapParameterGather: Bool?
  @Option(name: .customLong("overlap-tp"), help: "Tensor-parallel collectives beside products.")
  var overlapTensorCollectives: TensorOverlap?
  @Flag(name: .customLong("overlap-p2p"), inversion: .prefixedNo, help: "Pipeline messages beside compute.")
  var overlapPipelineTransfers: Bool?

  @Option(help: "Tokens to experts and back: direct, two-hop.") var allToAll: AllToAllForm?

  /// - Throws: A `Diagnostic` with status `usage` when a number is out of range, or a layout or a recomputation
  ///   cannot be read.
  func overrides() throws -> PlanOverrides {
    try checkRanges()
    do {
      return try read()
    } catch var error as Diagnostic {
      error.status = .usage
      throw error
    }
  }

  /// What no plan allows is the flag's fault, not the plan's.
  private func checkRanges() throws {
    let degrees = [
      ("--tp", tensor), ("--cp", context), ("--pp", pipeline), ("--vpp", virtualStages), ("--ep", expert),
      ("--etp", expertTensor), ("--dp", data), ("--micro-batch", microBatch), ("--global-batch", globalBatch),
      ("--seq-len", sequence),
    ].map { ($0, $1, 1...degreeLimit) }
    for case (let flag, let value?, let allowed) in degrees
      + [("--zero", zeroStage, 0...3), ("--redundant-experts", redundantExperts, 0...degreeLimit)]

    where !allowed.contains(value) {
      throw Diagnostic(
        .usage, "the number is out of range", path: flag, found: "\(value)",
        allowed: "\(allowed.lowerBound) to \(allowed.upperBound)")
    }
  }

  private func read() throws -> PlanOverrides {
    var overrides = PlanOverrides()
    overrides.tensor = tensor
    overrides.sequenceParallel = sequenceParallel
    overrides.context = context
    overrides.pipeline = pipeline
    overrides.virtualStages = virtualStages
    overrides.expert = expert
    overrides.expertTensor = expertTensor
    overrides.data = data
    overrides.zeroStage = zeroStage
    overrides.routing = try routing.map { try ExpertRouting(text: $0, path: "--routing") }
    overrides.expertPlacement = expertPlacement
    overrides.redundantExperts = redundantExperts
    overrides.microBatch = microBatch
    overrides.globalBatch = globalBatch
    overrides.sequence = sequence
    overrides.recompute = try recompute.map { try Recompute(text: $0, path: "--recompute") }
    overrides.schedule = schedule
    overrides.layout = try layout.map { try StageLayout(text: $0, path: "--layout") }
    overrides.communicationSMs = communicationSMs
    overrides.linear = linear
    overrides.dispatch = dispatch
    overrides.combine = combine
    overrides.gradients = gradients
    overrides.gradientReduction = gradientReduction
    overrides.optimizerMoments = optimizerMoments
    overrides.master = master
    overrides.overlapGradientReduction = overlapGradientReduction
    overrides.overlapParameterGather = overlapParameterGather
    overrides.overlapTensorCollectives = overlapTensorCollectives
    overrides.overlapPipelineTransfers = overlapPipelineTransfers
    overrides.allToAll = allToAll
    return overrides
  }
}
