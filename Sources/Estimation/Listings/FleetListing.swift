import Documents
import Fleets
import Reports
import Timelines
import Timing
import Units

extension FleetSimulation {
  /// Lines of at most 80 characters; the same for any number of threads.
  public func text() -> String {
    var lines = [
      "\(plan.model.name) on \(grouped(plan.ranks)) \(plan.cluster.gpu.name)",
      "\(plan.plan.name), \(plan.plan.schedule.rawValue), routing \(plan.plan.routing.text), seed \(seed)",
      "",
    ]
    lines += stepLines()
    if let flow {
      lines += [""] + kindLines(flow) + [""] + linkLines(flow) + [""] + waitingLines(flow)
      if !costs.isEmpty { lines += [""] + costLines() }
    } else {
      lines += [""] + symmetricLines()
    }
    return lines.map { $0.isEmpty ? $0 : String($0.prefix(80)) }.joined(separator: "\n") + "\n"
  }

  private func stepLines() -> [String] {
    var table = TextTable([.init(""), .init("", .right), .init("")], indent: 0)
    let base = symmetric.makespan
    func row(_ name: String, _ step: Span, _ note: String) {
      table.append([name, step.seconds.formattedSeconds, note])
    }
    if let flow {
      row(
        "step, every GPU and flow", flow.makespan,
        signedPercent(flow.makespan.seconds / base.seconds - 1) + " beside one rank of each role")
      if let undisturbed {
        row(
          "  with nothing slow or broken", undisturbed.makespan,
          "what is costs \((flow.makespan - undisturbed.makespan).seconds.formattedSeconds)")
      }
    }
    row("step, one rank of each role", base, "balanced routing")
    var lines = table.lines()
    if let flow {
      let counts = flow.counters
      lines.append(
        "\(grouped(counts.events)) tasks ended, \(grouped(counts.flows)) flows in "
          + "\(grouped(counts.exchanges)) exchanges"
      )
      lines.append(
        "\(grouped(flow.solvedFlows)) flows solved; the others carry the same rows backwards or turned round")
    }
    return lines
  }

  private func kindLines(_ flow: FleetReport) -> [String] {
    var table = TextTable([
      .init("mean of a GPU"), .init("waiting", .right), .init("running", .right), .init("of step", .right),
    ])
    for kind in FleetKind.allCases {
      let time = flow.mean(kind)
      if time.running == .zero && time.waiting == .zero { continue }
      // A receive stands ready long before its message: its waiting is no delay.
      let waits = kind == .pipeline || kind == .compute ? "" : time.waiting.seconds.formattedSeconds
      table.append([
        kind.title, waits, time.running.seconds.formattedSeconds,
        percent(time.running.seconds / max(flow.makespan.seconds, 1e-12)),
      ])
    }
    return table.lines()
  }

  private func linkLines(_ flow: FleetReport) -> [String] {
    var table = TextTable([
      .init("links"), .init("bytes, all", .right), .init("mean use", .right), .init("busiest", .right),
      .init("GPU"),
    ])
    for link in Link.allCases {
      let uses = (0..<flow.ranks).map { flow.utilisation($0, link).value }
      let most = uses.max() ?? 0
      table.append([
        link.title, flow.carried(link).shown, percent(uses.reduce(0, +) / Double(max(1, flow.ranks))),
        percent(most),
        "\(uses.firstIndex(of: most) ?? 0)",
      ])
    }
    for tier in flow.tiers {
      table.append([
        tier.title, tier.bytes.shown, percent(tier.mean.value), percent(tier.most.value), tier.busiest,
      ])
    }
    return table.lines()
  }

  /// What each thing that is slow or broken costs when it is the only one, and who waited for whom then.
  private func costLines() -> [String] {
    var table = TextTable([
      .init("alone"), .init("costs", .right), .init("of step", .right),
      .init("longest waiting: node for GPU"),
    ])
    for cost in costs {
      let base = (undisturbed?.makespan ?? cost.report.makespan).seconds
      let wait = cost.report.longestWaits(1).first
      table.append([
        cost.name, cost.span.seconds.formattedSeconds, signedPercent(cost.span.seconds / max(base, 1e-12)),
        wait.map { "\($0.node) for \($0.last), \(fixed($0.time.seconds, decimals: 1)) GPU-s" } ?? "",
      ])
    }
    return table.lines()
  }

