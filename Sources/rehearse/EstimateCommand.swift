import ArgumentParser
import Documents
import Estimation
import Reports

struct EstimateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "estimate", abstract: "How long a training step takes, and what the run costs.",
    discussion: "Exits with 3 when the plan does not fit in memory; the report is written all the same.")

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table, json, csv, html
  }

  @OptionGroup var requestFlags: RequestFlags
  @Option(help: ArgumentHelp("Tokens of the run: 14.8T, 300B.", valueName: "tokens")) var tokens: TokenAmount?
  @Option(help: ArgumentHelp("Dollars for one GPU and one hour.", valueName: "dollars")) var price: PriceAmount?
  @Option(help: "Of the draw that says which ranks a token reaches.") var seed: UInt64 = 1
  @Option(help: "table, json, csv, html.") var format = Format.table
  @Option(help: ArgumentHelp("Also write the step as a trace for ui.perfetto.dev.", valueName: "file"))
  var trace: String?
  @OptionGroup var output: OutputOptions

  func run() throws {
    var request = try requestFlags.request()
    request.tokens = tokens?.tokens
    request.price = price?.price
    request.seed = seed
    let (estimate, step) = try Estimation.estimate(request)
    let text =
      switch format {
      case .table: table(estimate, colour: output.colored)
      case .json: json(estimate)
      case .csv: csv(estimate)
      case .html: try html(estimate)
      }
    if let trace { try writeFile(perfettoTrace(step.tracks()), to: trace) }
    try output.write(text)
    if !estimate.memory.fits { throw ExitCode(ExitStatus.doesNotFit.rawValue) }
  }
}
