import ArgumentParser
import Documents
import Estimation
import Execution
import Foundation
import MPITransport
import Rehearsing

struct ExecuteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "execute",
    abstract: "Trains a small model for real: the plan's program on the cores of this machine.",
    discussion: """
      Started alone it is one rank; 'mpirun -n 8 rehearse execute' runs a plan of eight ranks. Ranks may outnumber \
      cores: mpirun needs --oversubscribe then, and the result says how many share how many.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table, json, csv
  }

  @Option(help: "A shipped model, or a Hugging Face config.json; deepseek-v3-mini where none is named.")
  var model: String?
  @Option(help: "A shipped plan, or a YAML file; left out, one for the number of ranks.") var plan: String?
  @Option(help: "Training steps.") var steps = 10
  @Option(help: ArgumentHelp("A text whose bytes are the tokens.", valueName: "file")) var data: String?
  @Option(help: ArgumentHelp("Where checkpoints are saved.", valueName: "folder")) var checkpoint: String?
  @Option(help: "Steps between checkpoints; left out, one at the end.") var saveEvery: Int?
  @Flag(help: "Go on from the last checkpoint.") var resume = false
  @Option(help: ArgumentHelp("Write the last step's program and, beside it, its times.", valueName: "file"))
  var record: String?
  @Option(help: ArgumentHelp("Write the trained model as safetensors.", valueName: "file")) var export:
    String?
  @Option(help: ArgumentHelp("Predict the last step on a file of 'rehearse calibrate'.", valueName: "file"))
  var compare: String?
  @Option(help: "Of the model's first parameters and of drawn routing.") var seed: UInt32 = 1
  @Option(help: "Of AdamW, after the warm-up.") var learningRate: Double?
  @Option(help: "Who chooses experts: router, seeded, or a recording.") var routing = "router"
  @Option(help: "table, json, csv.") var format = Format.table
  @OptionGroup var output: OutputOptions
  @OptionGroup(title: "Plan") var planFlags: PlanFlags

  func validate() throws {
    guard (1...1_000_000).contains(steps) else { throw ValidationError("--steps must be from 1 to 1000000") }
    if let saveEvery, saveEvery < 1 { throw ValidationError("--save-every must be 1 or more") }
    if resume || saveEvery != nil, checkpoint == nil {
      throw ValidationError("--resume and --save-every need --checkpoint")
    }
    if let learningRate, !(learningRate > 0 && learningRate < 1) {
      throw ValidationError("--learning-rate must be between 0 and 1")
    }
  }

  func run() throws {
    // A full disk or a limit on files is an error to be told, not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    guard let world = try World(environment: ProcessInfo.processInfo.environment) else {
      let result = try LoopbackWorld.run(ranks: 1) { [self] transport in
        try run(on: transport, share: CoreShare(ranks: 1, cores: World.availableCores).description)
      }
      for text in result.compactMap(\.self) { try output.write(text) }
      return
    }
    try runUnderLauncher(world)
  }

  private func runUnderLauncher(_ world: World) throws {
    let transport = try MPITransport(world: world)
    do {
      let text = try run(on: transport, share: transport.share.description)
      if let text { try output.write(text) }
      try transport.finalize()
    } catch let error as Diagnostic {
      // All ranks have this error: one tells it, and all end in order.
      if transport.rank == 0 { tell(error.description) }
      do {
        try transport.finalize()
      } catch {
        transport.abort(status: error is TransportError ? ExitStatus.internal.rawValue : 1)
      }
      throw ExitCode(error.status.rawValue)
    } catch {
      // This rank alone knows: one of those that do tells it, and the job ends at once.
      if world.claimsFailureReport() { tell(diagnostic(for: error).description) }
      transport.abort(status: diagnostic(for: error).status.rawValue)
    }
  }

  /// - Returns: What is to be written, on rank 0.
  private func run(on transport: any Transport, share: String) throws -> String? {
    let result = try execute(request(), on: transport, share: share) { tell("execute: \($0)") }
    return result.map { result in
      switch format {
      case .table: result.table()
      case .json: result.json()
      case .csv: result.csv()
      }
    }
  }

  private func request() throws -> ExecutionRequest {
    var request = ExecutionRequest()
    request.model = model
    request.plan = plan
    request.overrides = try planFlags.overrides()
    request.steps = steps
    request.data = data
    request.checkpoint = checkpoint
    request.saveEvery = saveEvery
    request.resumes = resume
    request.record = record
    request.export = export
    request.compare = compare
    request.seed = UInt64(seed)
    request.learningRate = learningRate
    request.routing = RoutingSource(text: routing)
    return request
  }

  private func tell(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}
