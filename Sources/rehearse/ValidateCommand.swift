import ArgumentParser
import Estimation
import Validation

struct ValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate", abstract: "Compare predictions with published results.",
    discussion: """
      Exits with 1 when a prediction is further off than its tolerance. With --accept-explained it exits with 1 only \
      when a miss has no explanation in the published rows, or an explanation no longer has its miss.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table, json
  }

  @Option(help: "\(publishedFamilyNames.joined(separator: ", ")); all when left out.") var family: String?
  @Option(help: "table, json.") var format = Format.table
  @Flag(help: "Let misses pass whose reason stands in the published rows.") var acceptExplained = false
  @OptionGroup var output: OutputOptions

  func run() throws {
    let listing = ValidationListing(
      try family.map { [try publishedFamily(named: $0)] } ?? publishedFamilies())
    try output.write(format == .table ? listing.table() : listing.json())
    if acceptExplained ? !listing.isAccountedFor : !listing.passes { throw ExitCode.failure }
  }
}
