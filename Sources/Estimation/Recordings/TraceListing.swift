import Documents
import Reports
import Traces
import Units

/// The summary of a recording as `rehearse trace summary` prints it.
public struct TraceListing: Sendable {
  public let analysis: TraceAnalysis
  /// Where a Chakra trace was read, what its nodes are.
  public let graph: ChakraSummary?
  /// Findings that only one format allows, as sentences.
  public let findings: [String]

  public init(_ analysis: TraceAnalysis, graph: ChakraSummary? = nil, findings: [String] = []) {
    self.analysis = analysis
    self.graph = graph
    self.findings = findings
  }

  // MARK: Text

  /// Lines of at most 100 characters.
  public func text() -> String {
    let recording = analysis.recording
    var lines = [heading(recording), ""]
    lines += timeLines()
    lines += kindLines() + transferLines() + standingLines() + pathLines() + loadLines() + stepLines()
    if let graph { lines += graphLines(graph) }
    if !findings.isEmpty { lines += [""] + findings.flatMap { folded($0) } }
    lines += noteLines(recording)
    return lines.joined(separator: "\n") + "\n"
  }

  private func heading(_ recording: Recording) -> String {
    let ranks = recording.ranks.count
    let world = recording.worldSize.map { " of \($0)" } ?? ""
    return
      "\(recording.format.rawValue): \(ranks == 1 ? "rank \(recording.ranks[0].rank)" : "\(ranks) ranks")\(world)"
  }

  private func timeLines() -> [String] {
    let total = analysis.total
    var table = TextTable([.init(""), .init("", .right), .init("", .right), .init("")], width: 100)
    func row(_ name: String, _ counted: CountedTime, _ note: String = "") {
      let isKnown = counted.count == 0 || counted.untimed < counted.count
      table.append([name, grouped(counted.count), isKnown ? microseconds(counted.time) : "?", note])
    }
    row("kernels", total.kernels, analysis.ranks.count > 1 ? "sums over ranks" : "")
    row("  computation", total.compute)
    row(
      "  communication", total.communication,
      total.overlapPercent.map { "\(fixed($0, decimals: 3)) % of it beside other kernels" } ?? "")
    row("copies and fills", total.memory)
    if let span = total.span {
      let ranks = Double(max(1, analysis.ranks.filter { $0.span != nil }.count))
      let idle = span.seconds * ranks - total.busy.seconds
      table.append(["span", "", microseconds(span), analysis.ranks.count > 1 ? "of the longest rank" : ""])
      table.append(["busy", "", microseconds(total.busy), "something ran"])
      if analysis.ranks.count == 1 {
        table.append(["idle", "", microseconds(Span(modelled: max(0, idle))), ""])
      }
      table.append(["exposed communication", "", microseconds(total.exposed), "no other kernel ran"])
    }
    return table.lines()
  }

  private func kindLines() -> [String] {
    guard !analysis.total.byKind.isEmpty else { return [] }
    var table = TextTable(
      [
        .init("communication"), .init("type"), .init("ranks", .right), .init("group"), .init("count", .right),
        .init("time", .right), .init("bytes", .right),
      ], width: 100)
    for kind in analysis.total.byKind {
      table.append([
        kind.kind.rawValue, kind.dataType ?? "-", kind.groupSize.map(String.init) ?? "?",
        groupName(kind.group),
        grouped(kind.total.count),
        kind.total.untimed == kind.total.count ? "?" : microseconds(kind.total.time),
        kind.bytes.map { grouped(Int($0)) } ?? "?",
      ])
    }
    return [""] + table.lines()
  }

  private func groupName(_ group: Int32) -> String {
    guard group >= 0 else { return "?" }
    let group = analysis.recording.groups[Int(group)]
    return group.description.isEmpty ? group.name : "\(group.name) \(group.description)"
  }

  private func transferLines() -> [String] {
    let compared = analysis.comparison.transfers.filter { $0.compared > 0 || $0.algorithmBandwidth != nil }
    guard !compared.isEmpty else { return [] }
    var table = TextTable(
      [
        .init("operation"), .init("ranks", .right), .init("size", .right), .init("count", .right),
        .init("transfer", .right), .init("waiting", .right), .init("algbw GB/s", .right),
        .init("busbw GB/s", .right),
      ], width: 100)
    for transfer in compared.prefix(24) {
      let isCompared = transfer.compared > 0
      table.append([
        transfer.kind.rawValue, transfer.groupSize.map(String.init) ?? "?",
        transfer.size.map { grouped(Int($0)) } ?? "?", grouped(transfer.operations),
        isCompared ? microseconds(transfer.transfer) : "?", isCompared ? microseconds(transfer.waiting) : "?",
        gigabytes(transfer.algorithmBandwidth), gigabytes(transfer.busBandwidth),
      ])
    }
    var lines = [""] + table.lines()
    if compared.count > 24 { lines.append("and \(compared.count - 24) more kinds and sizes") }
    let totals = analysis.comparison.comparedTotals
    if totals.recorded > .zero {
      let share = 1 - totals.transfer.seconds / totals.recorded.seconds
      lines += folded(
        "\(fixed(100 * share, decimals: 1)) % of communication that several ranks recorded was waiting for the last "
          + "of them"
      )
    } else {
      lines.append("one rank alone: what of these times was waiting cannot be told")
    }
    return lines
  }

