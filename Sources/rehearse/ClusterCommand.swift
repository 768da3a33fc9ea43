import ArgumentParser
import Clusters
import Estimation

struct ClusterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster", abstract: "The clusters that are shipped, and what is known of one.",
    subcommands: [List.self, Show.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The shipped clusters.")
    @OptionGroup var output: OutputOptions

    func run() throws { try output.write(clusterTable()) }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Every quantity with where it comes from.")
    @Argument(help: "A shipped cluster, or a YAML file.") var cluster: String
    @OptionGroup var output: OutputOptions

    func run() throws { try output.write(clusterTable(resolveCluster(cluster).cluster)) }
  }
}
