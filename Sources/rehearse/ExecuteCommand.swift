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

  @OptionGroup(title: "Run") var flags: RunFlags
  @OptionGroup(title: "Plan") var planFlags: PlanFlags
  @OptionGroup var output: OutputOptions

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
      switch flags.format {
      case .table: result.table()
      case .json: result.json()
      case .csv: result.csv()
      }
    }
  }

  private func request() throws -> ExecutionRequest {
    var request = flags.request
    request.overrides = try planFlags.overrides()
    return request
  }

  private func tell(_ text: String) { tellUser(text + "\n") }
}
