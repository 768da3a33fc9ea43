import ArgumentParser
import Estimation
import Foundation

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "One step of the whole cluster: every GPU and every flow on its own.",
    discussion: """
      Routing is drawn for each layer, micro-batch and expert group. The result is the same for any number of threads; \
      how fast the simulation was stands on stderr.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table, json
  }

  @OptionGroup var requestFlags: RequestFlags
  @Option(help: "flow: every GPU; symmetric: one of each role.") var fidelity = Fidelity.flow
  @Option(
    help: ArgumentHelp("A GPU whose computation takes longer; may be repeated.", valueName: "rank:times"))
  var slowGpu: [String] = []
  @Option(help: "Standard deviation of every computation's duration, as a share of it.") var jitter = 0.0
  @Option(help: ArgumentHelp("A card that carries less from a moment on.", valueName: "nicRANK:share@time"))
  var degrade: [String] = []
  @Option(help: "Of draws and jitter.") var seed: UInt32 = 1
  @Option(help: "At most so many threads; as many as there are processors when left out.") var threads: Int?
  @Option(help: "table, json.") var format = Format.table
  @OptionGroup var output: OutputOptions

  func run() throws {
    var request = SimulationRequest()
    request.estimate = try requestFlags.request()
    request.estimate.seed = UInt64(seed)
    request.fidelity = fidelity
    request.slowGPUs = slowGpu
    request.jitter = jitter
    request.degraded = degrade
    request.threads = max(1, min(threads ?? ProcessInfo.processInfo.activeProcessorCount, 64))
    let clock = ContinuousClock()
    let start = clock.now
    let isTerminal = isatty(STDERR_FILENO) == 1
    let simulation = try FleetSimulation(request) { stage in
      if isTerminal { note("\u{1B}[2K\r\(stage) …", end: "") }
    }
    if isTerminal { note("\u{1B}[2K\r", end: "") }
    try output.write(format == .json ? simulation.jsonText() : simulation.text())
    if simulation.flow != nil {
      note(simulation.speed(of: (clock.now - start) / .seconds(1)), end: "\n")
    }
  }

  private func note(_ text: String, end: String) { FileHandle.standardError.write(Data((text + end).utf8)) }
}

extension Fidelity: ExpressibleByArgument {}
