import ArgumentParser
import Documents
import Estimation
import Foundation
import Schedules

struct ScheduleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schedule", abstract: "Draw a pipeline schedule, or check one from a file.",
    discussion: "Chunk times are in any unit; a backward takes --b and --w, an overlapped pair --fb.")

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case picture, text, json, svg
  }

  @Option(help: "\(PipelineOrder.publishedNames.joined(separator: ", ")).") var schedule = "dualpipe"
  @Option(name: .customLong("pp"), help: "Pipeline ranks.") var ranks = 8
  @Option(help: "Micro-batches of a step, both directions together.") var microBatches = 20
  @Option(name: .customLong("vpp"), help: "Stages on each rank of an interleaved schedule.")
  var virtualStages: Int?
  @Option(help: ArgumentHelp("Read the order's text form instead of making one.", valueName: "order.txt"))
  var file: String?
  @Option(name: .customLong("f"), help: "Time of a forward.") var forward = 1.0
  @Option(name: .customLong("b"), help: "Time of an input gradient.") var backwardInput = 1.0
  @Option(name: .customLong("w"), help: "Time of a weight gradient.") var backwardWeight = 1.0
  @Option(name: .customLong("fb"), help: "Time of an overlapped pair; its chunks' sum when left out.")
  var overlapped: Double?
  @Option(help: "picture, text, json, svg.") var format = Format.picture
  @OptionGroup var output: OutputOptions

  func validate() throws {
    for (name, value) in [
      ("--f", forward), ("--b", backwardInput), ("--w", backwardWeight), ("--fb", overlapped ?? 1),
    ]
    where !ChunkUnits.allowed.contains(value) || (name == "--f" && value == 0) {
      throw ValidationError(
        "\(name) must be a time from 0 to \(Int(ChunkUnits.allowed.upperBound)), --f above 0")
    }
  }

  func run() throws {
    let order =
      try file.map(readOrder)
      ?? .published(
        schedule, ranks: ranks, microBatches: microBatches, virtualStages: virtualStages)
    let units = ChunkUnits(
      forward: forward, backwardInput: backwardInput, backwardWeight: backwardWeight, overlapped: overlapped)
    let listing = try OrderListing(order, units: units)
    switch format {
    case .picture: try output.write(listing.text(color: output.colored))
    case .text: try output.write(order.text)
    case .json: try output.write(order.json)
    case .svg: try output.write(listing.svg())
    }
  }

  private func readOrder(_ path: String) throws -> PipelineOrder {
    let order = try PipelineOrder(text: String(decoding: readFile(at: path), as: UTF8.self), file: path)
    do {
      try order.validate()
    } catch var error as Diagnostic {
      error.file = path
      throw error
    }
    return order
  }
}
