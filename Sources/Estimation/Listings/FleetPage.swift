import Documents
import Fleets
import Reports
import Timing
import Units

extension FleetSimulation {
  /// The step as a page: a map of the cluster, links over time, who waited for whom.
  ///
  /// - Throws: A `Diagnostic` when the page's template is missing or broken, or the step was simulated by roles.
  public func pageText() throws -> String { try html(picture()) }

  func picture() throws -> FleetPicture {
    guard let flow else {
      throw Diagnostic(
        .usage, "a page shows every GPU", path: "--format", found: "html",
        hint: "leave out --fidelity symmetric, or choose the table")
    }
    let difference = signedPercent(flow.makespan.seconds / symmetric.makespan.seconds - 1)
    var picture = FleetPicture(
      title: "\(plan.model.name) on \(grouped(plan.ranks)) \(plan.cluster.gpu.name)",
      sentence:
        "\(plan.plan.name), \(plan.plan.schedule.rawValue), routing \(plan.plan.routing.text), seed \(seed).",
      gpusPerNode: flow.gpusPerNode)
    picture.tiles = [
      .init("Step", "\(fixed(flow.makespan.seconds, decimals: 3)) s", "every GPU and flow"),
      .init(
        "One rank of each role", "\(fixed(symmetric.makespan.seconds, decimals: 3)) s",
        "balanced; the step is \(difference)"),
      .init(
        "Flows", scaled(Double(flow.counters.flows), unit: ""),
        "in \(grouped(flow.counters.exchanges)) exchanges"),
      .init("Tasks", scaled(Double(flow.counters.events), unit: ""), "of all GPUs"),
    ]
    if let undisturbed {
      picture.tiles.append(
        .init(
          "Slow or broken", "\(fixed((flow.makespan - undisturbed.makespan).seconds, decimals: 3)) s",
          "what it costs together"))
    }
    let step = max(flow.makespan.seconds, 1e-12)
    let seconds: @Sendable (Double) -> String = { fixed($0, decimals: 3) + " s" }
    let share: @Sendable (Double) -> String = { percent($0) }
    let waiting = (0..<flow.ranks).map { rank in
      [FleetKind.dispatch, .combine, .gradients, .parameters, .other].reduce(0) {
        $0 + flow.waiting(rank, $1).seconds
      }
    }
    picture.heats = [
      .init(
        "Waiting", note: "Time a GPU stood in exchanges and collectives until the last had come:",
        colour: "red",
        values: waiting, shown: seconds),
      .init(
        "Waited for", note: "Time that others waited because this GPU came last, theirs together:",
        colour: "purple",
        values: (0..<flow.ranks).map { flow.blame($0).seconds }, shown: seconds),
      .init(
        "Computed", note: "Share of the step:", colour: "blue",
        values: (0..<flow.ranks).map { flow.computing($0).seconds / step }, shown: share),
      .init(
        "Card", note: "Share of its peak rate that left a GPU's card:", colour: "green",
        values: (0..<flow.ranks).map { flow.utilisation($0, .nicOut).value }, shown: share),
    ]
    picture.series = series(flow)
    picture.span = flow.bucket * flow.buckets
    picture.tables = tables(flow)
    picture.inputs = provenance
    return picture
  }

  private func series(_ flow: FleetReport) -> [FleetPicture.Series] {
    var mean = Array(repeating: 0.0, count: flow.buckets)
    for rank in 0..<flow.ranks {
      for (place, use) in flow.cardUse(rank).enumerated() { mean[place] += use.value / Double(flow.ranks) }
    }
    let busiest = (0..<flow.ranks).max {
      (flow.utilisation($0, .nicOut), $1) < (flow.utilisation($1, .nicOut), $0)
    }
    var series = [FleetPicture.Series("all cards, mean", colour: "blue", shares: mean)]
    if let busiest {
      series.append(
        .init("busiest card, GPU \(busiest)", colour: "green", shares: flow.cardUse(busiest).map(\.value)))
    }
    if let trunk = flow.busiestTrunks(1).first {
      series.append(
        .init(
          "busiest cable between switches, \(flow.trunks[trunk].name)", colour: "red",
          shares: flow.use(trunk: trunk).map(\.value)))
    }
    return series
  }

  private func tables(_ flow: FleetReport) -> [FleetPicture.Table] {
    func seconds(_ span: Span) -> String { fixed(span.seconds, decimals: 3) + " s" }
    let kinds = FleetKind.allCases.compactMap { kind -> [String]? in
      let time = flow.mean(kind)
      if time.running == .zero && time.waiting == .zero { return nil }
      let waits = kind == .pipeline || kind == .compute ? "" : seconds(time.waiting)
      return [kind.title, waits, seconds(time.running)]
    }
    var links = Link.allCases.map { link -> [String] in
      let uses = (0..<flow.ranks).map { flow.utilisation($0, link).value }
      let most = uses.max() ?? 0
      return [
        link.title, flow.carried(link).shown, percent(uses.reduce(0, +) / Double(max(1, flow.ranks))),
        percent(most),
        "GPU \(uses.firstIndex(of: most) ?? 0)",
      ]
    }
    links += flow.tiers.map {
      [$0.title, $0.bytes.shown, percent($0.mean.value), percent($0.most.value), $0.busiest]
    }
    var tables = [
      FleetPicture.Table(
        "Waiting against running", heads: ["mean of a GPU", "waiting", "running"], rows: kinds),
      FleetPicture.Table("Links", heads: ["", "bytes, all", "mean use", "busiest", "which"], rows: links),
      FleetPicture.Table(
        "Who waited for whom", heads: ["GPUs of", "waited for", "their time together"],
        rows: flow.longestWaits(12).map { ["node \($0.node)", "GPU \($0.last)", seconds($0.time)] }),
    ]
    if !costs.isEmpty {
      tables.insert(
        FleetPicture.Table(
          "What each costs alone", heads: ["", "costs"], rows: costs.map { [$0.name, seconds($0.span)] }),
        at: 0)
    }
    return tables
  }
}
