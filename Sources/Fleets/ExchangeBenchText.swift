import Foundation
import Units

extension ExchangeBench {
  /// Both tables as DeepEP's README has them, and what each stage of a row's way was busy, in 80 columns.
  public func text() -> String {
    var text = "\(clusterName): dispatch and combine alone, as flows\n"
    if !normal.isEmpty { text += normalText() + "\n" + usesText() }
    if !lowLatency.isEmpty { text += "\n" + lowLatencyText() }
    return text
  }

  private func normalText() -> String {
    var rows = [
      ["#", "EP", "type", "time", "logical", "published", "error", "NIC", "NVLink"],
      ["#", "", "", "(us)", "(GB/s)", "(GB/s)", "", "(GB/s)", "(GB/s)"],
    ]
    for row in normal {
      rows.append([
        row.isCombine ? "combine" : "dispatch", "\(row.expertParallel)", row.isWithinNode ? "NVLink" : "RDMA",
        fixed(row.study.time.microseconds, 0), gigabytes(row.bandwidth), row.published.map(gigabytes) ?? "-",
        percent(row.error), row.isWithinNode ? "-" : gigabytes(row.study.physicalCardBandwidth),
        gigabytes(row.study.physicalLinkBandwidth),
      ])
    }
    return """

      # normal kernels: 4096 tokens, hidden 7168, top-8 of 256 in at most 4 nodes
      # logical: DeepEP's bottleneck bandwidth; rows for the own node and GPU count
      # NIC, NVLink: physical, what wires carry; their peaks are \(gigabytes(cardPeak)) and \(gigabytes(nvlinkPeak))
      \(aligned(rows))
      """
  }

  private func usesText() -> String {
    var rows = [["#", "EP", "RDMA rings", "card", "NVLink", "slowest"]]
    for row in normal {
      func share(_ stage: ExchangeStudy.Stage) -> String {
        row.study.use(stage).map { fixed($0.fullest.value * 100, 0) + " %" } ?? "-"
      }
      rows.append([
        row.isCombine ? "combine" : "dispatch", "\(row.expertParallel)", share(.rings), share(.card),
        share(.nvlink), row.study.bottleneck.rawValue,
      ])
    }
    return """
      # share of the time that the fullest of each is busy: rings and NVLink at
      # their kernels' calibrated rates, cards at their peak
      \(aligned(rows))
      """
  }

  private func lowLatencyText() -> String {
    var rows = [
      ["#", "EP", "time", "published", "error", "logical", "NIC", "card busy"],
      ["#", "", "(us)", "(us)", "", "(GB/s)", "(GB/s)", "mean, most"],
    ]
    for row in lowLatency {
      rows.append([
        row.isCombine ? "combine" : "dispatch", "\(row.expertParallel)",
        fixed(row.study.latency.microseconds, 1), row.published.map { fixed($0.microseconds, 0) } ?? "-",
        percent(row.error), gigabytes(row.study.logicalBandwidth), gigabytes(row.study.physicalBandwidth),
        "\(fixed(row.study.meanUse.value * 100, 0)), \(fixed(row.study.fullestUse.value * 100, 0)) %",
      ])
    }
    return """
      # low-latency kernels: 128 tokens, hidden 7168, top-8 of 256, all over cards
      # logical: all choices, as DeepEP prints them; NIC: without the own GPU's
      \(aligned(rows))
      """
  }

  /// The same as JSON: picoseconds, bytes per second, shares.
  public func json() -> String {
    let normal = normal.map { row -> String in
      let uses = row.study.uses.map {
        "\"\($0.stage.rawValue)\": {\"mean\": \(number($0.mean.value)), \"most\": \(number($0.fullest.value))}"
      }
      return "    {\"expert_parallel\": \(row.expertParallel), \"kernel\": \"\(kernel(row.isCombine))\", "
        + "\"time_ps\": \(row.study.time.picoseconds), \"bottleneck_bandwidth\": \(whole(row.bandwidth)), "
        + "\"published\": \(row.published.map(whole) ?? "null"), "
        + "\"rdma_logical\": \(row.isWithinNode ? "null" : whole(row.study.logicalCardBandwidth)), "
        + "\"rdma_physical\": \(row.isWithinNode ? "null" : whole(row.study.physicalCardBandwidth)), "
        + "\"nvlink_logical\": \(whole(row.study.logicalLinkBandwidth)), "
        + "\"nvlink_physical\": \(whole(row.study.physicalLinkBandwidth)), "
        + "\"bottleneck\": \"\(row.study.bottleneck.rawValue)\", \"busy\": {\(uses.joined(separator: ", "))}}"
    }
    let low = lowLatency.map { row in
      "    {\"expert_parallel\": \(row.expertParallel), \"kernel\": \"\(kernel(row.isCombine))\", "
        + "\"time_ps\": \(row.study.latency.picoseconds), "
        + "\"published_ps\": \(row.published.map { "\($0.picoseconds)" } ?? "null"), "
        + "\"rdma_logical\": \(whole(row.study.logicalBandwidth)), "
        + "\"rdma_physical\": \(whole(row.study.physicalBandwidth)), "
        + "\"card_busy\": {\"mean\": \(number(row.study.meanUse.value)), "
        + "\"most\": \(number(row.study.fullestUse.value))}}"
    }
    return "{\n  \"normal\": [\n" + normal.joined(separator: ",\n") + "\n  ],\n  \"low_latency\": [\n"
      + low.joined(separator: ",\n") + "\n  ]\n}\n"
  }

  private func kernel(_ isCombine: Bool) -> String { isCombine ? "combine" : "dispatch" }
  private func whole(_ rate: BytesPerSecond) -> String { "\(Int64(rate.value.rounded()))" }
  private func number(_ share: Double) -> String { fixed(share, 4) }
  private func gigabytes(_ rate: BytesPerSecond) -> String { fixed(rate.value / 1e9, 1) }
  private func percent(_ error: Double?) -> String {
    error.map { ($0 < 0 ? "" : "+") + fixed($0 * 100, 1) + " %" } ?? "-"
  }
  private func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

  /// The first column to the left, the others to the right.
  private func aligned(_ rows: [[String]]) -> String {
    let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let blanks = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + blanks : blanks + cell
      }
      let line = cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n") + "\n"
  }
}
