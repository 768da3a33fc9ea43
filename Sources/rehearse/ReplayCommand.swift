import ArgumentParser
import Estimation
import Replaying

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "What a recorded job would do on another network, with more GPUs, without a straggler.",
    discussion: """
      Communication is timed by the simulator, computation takes its recorded durations. Without --cluster \
      communication \
      takes what was recorded, without the waiting. Changes: \(WhatIf.forms).
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument { case table, json }

  @Argument(help: ArgumentHelp("Recordings, or folders of them.", valueName: "file")) var files: [String]
  @Option(help: "A shipped cluster, or a YAML file.") var cluster: String?
  @Option(help: "GPUs in place of the cluster's own number.") var gpus: Int?
  @Option(help: ArgumentHelp("A change; may be repeated.", valueName: "change")) var whatIf: [String] = []
  @Option(help: ArgumentHelp("Carry the job to so many ranks.", valueName: "ranks")) var ranks: Int?
  @Option(help: "Groups that grow with the ranks: data, expert.") var along = GrowthDirection.data
  @Option(help: ArgumentHelp("Only these profiler steps: 3 or 3-5.", valueName: "steps")) var steps: String?
  @Option(help: "Model whose tokens DeepEP's kernels carry: deepseek-v3.") var model: String?
  @Option(help: "Tokens of one rank and micro-batch, with --model.") var tokens: Int?
  @Option(help: "The GPU that was recorded, where computation is taken on another.") var recordedGpu: String?
  @Option(help: "Order between queues without edges: recorded, proven.") var order = CrossQueueOrder.recorded
  @Option(help: "table, json.") var format = Format.table
  @OptionGroup var output: OutputOptions

  func run() throws {
    var request = ReplayRequest()
    request.cluster = cluster
    request.gpus = gpus
    request.changes = try whatIf.map { try WhatIf($0) }
    request.ranks = ranks
    request.growth = along
    request.steps = try steps.map { try Estimation.steps($0) }
    request.model = model
    request.tokens = tokens
    request.recordedGPU = recordedGpu
    request.order = order
    let study = try ReplayStudy(readRecordings(files).recording, request)
    try output.write(format == .json ? study.jsonText() : study.text())
  }
}

extension GrowthDirection: ExpressibleByArgument {}
extension CrossQueueOrder: ExpressibleByArgument {}
