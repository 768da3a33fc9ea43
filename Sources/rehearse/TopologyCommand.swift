import ArgumentParser
import Clusters
import Documents
import Fabrics
import Fleets

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
      abstract: "Bandwidth and latency by size, as nccl-tests prints them, or of exchanges, as DeepEP does.",
      discussion: """
        Flows run through the network's engine; without --gpus the first 64 GPUs take part in collectives. --exchange \
        runs DeepEP's two benchmarks at the sizes of its README instead.
        """)

    enum Routing: String, CaseIterable, ExpressibleByArgument { case fixed, hashed, adaptive }
    enum Format: String, CaseIterable, ExpressibleByArgument { case text, json }

    @Argument(help: "A shipped cluster or a YAML file.") var name: String
    @Option(
      help: "GPUs that take part in collectives: whole nodes, from the first on; with --exchange, its EP.")
    var gpus: Int?
    @Option(help: "How equal ways are chosen among: fixed, hashed, adaptive.") var routing = Routing.hashed
    @Option(help: "Seed of hashed routing, and of the tokens' choices.") var seed: UInt64 = 1
    @Option(help: "One algorithm in place of NCCL's choice: ring, tree, hierarchical, nvls.")
    var algo: CollectiveAlgorithm?
    @Flag(help: "Dispatch and combine, as DeepEP's tests print them.") var exchange = false
    @Option(help: "text, json.") var format = Format.text
    @OptionGroup var output: OutputOptions

    func run() throws {
      let cluster = try clusterForTopology(name)
      if exchange { return try output.write(exchanges(cluster)) }
      let choice: RouteChoice =
        switch routing {
        case .fixed: .fixed
        case .hashed: .hashed(seed: seed)
        case .adaptive: .adaptive
        }
      let text = try locating(name) {
        var bench = try FabricBench(cluster, gpus: gpus, choice: choice, algorithm: algo)
        return format == .json ? try bench.json() : try bench.text()
      }
      try output.write(text)
    }

    private func exchanges(_ cluster: Cluster) throws -> String {
      if let gpus, !ExchangeBench.isPossible(gpus, cluster) {
        throw Diagnostic(
          .usage, "experts do not spread over so many GPUs", path: "--gpus", found: "\(gpus)",
          allowed: "a divisor of \(ExchangeBench.experts) that the cluster has, whole nodes")
      }
      guard let bench = try ExchangeBench(cluster, expertParallel: gpus.map { [$0] }, seed: seed) else {
        throw Diagnostic(
          .data, "\(cluster.name) has no calibration of exchanges", file: name, path: "all_to_all",
          hint: "h800-2048 has one")
      }
      return format == .json ? bench.json() : bench.text()
    }
  }
}

extension CollectiveAlgorithm: ExpressibleByArgument {}
extension RateChoice: ExpressibleByArgument {}
