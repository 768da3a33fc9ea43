import ArgumentParser
import Rehearsing

/// Flags of an executed run, besides its plan.
struct RunFlags: ParsableArguments {
  @Option(help: "A shipped model, or a Hugging Face config.json; deepseek-v3-mini where none is named.")
  var model: String?
  @Option(help: "A shipped plan, or a YAML file; left out, one for the number of ranks.") var plan: String?
  @Option(help: "Training steps.") var steps = 10
  @Option(help: ArgumentHelp("A text whose bytes are the tokens.", valueName: "file")) var data: String?
  @Option(help: ArgumentHelp("Where checkpoints are saved.", valueName: "folder")) var checkpoint: String?
  @Option(help: "Steps between checkpoints; left out, one at the end.") var saveEvery: Int?
  @Flag(help: "Go on from the last checkpoint.") var resume = false
  @Option(help: ArgumentHelp("Write the last step's program and, beside it, its times.", valueName: "file"))
  var record: String?
  @Option(help: ArgumentHelp("Write the trained model as safetensors.", valueName: "file")) var export:
    String?
  @Option(help: ArgumentHelp("Predict the last step on a file of 'rehearse calibrate'.", valueName: "file"))
  var compare: String?
  @Option(help: "Of the model's first parameters and of drawn routing.") var seed: UInt32 = 1
  @Option(help: "Of AdamW, after the warm-up.") var learningRate: Double?
  @Option(help: "Who chooses experts: router, seeded, or a recording.") var choices = "router"
  @Option(help: "Consecutive ranks that count as a node, for --all-to-all two-hop; all where left out.")
  var ranksPerNode: Int?
  @Option(help: "table, json, csv.") var format = ExecuteCommand.Format.table

  func validate() throws {
    guard (1...1_000_000).contains(steps) else { throw ValidationError("--steps must be from 1 to 1000000") }
    if let saveEvery, saveEvery < 1 { throw ValidationError("--save-every must be 1 or more") }
    if resume || saveEvery != nil, checkpoint == nil {
      throw ValidationError("--resume and --save-every need --checkpoint")
    }
    if let learningRate, !(learningRate > 0 && learningRate < 1) {
      throw ValidationError("--learning-rate must be between 0 and 1")
    }
  }

  /// What the flags ask for, without changes to the plan.
  var request: ExecutionRequest {
    var request = ExecutionRequest()
    request.model = model
    request.plan = plan
    request.steps = steps
    request.data = data
    request.checkpoint = checkpoint
    request.saveEvery = saveEvery
    request.resumes = resume
    request.record = record
    request.export = export
    request.compare = compare
    request.seed = UInt64(seed)
    request.ranksPerNode = ranksPerNode
    request.learningRate = learningRate
    request.routing = RoutingSource(text: choices)
    return request
  }
}
