import ArgumentParser
import Estimation

struct TraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Recordings of real jobs: understood, compared, written in other formats.",
    discussion:
      "FILE is a recording of one rank or of all, or a folder of them; its format is told from its content.",
    subcommands: [Summary.self, Diff.self, Export.self])

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

  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "export",
      abstract: "Write a recording, a program or a plan's simulated step for other tools.",
      discussion: """
        Without FILE the plan that the other flags name is lowered and simulated. Chakra writes one OUTPUT.RANK.et \
        for each \
        rank and OUTPUT.comm_group.json; all other formats one file.
        """)
    @Argument(help: ArgumentHelp("Recordings, or a program's text; none: a plan.", valueName: "file"))
    var files: [String] = []
    @OptionGroup var requestFlags: RequestFlags
    @Option(help: "chakra, goal, perfetto, chrome, csv.") var format: ExportRequest.Format
    @Flag(help: "Tracks of every rank; otherwise one of each role.") var allRanks = false
    @Option(name: .shortAndLong, help: ArgumentHelp("Where to.", valueName: "file")) var output: String

    func run() throws {
      var request = ExportRequest()
      request.format = format
      request.files = files
      request.estimate = try requestFlags.request()
      request.cluster = request.estimate.cluster
      request.allRanks = allRanks
      let written = try TraceExport(request).write(to: output)
      let more = written.count > 3 ? " and \(written.count - 2) more" : ""
      try writeOutput(
        "wrote " + written.prefix(more.isEmpty ? 3 : 2).joined(separator: ", ") + more + "\n", to: nil)
    }
  }
}

extension ExportRequest.Format: ExpressibleByArgument {}
