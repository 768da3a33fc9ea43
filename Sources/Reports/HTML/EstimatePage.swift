import Documents
import Foundation
import Mustache
import Units

/// The estimate as one page that needs no other file and no network.
///
/// - Throws: A `Diagnostic` with status `internal` when the page's template is missing or broken.
public func html(_ estimate: Estimate) throws -> String {
  try template(named: "estimate").render(EstimatePage(estimate: estimate).context())
}

/// What the template asks for, by the template's names. Text is escaped by the template, drawings escape
/// themselves.
struct EstimatePage {
  let estimate: Estimate

  func context() throws -> [String: Any] {
    var context: [String: Any] = [
      "palette": try resource("palette", "css"),
      "title": estimate.title,
      "sentence": estimate.sentence,
      "model_source": estimate.model.source,
      "tiles": tiles,
      "parts_bars": partsBars,
      "parts_legend": partsLegend,
      "parts_table": partsTable,
      "contributions": contributions,
      "throughput": throughput,
      "numerator": estimate.throughput.numerator,
      "denominator": estimate.throughput.denominator,
      "memory_bars": memoryBars,
      "memory_legend": Estimate.MemoryPart.allCases.map { ["class": "m-" + $0.rawValue, "name": $0.title] },
      "memory_sentence": memorySentence,
      "run": run,
      "settings": settings,
      "tags": Tag.allCases.map { ["mark": $0.mark, "name": $0.rawValue, "meaning": $0.meaning] },
      "version": estimate.provenance.version,
      "seed": String(estimate.provenance.seed),
      "inputs": estimate.provenance.inputs.map {
        ["name": $0.name, "path": $0.pathOrShippedName, "sha256": $0.sha256]
      },
    ]
    // Absent keys hide their sections; an empty list inside one would still show its heading.
    context["pipeline"] = pipeline
    context["comparison"] = estimate.comparisons.isEmpty ? nil : ["rows": comparisons]
    context["assumption"] = estimate.assumptions.isEmpty ? nil : ["rows": assumptions]
    return context
  }

  // MARK: Headline

  private var tiles: [[String: String]] {
    let throughput = estimate.throughput
    let run = estimate.run
    let memory = estimate.memory
    var tiles = [
      tile("Run", days(run.days), "\(counted(Double(run.tokens))) tokens"),
      tile(
        "GPU-hours", counted(run.gpuHours.value),
        "\(counted(run.gpuHoursPerTrillionTokens.value)) per 10¹² tokens"),
    ]
    if let cost = estimate.cost {
      tiles.append(
        tile(
          "Cost", cost.total.shown,
          "$\(fixed(cost.price.value.value, decimals: 2)) a GPU-hour \(cost.price.tag.mark)"))
    }
    tiles += [
      tile("Step", estimate.step.length.shown, "\(counted(Double(estimate.step.tokens))) tokens"),
      tile(
        "MFU, causal", percent(throughput.utilisationCausal.value),
        "\(throughput.perGPUCausal.shown) a GPU"),
      tile(
        memory.fits ? "Memory" : "Memory: does not fit", memory.peak.shown, "of \(memory.capacity.shown)",
        isBad: !memory.fits),
    ]
    return tiles
  }

  private func tile(_ name: String, _ value: String, _ note: String, isBad: Bool = false) -> [String: String]
  {
    ["name": name, "value": value, "note": note, "class": isBad ? "tile bad" : "tile"]
  }

  // MARK: Drawings

  private var pipeline: [String: Any]? {
    guard let picture = estimate.picture, !picture.rows.isEmpty, picture.length > .zero else { return nil }
    let length = max(estimate.step.length, picture.length)
    let drawing = PipelineDrawing(picture: picture)
    let windows = drawing.windows(length: length)
    return [
      "whole": drawing.whole(length: length, marking: windows).html,
      "legend": drawing.legend.map { ["class": $0.rawValue, "name": $0.title] },
      "ranks": String(picture.rows.count),
      "zooms": windows.map {
        ["drawing": drawing.enlarged($0).html, "name": $0.name, "length": ($0.end - $0.start).shown]
      },
    ]
  }

  private var partsLegend: [[String: String]] {
    Estimate.StepPart.allCases.map { ["class": "p-" + $0.rawValue, "name": $0.title] }
  }

