import ArgumentParser
import Calibration
import Documents
import Estimation
import Execution
import Foundation
import MPITransport

struct CalibrateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate", abstract: "Measures this machine and writes it as a cluster's file.",
    discussion: """
      Kernels by shape, messages and exchanges by size and number of ranks, all with the code that 'execute' runs. \
      Started alone, it starts itself under mpirun; 'mpirun -n 8 rehearse calibrate' does the same. The file is for \
      --cluster and describes ranks that share this machine's processors.
      """)

  @Option(help: ArgumentHelp("File to write.", valueName: "file")) var output = "machine.yaml"
  @Option(help: "Ranks among which transfers are measured; 1 measures kernels alone.") var ranks = 8

  func validate() throws {
    guard (1...1024).contains(ranks) else { throw ValidationError("--ranks must be from 1 to 1024") }
  }

  func run() throws {
    if let world = try World(environment: ProcessInfo.processInfo.environment) {
      let transport = try MPITransport(world: world)
      do {
        try calibrate(transport, processors: transport.share.cores)
        try transport.finalize()
      } catch {
        // One message, then nobody waits for this rank.
        tellUser(diagnostic(for: error).description + "\n")
        transport.abort(status: diagnostic(for: error).status.rawValue)
      }
    } else if ranks > 1, let launcher = programNamed("mpirun") {
      try launch(launcher)
    } else {
      if ranks > 1 { say("no mpirun was found: kernels alone are measured, for plans of one rank") }
      try calibrate(nil, processors: World.availableCores)
    }
  }

  private func calibrate(_ transport: (any Transport)?, processors: Int) throws {
    let ranks = transport?.size ?? 1
    let isFirst = (transport?.rank ?? 0) == 0
    if isFirst, ranks > 1 { say(CoreShare(ranks: ranks, cores: processors).description) }
    let calibration = Calibration(
      machine: .this(processors: processors), occasion: occasion(ranks: ranks),
      name: URL(fileURLWithPath: output).deletingPathExtension().lastPathComponent
    ) { what, share in say("measuring \(what)" + (share > 0 ? " \(Int(share * 100)) %" : "")) }
    guard let cluster = try calibration.run(transport) else { return }
    try writeFile(Data(machineText(cluster).utf8), to: output)
    say("wrote \(output)")
  }

  /// Date and command line, the source of every number.
  private func occasion(ranks: Int) -> String {
    let date = Date().formatted(.iso8601)
    let launcher = ranks > 1 ? "mpirun -n \(ranks) " : ""
    return "\(launcher)rehearse calibrate --output \(output), \(date)"
  }

  /// Becomes the launcher of so many ranks of itself.
  private func launch(_ launcher: String) throws {
    guard let program = Bundle.main.executablePath else {
      throw Diagnostic(.unavailableFile, "the program does not know its own path", file: "rehearse")
    }
    let arguments =
      [launcher, "--oversubscribe", "-n", "\(ranks)", program, "calibrate", "--output", output]
    var pointers = arguments.map { strdup($0) } + [nil]
    execv(launcher, &pointers)
    throw Diagnostic(
      .unavailableFile, "mpirun cannot be started", file: launcher, found: String(cString: strerror(errno)))
  }

  private func say(_ text: String) { tellUser("calibrate: \(text)\n") }
}

/// The first executable of a name in the folders of PATH.
private func programNamed(_ name: String) -> String? {
  let folders = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":") ?? []
  return folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
}
