import ArgumentParser
import Estimation

struct TraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Recordings of real jobs: understood, compared, written in other formats.",
    discussion:
      "FILE is a recording of one rank or of all, or a folder of them; its format is told from its content.",
    subcommands: [Summary.self, Diff.self])

  enum Format: String, CaseIterable, ExpressibleByArgument { case table, json }

  struct Summary: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Where the time went: computation, communication, waiting, stragglers, the critical path.")
    @Argument(help: ArgumentHelp("Recordings, or folders of them.", valueName: "file")) var files: [String]
    @Option(help: ArgumentHelp("Only these profiler steps: 3 or 3-5.", valueName: "steps")) var steps: String?
    @Option(help: "table, json.") var format = Format.table
    @OptionGroup var output: OutputOptions

    func run() throws {
      let listing = try traceListing(of: files, steps: steps)
      try output.write(format == .json ? listing.jsonText() : listing.text())
    }
  }

  struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Two recordings beside each other.")
    @Argument(help: "A recording, or a folder of them.") var first: String
    @Argument(help: "Another.") var second: String
    @Option(help: ArgumentHelp("Only these profiler steps: 3 or 3-5.", valueName: "steps")) var steps: String?
    @Option(help: "table, json.") var format = Format.table
    @OptionGroup var output: OutputOptions

    func run() throws {
      let difference = TraceDifference(
        try traceListing(of: [first], steps: steps), try traceListing(of: [second], steps: steps))
      try output.write(format == .json ? difference.jsonText() : difference.text())
    }
  }
}