  private var partsBars: String {
    let step = estimate.step
    func row(_ label: String, _ parts: Estimate.Parts, isMean: Bool) -> StackedBars.Row {
      .init(
        label: label,
        parts: parts.named.map { part, time in
          .init(
            amount: time.exactSeconds, class: "p-" + part.rawValue,
            title: "\(label), \(part.title): \(time.shown), \(percent(step.share(of: time))) of the step",
            inside: isMean ? time.shown(beside: step.length) : nil)
        },
        value: percent(1 - step.share(of: parts.bubble)), isEmphasised: isMean)
    }
    var rows = [row("mean", step.parts, isMean: true)]
    rows += step.ranks.enumerated().map { row("rank \($0)", $1, isMean: false) }
    let longest = ([step.parts] + step.ranks).map(\.sum).max() ?? .zero
    return StackedBars(
      identifier: "parts", title: "Where a step's time goes",
      description: "Stacked bars of seconds for the mean and for each of \(step.ranks.count) pipeline ranks; "
        + "the number at the right is the share of the step that is not bubble. "
        + step.parts.named.map { "\($0.part.title) \($0.time.shown)" }.joined(separator: ", ") + ".",
      rows: rows, scale: max(longest, step.length).exactSeconds, unit: ("s", 1)
    ).html
  }

  private var partsTable: [[String: String]] {
    let step = estimate.step
    var rows = step.parts.named.map { part, time in
      [
        "class": "p-" + part.rawValue, "name": part.title, "time": time.shown(beside: step.length),
        "share": percent(step.share(of: time)),
      ]
    }
    let rest = step.length - step.parts.sum
    if step.share(of: rest) > Estimate.Step.negligible {
      rows.append([
        "class": "idle", "name": "not attributed", "time": rest.shown(beside: step.length),
        "share": percent(step.share(of: rest)),
      ])
    }
    return rows
  }

  /// Exposed communication and the critical path, as two small drawings.
  private var contributions: [[String: String]] {
    let step = estimate.step
    func block(
      _ identifier: String, _ title: String, _ note: String, _ items: [Estimate.Contribution], _ name: String
    )
      -> [String: String]?
    {
      guard let longest = items.map(\.time).max(), longest > .zero else { return nil }
      let bars = StackedBars(
        identifier: identifier, title: title,
        description: note + ": " + items.map { "\($0.kind) \($0.time.shown)" }.joined(separator: ", ") + ".",
        rows: items.map { item in
          .init(
            label: item.kind,
            parts: [
              .init(amount: item.time.exactSeconds, class: name, title: "\(item.kind): \(item.time.shown)")
            ],
            value: "\(item.time.shown(beside: step.length)) · \(percent(step.share(of: item.time)))")
        },
        scale: longest.exactSeconds, unit: nil)
      return ["title": title, "note": note, "bars": bars.html]
    }
    let exposed = block(
      "exposed", "Exposed communication", "what no computation hides, mean over ranks",
      step.exposedCommunication,
      "dispatch")
    let path = block(
      "path", "Critical path", "the chain of tasks that sets the step's length", step.criticalPath,
      "p-forward")
    return [exposed, path].compactMap { $0 }
  }

  private var memoryBars: String {
    let memory = estimate.memory
    let gibibyte = 0x1p30
    return StackedBars(
      identifier: "memory", title: "Memory by pipeline rank",
      description: memorySentence,
      rows: memory.ranks.map { rank in
        .init(
          label: "rank \(rank.pipelineRank)",
          parts: rank.named.map { part, size in
            .init(
              amount: Double(size.count), class: "m-" + part.rawValue,
              title: "rank \(rank.pipelineRank), \(part.title): \(size.shown)")
          },
          value: rank.total.shown, isWarning: rank.total > memory.capacity)
      },
      scale: Double(max(memory.peak, memory.capacity).count) * 1.02, unit: ("GiB", gibibyte),
      mark: (Double(memory.capacity.count), "capacity \(memory.capacity.shown)")
    ).html
  }

  private var memorySentence: String {
    let memory = estimate.memory
    let verdict =
      memory.fits
      ? "it fits with \((memory.capacity - memory.peak).shown) to spare"
      : "that is \((memory.peak - memory.capacity).shown) too much"
    return "The fullest GPU is on pipeline rank \(memory.worst.pipelineRank): \(memory.peak.shown) "
      + "of \(memory.capacity.shown); \(verdict)."
  }
}