  private func standingLines() -> [String] {
    let standings = analysis.comparison.standings.filter { $0.collectives > 0 }
    guard standings.count > 1 else { return [] }
    var table = TextTable(
      [
        .init("rank", .right), .init("computation", .right), .init("waited", .right),
        .init("last at", .right),
        .init("kept others waiting", .right),
      ], width: 100)
    let worst = standings.sorted { ($1.keptOthersWaiting, $0.rank) < ($0.keptOthersWaiting, $1.rank) }
    for standing in worst.prefix(16) {
      table.append([
        "\(standing.rank)", microseconds(standing.compute), microseconds(standing.waiting),
        "\(standing.timesLast) of \(standing.collectives)", microseconds(standing.keptOthersWaiting),
      ])
    }
    var lines = [""] + table.lines()
    if worst.count > 16 { lines.append("and \(worst.count - 16) ranks more, which kept others waiting less") }
    return lines
  }

  private func pathLines() -> [String] {
    let path = analysis.criticalPath
    guard path.total > .zero else { return [] }
    let parts = zip(CriticalEvent.Part.allCases, path.byPart).filter { $0.1 > .zero }.map { part, time in
      "\(part.rawValue) \(microseconds(time)) (\(fixed(100 * time.seconds / path.total.seconds, decimals: 1)) %)"
    }
    var lines = ["", "critical path \(microseconds(path.total)): " + parts.joined(separator: ", ")]
    if analysis.recording.ranks.count > 1 {
      let ranks = path.byRank.indices.filter { path.byRank[$0] > .zero }
        .sorted { (path.byRank[$1], $0) < (path.byRank[$0], $1) }.prefix(6)
      lines.append(
        "  through "
          + ranks.map { "rank \(analysis.recording.ranks[$0].rank) \(microseconds(path.byRank[$0]))" }
          .joined(separator: ", ") + "; \(path.handovers) handovers")
    }
    return lines.flatMap { $0.isEmpty ? [""] : folded($0) }
  }

  private func loadLines() -> [String] {
    analysis.comparison.expertLoads.map { load in
      "uneven exchanges of group \(groupName(load.group)): \(load.exchanges); the fullest rank "
        + "(\(load.fullestRank)) gets "
        + "\(fixed(load.meanImbalance, decimals: 2)) times the mean, in the worst exchange "
        + "\(fixed(load.worstImbalance, decimals: 2)) times"
    }.flatMap { [""] + folded($0) }
  }

  private func stepLines() -> [String] {
    let steps = analysis.steps
    guard let first = steps.first, let last = steps.last else { return [] }
    let mean = steps.reduce(0.0) { $0 + Span(picoseconds: $1.duration).seconds } / Double(steps.count)
    let length = microseconds(Span(modelled: max(0, mean)))
    return [
      "",
      steps.count == 1
        ? "1 step, number \(first.number), \(length)"
        : "\(steps.count) steps, \(first.number) to \(last.number), \(length) on average",
    ]
  }

  private func graphLines(_ graph: ChakraSummary) -> [String] {
    let types = graph.byType.map { "\($0.type) \(grouped($0.count))" }.joined(separator: ", ")
    return [
      "", "nodes: \(types)",
      "dependencies: data \(grouped(graph.dataDependencies)), control \(grouped(graph.controlDependencies)), dangling "
        + grouped(graph.danglingDependencies),
    ]
  }

  private func noteLines(_ recording: Recording) -> [String] {
    var lines: [String] = []
    var omissions: [(reason: String, count: Int)] = []
    for omission in recording.omissions {
      if let index = omissions.firstIndex(where: { $0.reason == omission.reason }) {
        omissions[index].count += omission.count
      } else {
        omissions.append((omission.reason, omission.count))
      }
    }
    if !omissions.isEmpty { lines += ["", "not imported:"] }
    for omission in omissions { lines.append("  \(grouped(omission.count)) \(omission.reason)") }
    if !recording.notes.isEmpty { lines.append("") }
    for note in gathered(recording.notes) { lines += folded("note: \(note)") }
    return lines
  }

  private func folded(_ text: String) -> [String] { fold(text, width: 80) }

  private func microseconds(_ span: Span) -> String { "\(shown(span.microseconds)) us" }

  private func shown(_ microseconds: Double) -> String {
    guard microseconds < 9e11 else { return "\(microseconds)" }
    let text = fixed(microseconds, decimals: 1)
    let whole = Int(text.prefix { $0 != "." }) ?? 0
    return grouped(whole) + text.drop { $0 != "." }
  }

  private func gigabytes(_ rate: BytesPerSecond?) -> String {
    rate.map { significant($0.value * 1e-9, digits: 4) } ?? "?"
  }
}