  private func waitingLines(_ flow: FleetReport) -> [String] {
    let blamed = flow.mostBlamed(5).filter { $0.waiting > .zero }
    if blamed.isEmpty { return ["nobody waited for anybody in exchanges and collectives"] }
    var table = TextTable([
      .init("waited for most"), .init("waiting of all others", .right), .init("computed", .right),
    ])
    for (rank, waiting) in blamed {
      table.append([
        "GPU \(rank)", "\(fixed(waiting.seconds, decimals: 1)) GPU-s",
        flow.computing(rank).seconds.formattedSeconds,
      ])
    }
    var pairs = TextTable([.init("who waited for whom"), .init("waiting, its GPUs together", .right)])
    for wait in flow.longestWaits(5) {
      pairs.append([
        "node \(wait.node) for GPU \(wait.last)", "\(fixed(wait.time.seconds, decimals: 1)) GPU-s",
      ])
    }
    return table.lines() + [""] + pairs.lines()
  }

  private func symmetricLines() -> [String] {
    var table = TextTable([.init("mean of a GPU"), .init("running", .right), .init("not hidden", .right)])
    for time in symmetric.communicationTimes() {
      table.append([
        time.kind.title, time.transfer.seconds.formattedSeconds, time.exposed.seconds.formattedSeconds,
      ])
    }
    return table.lines()
  }

  // MARK: JSON

  /// The same for any number of threads.
  public func jsonText() -> String {
    var entries: [Value.Entry] = [
      .init("model", .text(plan.model.name)), .init("cluster", .text(plan.cluster.name)),
      .init("plan", .text(plan.plan.name)), .init("gpus", .integer(plan.ranks)),
      .init("routing", .text(plan.plan.routing.text)),
      .init("seed", .integer(Int(truncatingIfNeeded: seed))),
      .init("inputs", .list(provenance.map { .text($0) })),
      .init("symmetric_step_seconds", .number(symmetric.makespan.seconds)),
    ]
    if let flow {
      entries.append(.init("flow_step_seconds", .number(flow.makespan.seconds)))
      entries.append(
        .init("difference", .number(flow.makespan.seconds / symmetric.makespan.seconds - 1)))
      if let undisturbed {
        entries.append(.init("undisturbed_step_seconds", .number(undisturbed.makespan.seconds)))
      }
      entries.append(
        .init(
          "counts",
          .mapping([
            .init("tasks", .integer(flow.counters.events)),
            .init("exchanges", .integer(flow.counters.exchanges)),
            .init("flows", .integer(flow.counters.flows)), .init("flows_solved", .integer(flow.solvedFlows)),
            .init("independent_parts", .integer(flow.parts)),
          ])))
      entries.append(.init("kinds", .list(FleetKind.allCases.map { kind(flow, $0) })))
      entries.append(.init("links", .list(Link.allCases.map { link(flow, $0) })))
      entries.append(.init("trunk_tiers", .list(flow.tiers.map { tier($0) })))
      entries.append(.init("busiest_trunks", .list(flow.busiestTrunks(16).map { trunk(flow, $0) })))
      entries.append(.init("waits", .list(flow.longestWaits(64).map { wait($0) })))
      entries.append(
        .init(
          "perturbations",
          .list(
            costs.map {
              .mapping([
                .init("name", .text($0.name)), .init("costs_seconds", .number($0.span.seconds)),
                .init("step_seconds", .number($0.report.makespan.seconds)),
                .init("waits", .list($0.report.longestWaits(8).map { wait($0) })),
              ])
            })))
      entries.append(.init("busiest_links", .list(flow.busiestLinks(16).map { busy($0) })))
      entries.append(.init("ranks", .list((0..<flow.ranks).map { rank(flow, $0) })))
      entries.append(.init("bucket_seconds", .number(flow.bucket.seconds)))
    }
    return json(.mapping(entries))
  }

