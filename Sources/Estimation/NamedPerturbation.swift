import Clusters
import Documents
import Fleets
import Units

/// One thing that is slow, broken or in demand, as the command line named it.
struct NamedPerturbation: Sendable {
  let name: String
  var hot: HotExpert?
  private let change: @Sendable (inout Perturbations) -> Void

  private init(
    _ name: String, hot: HotExpert? = nil, _ change: @escaping @Sendable (inout Perturbations) -> Void
  ) {
    self.name = name
    self.hot = hot
    self.change = change
  }

  func apply(_ perturbations: inout Perturbations) { change(&perturbations) }

  /// Everything that a request names, in the order of the flags.
  ///
  /// - Throws: A `Diagnostic` that names the flag.
  static func all(_ request: SimulationRequest, _ inputs: EstimateInputs) throws -> [Self] {
    let ranks = inputs.plan.ranks
    var all: [Self] = []
    for text in request.slowGPUs {
      let parts = text.split(separator: ":")
      guard parts.count == 2, let rank = Int(parts[0]), (0..<ranks).contains(rank),
        let times = Double(parts[1]), (0.01...100).contains(times)
      else {
        throw Diagnostic(
          .usage, "this is no slow GPU", path: "--slow-gpu", found: "\"\(text.prefix(80))\"",
          allowed: "RANK:TIMES with a rank of 0 to \(ranks - 1) and 0.01 to 100 times",
          hint: "--slow-gpu 17:1.3")
      }
      all.append(Self("slow GPU \(text)") { $0.slowRanks[rank] = times })
    }
    guard (0...0.5).contains(request.jitter) else {
      throw Diagnostic(
        .usage, "the jitter is out of range", path: "--jitter", found: "\(request.jitter)",
        allowed: "0 to 0.5")
    }
    if request.jitter > 0 {
      let jitter = request.jitter
      all.append(Self("jitter \(jitter)") { $0.jitter = jitter })
    }
    for text in request.degraded {
      all.append(try link(text, ranks: ranks, flag: "--degrade", hasShare: true))
    }
    for text in request.failed { all.append(try link(text, ranks: ranks, flag: "--fail", hasShare: false)) }
    for text in request.hotExperts { all.append(try hotExpert(text, inputs)) }
    return all
  }

  private static func link(_ text: String, ranks: Int, flag: String, hasShare: Bool) throws -> Self {
    let allowed =
      (hasShare ? "LINK:SHARE@SECONDSs, a share of 0.001 to 1" : "LINK@SECONDSs")
      + "; a link is nicRANK (rank 0 to \(ranks - 1)), DEVICE, or DEVICE:DEVICE for a cable between two"
    let wrong = Diagnostic(
      .usage, "this is no \(hasShare ? "degraded" : "failing") link", path: flag,
      found: "\"\(text.prefix(80))\"",
      allowed: allowed,
      hint: hasShare ? "\(flag) nic17:0.5@3s" : "\(flag) nic17@3s, \(flag) plane0/leaf0:plane0/spine1@3s")
    let halves = text.split(separator: "@", omittingEmptySubsequences: false)
    guard halves.count == 2, halves[1].hasSuffix("s"), let at = Double(halves[1].dropLast()),
      (0...86_400).contains(at)
    else { throw wrong }
    var parts = halves[0].split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    var share = 0.0
    if hasShare {
      guard let last = parts.popLast().flatMap(Double.init), last >= 0.001, last <= 1 else { throw wrong }
      share = last
    }
    guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { throw wrong }
    let name = (hasShare ? "degraded " : "failed ") + text
    let moment = Span(seconds: at)
    if parts.count == 1, parts[0].hasPrefix("nic"), let rank = Int(parts[0].dropFirst(3)) {
      guard (0..<ranks).contains(rank) else { throw wrong }
      let change = CardChange(rank: rank, share: share, at: moment)
      return Self(name) { $0.cards.append(change) }
    }
    let place: Failure.Place = parts.count == 1 ? .device(parts[0]) : .cable(parts[0], parts[1], number: nil)
    let failure = Failure(
      place, remaining: hasShare ? Sourced(Ratio(share), tag: .assumed, source: flag) : nil, path: flag)
    return Self(name) { $0.fabric.append(FabricChange(failure, at: moment)) }
  }

  private static func hotExpert(_ text: String, _ inputs: EstimateInputs) throws -> Self {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let experts = inputs.model.mixture?.routedExperts ?? 0
    let layers = (0..<inputs.model.layers + inputs.model.multiTokenPredictionDepth).filter(
      inputs.model.isMixtureLayer)
    guard (2...3).contains(parts.count), let expert = Int(parts[parts.count - 2]),
      (0..<experts).contains(expert),
      let times = Double(parts[parts.count - 1]), (0.001...1000).contains(times),
      parts.count == 2 || Int(parts[0]).map(layers.contains) == true
    else {
      throw Diagnostic(
        .usage, "this is no hot expert", path: "--hot-expert", found: "\"\(text.prefix(80))\"",
        allowed: experts == 0
          ? "none: the model has no experts"
          : "EXPERT:TIMES or LAYER:EXPERT:TIMES, an expert of 0 to \(experts - 1), a layer of \(layers.first ?? 0) to "
            + "\(layers.last ?? 0), 0.001 to 1000 times",
        hint: "--hot-expert 17:4")
    }
    let hot = HotExpert(layer: parts.count == 3 ? Int(parts[0]) : nil, expert: expert, times: times)
    return Self("hot expert \(text)", hot: hot) { _ in }
  }
}
