import Units

/// The estimate for a terminal, at most 80 columns wide, with a line feed at the end.
///
/// - Parameter colour: Whether to write colour sequences; without them the text says the same.
public func table(_ estimate: Estimate, colour: Bool = false) -> String {
  TerminalReport(estimate: estimate, style: TerminalStyle(isOn: colour)).lines().map { $0 + "\n" }.joined()
}

/// Composes the report's sections, each a list of lines.
private struct TerminalReport {
  let estimate: Estimate
  let style: TerminalStyle
  static let width = 80

  func lines() -> [String] {
    [
      headline, stepParts, contributions, experts, throughput, memory, runAndCost, comparisons, assumptions,
      provenance,
    ]
    .filter { !$0.isEmpty }
    .flatMap { $0 + [""] }
    .dropLast()
  }

  private func heading(_ title: String, _ note: String = "") -> String {
    let rule = String(
      repeating: "─", count: max(2, Self.width - title.count - note.count - (note.isEmpty ? 1 : 3)))
    return style(title, .bold) + " " + style(rule, .grey) + (note.isEmpty ? "" : "  " + note)
  }

  private func folded(_ text: String, indent: Int = 2) -> [String] {
    fold(text, width: Self.width - indent).map { String(repeating: " ", count: indent) + $0 }
  }

  // MARK: Headline

  private var headline: [String] {
    var lines = fold(estimate.title, width: Self.width).map { style($0, .bold) }
    lines += fold(estimate.sentence, width: Self.width)
    let plan = estimate.plan
    lines += [""]
    lines += row(
      "model",
      "\(counted(Double(estimate.model.parametersTotal))) parameters, "
        + "\(counted(Double(estimate.model.parametersActive))) active; "
        + "\(estimate.model.flopsPerTokenCausal.shown) a token causal, \(estimate.model.flopsPerTokenFull.shown) full"
    )
    lines += row(
      "cluster",
      "\(estimate.cluster.name): \(grouped(estimate.cluster.gpus)) × \(estimate.cluster.gpu) in "
        + "\(grouped(estimate.cluster.nodes)) \(estimate.cluster.nodes == 1 ? "node" : "nodes")")
    lines += row(
      "plan",
      "\(plan.name): \(plan.degrees); \(plan.schedule), \(grouped(plan.microBatches)) micro-batches of "
        + "\(plan.microBatch) × \(grouped(plan.sequence)) tokens a pipeline")
    lines += row("", "recompute \(plan.recompute); \(plan.precision)")
    return lines
  }

  /// A title in the first column, text folded in the second.
  private func row(_ title: String, _ text: String) -> [String] {
    let indent = 12
    return fold(text, width: Self.width - indent).enumerated().map { index, line in
      (index == 0 ? "  " + title : "").padded(to: indent) + line
    }
  }

  // MARK: Step

  private var stepParts: [String] {
    let step = estimate.step
    var rows = step.parts.named.map { (title: $0.part.title, time: $0.time, ink: style.ink(of: $0.part)) }
    let rest = step.length - step.parts.sum
    if step.share(of: rest) > Estimate.Step.negligible { rows.append(("not attributed", rest, .grey)) }
    let note = "\(step.length.shown) for \(grouped(step.tokens)) tokens"
    return [heading("Step", note)] + rows.map { share(of: $0.time, $0.title, $0.ink) }
  }

  /// A time with its share of the step, as figures and as a bar.
  private func share(of time: Span, _ title: String, _ ink: TerminalStyle.Ink) -> String {
    let step = estimate.step
    let share = step.share(of: time)
    let name = title.count > 31 ? String(title.prefix(30)) + "…" : title
    let figures = time.shown(beside: step.length).padded(to: 9, .right) + percent(share).padded(to: 9, .right)
    return trimmingEnd("  " + name.padded(to: 32) + figures + "  " + style(bar(share: share, width: 26), ink))
  }

  private var contributions: [String] {
    let step = estimate.step
    func block(_ title: String, _ note: String, _ items: [Estimate.Contribution], _ ink: TerminalStyle.Ink)
      -> [String]
    {
      items.isEmpty ? [] : [heading(title, note)] + items.map { share(of: $0.time, $0.kind, ink) }
    }
    let exposed = block(
      "Exposed communication", "mean over ranks, share of the step", step.exposedCommunication, .red)
    let path = block("Critical path", "what sets the step's length", step.criticalPath, .blue)
    return exposed + (exposed.isEmpty || path.isEmpty ? [] : [""]) + path
  }

  // MARK: Experts

  private var experts: [String] {
    guard let experts = estimate.experts else { return [] }
    var table = TextTable(
      [
        .init("", folds: true), .init("worst layer", .right), .init("mean layer", .right),
        .init("step", .right),
        .init("against balanced", .right),
      ], indent: 2)
    for row in experts.cases {
      table.append([
        row.name, "\(fixed(row.worstLoad, decimals: 2)) (\(row.worstLayer))",
        fixed(row.meanLoad, decimals: 2),
        row.step.shown, signedPercent(experts.added(by: row) / experts.balanced.exactSeconds),
      ])
    }
    table.append(["balanced", "1.00", "1.00", experts.balanced.shown, ""])
    return [heading("Experts", "\(experts.routing); rows of the fullest rank over the mean")] + table.lines()
      + (experts.wonBack.map { folded($0) } ?? [])
  }

