import Documents
import Reports
import Traces
import Units

/// Reads recordings and understands them.
///
/// - Parameter steps: Only these profiler steps, as flags write them.
/// - Throws: A `Diagnostic`.
public func traceListing(of files: [String], steps text: String?) throws -> TraceListing {
  let read = try readRecordings(files)
  let recording = try text.map { read.recording.limited(to: try steps($0)) } ?? read.recording
  guard !recording.ranks.isEmpty else {
    throw Diagnostic(
      .usage, "the recording marks no such steps", file: files.first, path: "--steps", found: text)
  }
  return TraceListing(
    TraceAnalysis(recording), graph: ChakraSummary(recording.ranks), findings: read.findings)
}

/// Two recordings beside each other.
public struct TraceDifference: Sendable {
  private struct Row {
    var name: String
    var key: String
    var first: Double?
    var second: Double?
    var isTime: Bool
  }

  private let rows: [Row]

  public init(_ first: TraceListing, _ second: TraceListing) {
    let (a, b) = (first.analysis.total, second.analysis.total)
    var rows: [Row] = []
    func time(_ name: String, _ key: String, _ value: (TraceSummary) -> Span?) {
      rows.append(
        Row(name: name, key: key, first: value(a)?.microseconds, second: value(b)?.microseconds, isTime: true)
      )
    }
    func count(_ name: String, _ key: String, _ value: (TraceSummary) -> Int) {
      rows.append(Row(name: name, key: key, first: Double(value(a)), second: Double(value(b)), isTime: false))
    }
    time("span", "span_microseconds") { $0.span }
    time("busy", "busy_microseconds") { $0.busy }
    count("kernels", "kernels.count") { $0.kernels.count }
    time("kernels", "kernels.microseconds") { $0.kernels.time }
    time("computation", "computation.microseconds") { $0.compute.time }
    time("communication", "communication.microseconds") { $0.communication.time }
    time("exposed communication", "communication.exposed_microseconds") { $0.exposed }
    for kind in CommunicationKind.allCases {
      let (one, other) = (first.analysis.time(of: kind), second.analysis.time(of: kind))
      guard one.count > 0 || other.count > 0 else { continue }
      rows.append(
        Row(
          name: "  \(kind.rawValue), count", key: "\(kind.rawValue).count", first: Double(one.count),
          second: Double(other.count), isTime: false))
      rows.append(
        Row(
          name: "  \(kind.rawValue)", key: "\(kind.rawValue).microseconds", first: one.time.microseconds,
          second: other.time.microseconds, isTime: true))
    }
    self.rows = rows
  }

  public func text() -> String {
    var table = TextTable(
      [.init(""), .init("first", .right), .init("second", .right), .init("change", .right)], width: 100)
    for row in rows {
      func shown(_ value: Double?) -> String {
        guard let value else { return "?" }
        return row.isTime && value < 9e11 ? fixed(value, decimals: 1) + " us" : fixed(value, decimals: 0)
      }
      var change = ""
      if let first = row.first, let second = row.second, first > 0 {
        let share = 100 * (second / first - 1)
        change = (share < 0 ? "" : "+") + fixed(min(share, 1e9), decimals: 1) + " %"
      }
      table.append([row.name, shown(row.first), shown(row.second), change])
    }
    return table.lines().joined(separator: "\n") + "\n"
  }

  public func jsonText() -> String {
    json(
      .mapping(
        rows.map { row in
          .init(
            row.key,
            .mapping([
              .init("first", row.first.map(Value.number) ?? .null),
              .init("second", row.second.map(Value.number) ?? .null),
            ]))
        }))
  }
}
