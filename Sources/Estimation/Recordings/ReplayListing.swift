import Documents
import Replaying
import Reports
import Timing
import Traces
import Units

extension ReplayStudy {
  /// Lines of at most 100 characters.
  public func text() -> String {
    var lines = [
      "\(recording.format.rawValue), \(base.imported.program.ranks) ranks on \(place(clusterName))", "",
    ]
    lines += stepLines()
    for sentence in stragglers?.sentences ?? [] { lines += fold(sentence, width: 80) }
    lines += [""] + kindLines(report, "replayed on \(place(clusterName))")
    lines += linkLines(report) + cableLines(traffic)
    if let changedReport {
      lines +=
        ["", "with the changes:"] + kindLines(changedReport, "replayed on \(place(changedClusterName))")
      lines += linkLines(changedReport) + cableLines(changedTraffic)
    }
    lines.append("")
    for note in unique(notes) { lines += fold("note: \(note)", width: 80) }
    return lines.joined(separator: "\n") + "\n"
  }

  private func place(_ name: String?) -> String { name ?? "the recording's own network" }

  private func unique(_ notes: [String]) -> [String] { gathered(notes) }

  private func stepLines() -> [String] {
    var table = TextTable(
      [
        .init(""), .init("step", .right), .init("computing", .right), .init("exposed", .right),
        .init("idle", .right),
        .init(""),
      ], width: 100)
    let recorded = report.recordedStep
    if let recorded { table.append(["recorded", milliseconds(recorded), "", "", "", ""]) }
    func row(_ name: String, _ report: ReplayReport, beside other: Span?) {
      let change = other.map { $0 > .zero ? signed(report.step.seconds / $0.seconds - 1) : "" } ?? ""
      table.append([
        name, milliseconds(report.step), milliseconds(report.computing), milliseconds(report.exposed),
        milliseconds(report.idle), change,
      ])
    }
    row("replayed", report, beside: recorded)
    if let changedReport { row("with the changes", changedReport, beside: report.step) }
    if let pair {
      table.append(["the same pair, lowered and simulated", milliseconds(pair), "", "", "", ""])
    }
    return table.lines() + ["times of a rank are means over all ranks"]
  }

  private func signed(_ share: Double) -> String {
    (share < 0 ? "" : "+") + fixed(100 * share, decimals: 2) + " %"
  }

  private func kindLines(_ report: ReplayReport, _ title: String) -> [String] {
    guard !report.kinds.isEmpty else { return ["no communication between ranks"] }
    var table = TextTable(
      [
        .init("of a rank"), .init("group"), .init("ranks", .right), .init("count", .right),
        .init("sent", .right),
        .init("recorded", .right), .init("transfer", .right), .init("replayed", .right),
        .init("waiting", .right),
      ], width: 110)
    for kind in report.kinds {
      table.append([
        kind.kind.rawValue, kind.group, "\(kind.groupSize)", significant(kind.operations, digits: 4),
        kind.hasBytes ? amount(kind.bytesSent) : "?", milliseconds(kind.recorded),
        kind.recordedTransfer.map(milliseconds) ?? "?",
        milliseconds(kind.replayedTransfer), milliseconds(kind.replayedWaiting),
      ])
    }
    return table.lines()
      + fold("recorded, of it transfer (shortest over ranks); \(title), and its waiting", width: 80)
  }

  private func linkLines(_ report: ReplayReport) -> [String] {
    guard !report.busiest.isEmpty else { return [] }
    var table = TextTable(
      [
        .init("busiest links"), .init("bytes", .right), .init("use", .right),
        .init("mean bytes of a GPU", .right),
      ],
      width: 100)
    for link in report.busiest {
      table.append([
        "rank \(link.rank) \(link.link.word)", amount(link.bytes),
        fixed(100 * link.utilization, decimals: 2) + " %",
        amount(report.bytesOfLink[link.link.rawValue]),
      ])
    }
    return [""] + table.lines()
  }

  private func cableLines(_ traffic: FabricTraffic?) -> [String] {
    guard let traffic, !traffic.busiest.isEmpty else { return [] }
    var table = TextTable(
      [.init("busiest cables"), .init("bytes", .right), .init("use", .right)], width: 100)
    for cable in traffic.busiest {
      table.append([cable.name, amount(cable.bytes), fixed(100 * cable.utilization, decimals: 2) + " %"])
    }
    return [""] + table.lines()
  }

