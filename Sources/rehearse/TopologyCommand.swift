import ArgumentParser
import Clusters
import Fabrics

struct TopologyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "topology", abstract: "A cluster's switches and cables: drawn, checked, priced, measured.",
    discussion: "NAME is a shipped cluster, a cluster's YAML file, or a topology that NCCL recorded (.xml).",
    subcommands: [Show.self, Check.self, Cost.self, Bench.self])

  struct Choice: ParsableArguments {
    @Argument(help: "A shipped cluster, a YAML file, or a recorded topology (.xml).") var name: String
    @Option(help: "GPUs in place of the file's; whole nodes.") var gpus: Int?

    func graph(_ rates: RateChoice = .peak) throws -> FabricGraph {
      try FabricGraph(named: name, gpus: gpus, rates: rates)
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Devices and cables, as text or drawn.")

    enum Format: String, CaseIterable, ExpressibleByArgument { case text, svg, dot, json }

    @OptionGroup var choice: Choice
    @Option(help: "text, svg, dot, json.") var format = Format.text
    @Option(help: "Of links: peak, or what is achieved.") var rates = RateChoice.peak
    @OptionGroup var output: OutputOptions

    func run() throws {
      let graph = try choice.graph(rates)
      switch format {
      case .text: try output.write(graph.summary())
      case .svg: try output.write(graph.svg())
      case .dot: try output.write(graph.dot())
      case .json: try output.write(graph.json())
      }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "That every GPU reaches every other; bisection, paths, ports.")
    @OptionGroup var choice: Choice
    @OptionGroup var output: OutputOptions

    func run() throws {
      let graph = try choice.graph()
      try output.write(locating(choice.name) { try FabricCheck(graph).text(graph) })
    }
  }

  struct Cost: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Switches, cables and dollars, beside published fabrics.")
    @OptionGroup var choice: Choice
    @OptionGroup var output: OutputOptions

    func run() throws {
      let graph = try choice.graph()
      try output.write(FabricPrices.shipped().text(graph.name, FabricCounts(graph)))
    }
  }

  struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Bandwidth and latency by size, as nccl-tests prints them.",
      discussion:
        "Flows run through the network's engine; without --gpus the first 64 GPUs take part in collectives.")

    enum Routing: String, CaseIterable, ExpressibleByArgument { case fixed, hashed, adaptive }

    @Argument(help: "A shipped cluster or a YAML file.") var name: String
    @Option(help: "GPUs that take part in collectives: whole nodes, from the first on.") var gpus: Int?
    @Option(help: "How equal ways are chosen among: fixed, hashed, adaptive.") var routing = Routing.hashed
    @Option(help: "Seed of hashed routing.") var seed: UInt64 = 1
    @OptionGroup var output: OutputOptions

    func run() throws {
      let choice: RouteChoice =
        switch routing {
        case .fixed: .fixed
        case .hashed: .hashed(seed: seed)
        case .adaptive: .adaptive
        }
      let cluster = try clusterForTopology(name)
      let text = try locating(name) {
        var bench = try FabricBench(cluster, gpus: gpus, choice: choice)
        return try bench.text()
      }
      try output.write(text)
    }
  }
}

extension RateChoice: ExpressibleByArgument {}
