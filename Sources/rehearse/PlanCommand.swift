import ArgumentParser
import Documents
import Estimation
import Plans

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "The plans that are shipped; print one, or check one.",
    subcommands: [List.self, Show.self, Check.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The shipped plans.")
    @OptionGroup var output: OutputOptions

    func run() throws { try output.write(planTable()) }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a plan as YAML, with its flags applied; without a name the one that estimate would take.")
    @Argument(help: "A shipped plan, or a YAML file; as --plan.") var name: String?
    @OptionGroup var requestFlags: RequestFlags
    @OptionGroup var output: OutputOptions

    func run() throws { try output.write(EstimateInputs(requestFlags.request(plan: name)).plan.plan.yaml) }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prove that a plan goes together with its model and cluster, and fits.",
      discussion: "Exits with 3 when it does not fit in memory.")
    @Argument(help: "A shipped plan, or a YAML file; as --plan.") var name: String?
    @OptionGroup var requestFlags: RequestFlags
    @OptionGroup var output: OutputOptions

    func run() throws {
      let listing = PlanListing(try EstimateInputs(requestFlags.request(plan: name)))
      try output.write(listing.table())
      if !listing.fits { throw ExitCode(ExitStatus.doesNotFit.rawValue) }
    }
  }
}
