import ArgumentParser
import Estimation

struct ProgramCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "program", abstract: "The step as data: print a plan's program, or check one.",
    subcommands: [Show.self, Check.self])

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the program of a plan as text: every task, lane and edge, and no times.")
    @OptionGroup var requestFlags: RequestFlags
    @OptionGroup var output: OutputOptions

    func run() throws { try output.write(programText(of: EstimateInputs(requestFlags.request()))) }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prove that a program runs to its end, and say what it holds.",
      discussion: "A program that would hang is refused with the ranks and tasks that wait.")
    @Argument(help: "A program as 'program show' prints it.") var file: String
    @OptionGroup var output: OutputOptions

    func run() throws { try output.write(programSummary(ofFileAt: file)) }
  }
}
