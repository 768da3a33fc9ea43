import ArgumentParser
import Estimation
import Foundation
import Synchronization

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "One step of the whole cluster: every GPU and every flow on its own.",
    discussion: """
      Routing is drawn for each layer, micro-batch and expert group. The result is the same for any number of threads; \
      how fast the simulation was stands on stderr.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case table, json, html
  }

  enum Routes: String, CaseIterable, ExpressibleByArgument {
    case fixed, hashed, adaptive
  }

  @OptionGroup var requestFlags: RequestFlags
  @Option(help: "flow: every GPU; symmetric: one of each role.") var fidelity = Fidelity.flow
  @Option(
    help: ArgumentHelp("A GPU whose computation takes longer; may be repeated.", valueName: "rank:times"))
  var slowGpu: [String] = []
  @Option(help: "Standard deviation of every computation's duration, as a share of it.") var jitter = 0.0
  @Option(
    help: ArgumentHelp(
      "A card, device or cable that carries less from a moment on: nic17:0.5@3s, plane0/leaf0:plane0/spine1:0.5@3s.",
      valueName: "link:share@time"))
  var degrade: [String] = []
  @Option(
    help: ArgumentHelp(
      "A card, device or cable that is down from a moment on; routes go round it.", valueName: "link@time"))
  var fail: [String] = []
  @Option(
    help: ArgumentHelp(
      "An expert that is chosen more often, in one layer or all.", valueName: "[layer:]expert:times"))
  var hotExpert: [String] = []
  @Option(
    help: "How equal ways through the fabric are chosen among: fixed, hashed (ECMP by the seed), adaptive.")
  var routes = Routes.fixed
  @Option(help: "Of draws and jitter.") var seed: UInt32 = 1
  @Option(help: "At most so many threads; as many as there are processors when left out.") var threads: Int?
  @Option(help: "table, json, html.") var format = Format.table
  @OptionGroup var output: OutputOptions

  func run() throws {
    var request = SimulationRequest()
    request.estimate = try requestFlags.request()
    request.estimate.seed = UInt64(seed)
    request.fidelity = fidelity
    request.slowGPUs = slowGpu
    request.jitter = jitter
    request.degraded = degrade
    request.failed = fail
    request.hotExperts = hotExpert
    switch routes {
    case .fixed: request.choice = .fixed
    case .hashed: request.choice = .hashed(seed: UInt64(seed))
    case .adaptive: request.choice = .adaptive
    }
    request.threads = max(1, min(threads ?? ProcessInfo.processInfo.activeProcessorCount, 64))
    let clock = ContinuousClock()
    let start = clock.now
    let bar = isatty(STDERR_FILENO) == 1 ? ProgressBar() : nil
    let simulation = try FleetSimulation(request) { stage, share in bar?.show(stage, share) }
    bar?.clear()
    switch format {
    case .table: try output.write(simulation.text())
    case .json: try output.write(simulation.jsonText())
    case .html: try output.write(simulation.pageText())
    }
    if simulation.flow != nil {
      note(simulation.speed(of: (clock.now - start) / .seconds(1)), end: "\n")
    }
  }

  private func note(_ text: String, end: String) { tellUser(text + end) }
}

extension Fidelity: ExpressibleByArgument {}

/// One line on a terminal: what is done, how much of it, and how long the rest will take at this pace.
final class ProgressBar: Sendable {
  private struct State {
    var stage = ""
    var began = ContinuousClock.now
    var shown = ContinuousClock.now
  }

  private let state = Mutex(State())

  func show(_ stage: String, _ share: Double) {
    let line: String? = state.withLock { state in
      let now = ContinuousClock.now
      if stage != state.stage {
        state.stage = stage
        state.began = now
      } else if now - state.shown < .milliseconds(100) {
        return nil
      }
      state.shown = now
      if share <= 0 { return "\(stage) …" }
      let done = Int((share * 24).rounded())
      let left = (now - state.began) / .seconds(1) * (1 - share) / share
      return "\(stage.prefix(40)) [" + String(repeating: "#", count: done)
        + String(repeating: ".", count: 24 - done) + "] \(Int(left.rounded(.up))) s left"
    }
    if let line { write("\u{1B}[2K\r" + line) }
  }

  func clear() { write("\u{1B}[2K\r") }

  private func write(_ text: String) { tellUser(text) }
}