  private func cables(_ traffic: FabricTraffic?) -> Value {
    guard let traffic else { return .null }
    return .list(
      traffic.busiest.map { cable in
        .mapping([
          .init("cable", .text(cable.name)), .init("bytes", .number(cable.bytes.rounded())),
          .init("utilization", .number(cable.utilization)),
        ])
      })
  }

  private func milliseconds(_ span: Span) -> String { significant(span.milliseconds, digits: 5) + " ms" }

  private func amount(_ bytes: Double) -> String {
    let (scale, unit) =
      bytes >= 1e9 ? (1e-9, "GB") : bytes >= 1e6 ? (1e-6, "MB") : bytes >= 1e3 ? (1e-3, "kB") : (1, "B")
    return significant(bytes * scale, digits: 4) + " " + unit
  }

  // MARK: JSON

  /// The same as JSON; what is unknown is null.
  public func jsonText() -> String {
    json(
      .mapping([
        .init("format", .text(recording.format.rawValue)),
        .init("ranks", .integer(base.imported.program.ranks)),
        .init("cluster", clusterName.map(Value.text) ?? .null),
        .init("recorded_step_microseconds", report.recordedStep.map(microseconds) ?? .null),
        .init("replayed", value(report)),
        .init("changed", changedReport.map(value) ?? .null),
        .init("cables", cables(traffic)), .init("changed_cables", cables(changedTraffic)),
        .init("changed_cluster", changed == nil ? .null : changedClusterName.map(Value.text) ?? .null),
        .init("lowered_pair_microseconds", pair.map(microseconds) ?? .null),
        .init("stragglers", stragglers.map(value) ?? .null),
        .init("notes", .list(unique(notes).map(Value.text))),
      ]))
  }

  private func microseconds(_ span: Span) -> Value { .number(Double(span.picoseconds) / 1e6) }

  private func value(_ stragglers: StragglerAnalysis) -> Value {
    .mapping([
      .init("recorded_step_microseconds", microseconds(stragglers.recordedStep)),
      .init("replayed_step_microseconds", microseconds(stragglers.replayedStep)),
      .init("ideal_step_microseconds", microseconds(stragglers.idealStep)),
      .init("slowdown", .number(stragglers.slowdown)),
      .init("worst_stage", stragglers.byStage.first.map { .integer(Int($0.key)) } ?? .null),
    ])
  }

  private func value(_ report: ReplayReport) -> Value {
    .mapping([
      .init("step_microseconds", microseconds(report.step)),
      .init("computing_microseconds", microseconds(report.computing)),
      .init("exposed_microseconds", microseconds(report.exposed)),
      .init("idle_microseconds", microseconds(report.idle)),
      .init(
        "communication",
        .list(
          report.kinds.map { kind in
            .mapping([
              .init("kind", .text(kind.kind.rawValue)), .init("group", .text(kind.group)),
              .init("group_size", .integer(kind.groupSize)), .init("operations", .number(kind.operations)),
              .init("bytes_sent", kind.hasBytes ? .number(kind.bytesSent) : .null),
              .init("recorded_microseconds", microseconds(kind.recorded)),
              .init("recorded_transfer_microseconds", kind.recordedTransfer.map(microseconds) ?? .null),
              .init("replayed_transfer_microseconds", microseconds(kind.replayedTransfer)),
              .init("replayed_waiting_microseconds", microseconds(kind.replayedWaiting)),
            ])
          })),
      .init(
        "links",
        .list(
          report.busiest.map { link in
            .mapping([
              .init("rank", .integer(link.rank)), .init("link", .text(link.link.word)),
              .init("bytes", .number(link.bytes.rounded())), .init("utilization", .number(link.utilization)),
            ])
          })),
      .init(
        "mean_link_bytes",
        .mapping(Link.allCases.map { .init($0.word, .number(report.bytesOfLink[$0.rawValue].rounded())) })),
    ])
  }
}

extension Link {
  fileprivate var word: String {
    switch self {
    case .nvlinkOut: "nvlink_out"
    case .nvlinkIn: "nvlink_in"
    case .nicOut: "nic_out"
    case .nicIn: "nic_in"
    }
  }
}
