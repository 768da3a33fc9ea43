import ArgumentParser
import Documents
import Estimation
import Models
import Operators

struct ModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "The models that are shipped, and what one asks of a GPU.",
    subcommands: [List.self, Show.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The shipped models.")
    @OptionGroup var output: OutputOptions

    func run() throws { try output.write(modelTable()) }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Parameters by module, FLOPs of a token, and every operator's FLOPs and bytes.")
    @Argument(help: "A shipped model, or a Hugging Face config.json.") var model: String
    @Option(help: "Sequences of a micro-batch.") var microBatch = 1
    @Option(name: .customLong("seq-len"), help: "Tokens of a sequence.") var sequence = 4096
    @Option(help: "Of linear layers: bf16, fp16, fp8, fp32.") var precision = Format.bfloat16
    @OptionGroup var output: OutputOptions

    func validate() throws {
      guard (1...1 << 20).contains(microBatch), (1...1 << 20).contains(sequence) else {
        throw ValidationError("--micro-batch and --seq-len must be from 1 to \(1 << 20)")
      }
    }

    func run() throws {
      var classes = Precision.bfloat16
      classes.linear = precision
      let listing = ModelListing(
        try resolveModel(model).model, batch: Batch(sequences: microBatch, sequence: sequence), precision: classes)
      try output.write(listing.table())
    }
  }
}