  // MARK: Throughput

  private var throughput: [String] {
    let rates = estimate.throughput
    var table = TextTable(
      [.init(""), .init("causal", .right), .init("full attention", .right), .init("rule", folds: true)],
      indent: 2)
    table.append([
      "model FLOPS a GPU", rates.perGPUCausal.shown, rates.perGPUFull.shown, rates.numerator,
    ])
    table.append([
      "MFU", percent(rates.utilisationCausal.value, decimals: 2),
      percent(rates.utilisationFull.value, decimals: 2),
      "of \(rates.denominator)",
    ])
    let tokens =
      "\(counted(rates.tokensPerSecond)) tokens/s, \(significant(rates.tokensPerSecondPerGPU, digits: 4)) a GPU, "
      + "\(counted(rates.tokensPerDay)) a day"
    return [heading("Throughput", tokens)] + table.lines()
  }

  // MARK: Memory

  private var memory: [String] {
    let memory = estimate.memory
    let verdict =
      memory.fits
      ? style("fits", .green) + ": \((memory.capacity - memory.peak).shown) to spare"
      : style("does not fit", .red) + ": \((memory.peak - memory.capacity).shown) too much"
    let width = 54
    let scale = Double(max(memory.peak, memory.capacity).count)
    let limit = Int((Double(memory.capacity.count) / scale * Double(width)).rounded())
    var lines = [
      heading("Memory"),
      "  fullest is rank \(memory.worst.pipelineRank): \(memory.peak.shown) of \(memory.capacity.shown), \(verdict)",
    ]
    for rank in memory.ranks {
      let counts = segments(rank.named.map { Double($0.size.count) }, scale: scale, width: width)
      var text = ""
      var length = 0
      for ((part, _), count) in zip(rank.named, counts) {
        text += style(String(repeating: part.letter, count: count), style.ink(of: part))
        length += count
      }
      if length < limit { text += style(String(repeating: "·", count: limit - length), .grey) + "│" }
      lines.append(
        "  rank" + String(rank.pipelineRank).padded(to: 3, .right) + "  " + text.padded(to: width + 2)
          + (rank.total > memory.capacity
            ? style(rank.total.shown.padded(to: 10, .right), .red)
            : rank.total.shown.padded(to: 10, .right)))
    }
    let legend = Estimate.MemoryPart.allCases.map { "\($0.letter) \($0.rawValue)" }.joined(separator: "  ")
    return lines + ["  " + style(legend, .grey)]
  }

  // MARK: Run and cost

  private var runAndCost: [String] {
    let run = estimate.run
    var table = TextTable([.init(""), .init("", .right), .init("", folds: true)], indent: 2)
    table.append(["tokens", counted(Double(run.tokens)), ""])
    table.append(["time", days(run.days), "at this rate all along, without failures or restarts"])
    table.append(["GPU-hours", counted(run.gpuHours.value), ""])
    table.append(["GPU-hours per 10¹² tokens", counted(run.gpuHoursPerTrillionTokens.value), ""])
    if let cost = estimate.cost {
      let price = cost.price
      table.append([
        "cost", cost.total.shown,
        "at $\(fixed(price.value.value, decimals: 2)) a GPU-hour \(price.tag.mark) \(price.source)",
      ])
    } else {
      table.append(["cost", "unknown", "no price a GPU-hour was given"])
    }
    return [heading("Run and cost")] + table.lines()
  }

  /// Sources stand below, numbered: most rows share one.
  private var comparisons: [String] {
    guard !estimate.comparisons.isEmpty else { return [] }
    var table = TextTable(
      [
        .init(""), .init("predicted", .right), .init("published", .right), .init("error", .right),
        .init("source", .right),
      ], indent: 2)
    var sources: [String] = []
    for row in estimate.comparisons {
      let known = sources.firstIndex(of: row.source)
      if known == nil { sources.append(row.source) }
      table.append([
        row.what + (row.unit.isEmpty ? "" : ", " + row.unit), row.shown(row.predicted),
        row.shown(row.published),
        signedPercent(row.error), "[\((known ?? sources.count - 1) + 1)]",
      ])
    }
    let notes = sources.enumerated().flatMap { index, source in
      fold("[\(index + 1)] \(source)", width: 78).enumerated().map { ($0 == 0 ? "  " : "      ") + $1 }
    }
    return [heading("Beside the published figures")] + table.lines() + notes
  }

  // MARK: What it rests on

  private var assumptions: [String] {
    guard !estimate.assumptions.isEmpty else { return [] }
    var table = TextTable(
      [.init(""), .init("", folds: true), .init("", .right), .init("", folds: true)], indent: 2)
    for row in estimate.assumptions { table.append([row.tag.mark, row.what, row.value ?? "", row.source]) }
    return [heading("What was assumed", Tag.legend)] + table.lines()
  }

  private var provenance: [String] {
    let provenance = estimate.provenance
    var table = TextTable([.init(""), .init("", folds: true), .init("")], indent: 2)
    for input in provenance.inputs {
      table.append([input.name, input.pathOrShippedName, "sha256 " + String(input.sha256.prefix(16))])
    }
    return [heading("Inputs", "rehearse \(provenance.version), seed \(provenance.seed)")] + table.lines()
  }
}