  private func kind(_ flow: FleetReport, _ kind: FleetKind) -> Value {
    let time = flow.mean(kind)
    return .mapping([
      .init("kind", .text(kind.title)), .init("mean_waiting_seconds", .number(time.waiting.seconds)),
      .init("mean_running_seconds", .number(time.running.seconds)),
    ])
  }

  private func link(_ flow: FleetReport, _ link: Link) -> Value {
    .mapping([
      .init("link", .text(link.title)), .init("bytes", .integer(Int(flow.carried(link).count))),
      .init(
        "mean_utilisation",
        .number(
          (0..<flow.ranks).reduce(0) { $0 + flow.utilisation($1, link).value } / Double(max(1, flow.ranks)))),
    ])
  }

  private func tier(_ tier: TrunkTier) -> Value {
    .mapping([
      .init("tier", .text(tier.title)), .init("trunks", .integer(tier.count)),
      .init("bytes", .integer(Int(tier.bytes.count))), .init("mean_utilisation", .number(tier.mean.value)),
      .init("most_utilisation", .number(tier.most.value)), .init("busiest", .text(tier.busiest)),
    ])
  }

  private func trunk(_ flow: FleetReport, _ index: Int) -> Value {
    .mapping([
      .init("trunk", .text(flow.trunks[index].name)),
      .init("bytes", .integer(Int(flow.carried(trunk: index).count))),
      .init("utilisation", .number(flow.utilisation(trunk: index).value)),
      .init("use", .list(flow.use(trunk: index).map { .number(($0.value * 1e4).rounded() / 1e4) })),
    ])
  }

  private func wait(_ wait: (last: Int, node: Int, time: Span)) -> Value {
    .mapping([
      .init("for_gpu", .integer(wait.last)), .init("node", .integer(wait.node)),
      .init("seconds", .number(wait.time.seconds)),
    ])
  }

  private func busy(_ link: (rank: Int, link: Link, utilisation: Ratio)) -> Value {
    .mapping([
      .init("gpu", .integer(link.rank)), .init("link", .text(link.link.title)),
      .init("utilisation", .number(link.utilisation.value)),
    ])
  }

  private func rank(_ flow: FleetReport, _ rank: Int) -> Value {
    .mapping([
      .init("computed_seconds", .number(flow.computing(rank).seconds)),
      .init("waited_for_dispatch_seconds", .number(flow.waiting(rank, .dispatch).seconds)),
      .init("waited_for_combine_seconds", .number(flow.waiting(rank, .combine).seconds)),
      .init("made_others_wait_seconds", .number(flow.blame(rank).seconds)),
      .init("bytes", .list(Link.allCases.map { .integer(Int(flow.carried(rank, $0).count)) })),
      .init("card_use", .list(flow.cardUse(rank).map { .number(($0.value * 1e4).rounded() / 1e4) })),
    ])
  }
}

extension Double {
  fileprivate var formattedSeconds: String { fixed(self, decimals: 3) + " s" }
}

extension Link {
  /// As tables write it.
  var title: String {
    switch self {
    case .nvlinkOut: "NVLink out"
    case .nvlinkIn: "NVLink in"
    case .nicOut: "card out"
    case .nicIn: "card in"
    }
  }
}

extension FleetSimulation {
  /// How fast the simulation was, as one line.
  public func speed(of seconds: Double) -> String {
    let reports = [flow, undisturbed].compactMap { $0 } + (costs.count > 1 ? costs.map(\.report) : [])
    let (flows, tasks) = reports.reduce((0, 0)) { ($0.0 + $1.counters.flows, $0.1 + $1.counters.events) }
    return
      "simulated in \(fixed(seconds, decimals: 1)) s: \(scaled(Double(flows) / seconds, unit: "flows"))/s, "
      + "\(scaled(Double(tasks) / seconds, unit: "tasks"))/s"
  }
}
