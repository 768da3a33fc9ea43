import ArgumentParser
import Estimation

@main
struct Rehearse: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rehearse", abstract: "Rehearse a training run before you pay for it.",
    discussion: """
      Says how long a training step takes on a cluster, where the time goes, whether it fits in memory, and what the
      run costs. Without arguments to 'estimate' it answers for DeepSeek-V3 on 2,048 H800.
      """,
    version: programVersion,
    subcommands: [
      EstimateCommand.self, ScheduleCommand.self, ValidateCommand.self, ModelCommand.self,
      ClusterCommand.self, TopologyCommand.self,
      PlanCommand.self, ProgramCommand.self, ExecuteCommand.self, CalibrateCommand.self,
      SimulateCommand.self, TraceCommand.self, ReplayCommand.self,
    ])

  /// Runs the command that the arguments name; every error ends here.
  static func main() {
    keepRunningWithoutReader()
    var arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.isEmpty { arguments = ["--help"] }
    do {
      var command = try parseAsRoot(arguments)
      try command.run()
    } catch {
      fail(error)
    }
  }
}
