import Clusters
import Fleets
import Foundation
import Models
import Networks
import Routing
import Testing
import Units

/// DeepEP's normal kernels on H800 as its README had them on its first release: ranks, dispatch, combine in GB/s.
///
/// Calibration: both cells of EP8 (NVLink within a node), EP16 (one rate of NVLink between nodes for both directions),
/// both of EP64 (rings). Predictions: EP32, and that one rate serves both cells of EP16.
private let published: [(ranks: Int, dispatch: Double, combine: Double)] = [
  (8, 153, 158), (16, 43, 43), (32, 44, 47), (64, 46, 45),
]

private let bench = Result {
  try #require(try ExchangeBench(resolveCluster("h800-2048-feb2025").cluster))
}

private func normal(_ ranks: Int, _ isCombine: Bool) throws -> ExchangeBench.NormalRow {
  try #require(try bench.get().normal.first { $0.expertParallel == ranks && $0.isCombine == isCombine })
}

@Suite struct `An exchange alone` {
  @Test(arguments: [8, 16, 32, 64], [false, true])
  func `comes within 8 % of DeepEP's first published bandwidth`(ranks: Int, isCombine: Bool) throws {
    let cell = try #require(published.first { $0.ranks == ranks })
    let expected = isCombine ? cell.combine : cell.dispatch
    let row = try normal(ranks, isCombine)
    #expect(row.published == BytesPerSecond(expected * 1e9))
    #expect(
      abs(row.bandwidth.value / 1e9 / expected - 1) < 0.08, "\(row.bandwidth.value / 1e9) for \(expected)")
  }

  @Test(arguments: [false, true])
  func `of two nodes is held up by NVLink, of more by the rings`(isCombine: Bool) throws {
    let two = try normal(16, isCombine)
    #expect(two.study.bottleneck == .nvlink)
    #expect(try #require(two.study.use(.nvlink)).fullest.value > 0.99)
    #expect(try #require(two.study.use(.card)).fullest.value < 0.5)
    for ranks in [32, 64] {
      let more = try normal(ranks, isCombine)
      #expect(more.study.bottleneck == .rings)
      #expect(try #require(more.study.use(.rings)).fullest.value > 0.97)
      #expect(try #require(more.study.use(.nvlink)).fullest.value < 0.75)
    }
    #expect(try two.bandwidth < normal(32, isCombine).bandwidth)
  }

  @Test(arguments: [8, 16, 32, 64], [false, true])
  func `loses and invents no byte on any stage`(ranks: Int, isCombine: Bool) throws {
    let row = try normal(ranks, isCombine)
    let study = row.study
    let bytes: Int64 = isCombine ? 14336 : 7392
    for stage in study.carried {
      #expect(stage.sent == stage.received)
      let rows: Double =
        switch stage.stage {
        case .rings: study.nodeRows
        case .card: study.remoteRows
        case .nvlink: study.rankRows
        }
      #expect(stage.sent.count == Int64((rows * Double(ranks)).rounded()) * bytes)
    }
    // What went out comes back.
    let back = try normal(ranks, !isCombine).study
    #expect(back.nodeRows == study.nodeRows && back.rankRows == study.rankRows)
    #expect(study.remoteRows <= study.nodeRows && study.linkRows <= study.rankRows)
  }

  @Test func `has bandwidths whose ratios are those of rows`() throws {
    let study = try normal(32, false).study
    let logical = study.logicalCardBandwidth.value
    #expect(abs(study.physicalCardBandwidth.value / logical - study.remoteRows / study.nodeRows) < 1e-12)
    #expect(abs(study.logicalLinkBandwidth.value / logical - study.rankRows / study.nodeRows) < 1e-12)
    // Mean nodes and GPUs of the benchmark's routing, computed apart.
    #expect(abs(study.nodeRows / 4096 - 3.614) < 0.01 && abs(study.rankRows / 4096 - 7.27) < 0.02)
  }

  /// The later table (from release 1.1 on, one queue pair for each channel) has cards in place of the rings.
  @Test(
    arguments: [(16, 43.0, 43.0), (32, 58, 57), (64, 51, 50)], [false, true])
  func `comes within 8 % of the later table with cards at 44 GB/s`(
    cell: (ranks: Int, dispatch: Double, combine: Double), isCombine: Bool
  ) throws {
    let nodes = cell.ranks / 8
    let mixture = Mixture(
      routedExperts: 256, sharedExperts: 0, topK: 8, expertIntermediate: 2048, groups: nodes,
      limitedGroups: min(nodes, 4), scoring: .sigmoid, hasSelectionBias: false, firstDenseLayers: 0)
    let draw = RoutingDraw(mixture: mixture, layers: [0], popularity: .balanced, seed: 1)
    let study = try ExchangeStudy(
      choices: draw.sample(layer: 0, tokens: cell.ranks * 1024), topK: 8, experts: 256, members: cell.ranks,
      ranksPerNode: 8, rowBytes: isCombine ? 14336 : 7392,
      rates: .init(card: BytesPerSecond(44e9), nvlink: BytesPerSecond(141e9)), isCombine: isCombine)
    let expected = isCombine ? cell.combine : cell.dispatch
    #expect(abs(study.logicalCardBandwidth.value / 1e9 / expected - 1) < 0.08)
    #expect(study.bottleneck == (cell.ranks == 16 ? .nvlink : .card))
  }
}

@Suite struct `A low-latency exchange alone` {
  /// Only the combine of EP64 is calibration; the other eleven are predictions.
  @Test(arguments: [8, 16, 32, 64, 128, 256], [false, true])
  func `comes within 10 % of DeepEP's first published latency`(ranks: Int, isCombine: Bool) throws {
    let row = try #require(
      try bench.get().lowLatency.first { $0.expertParallel == ranks && $0.isCombine == isCombine })
    let error = try #require(row.error)
    #expect(abs(error) < 0.1, "\(row.study.latency.microseconds) us: \(error)")
  }

  @Test func `carries every choice once, those of other GPUs over cards`() throws {
    for row in try bench.get().lowLatency {
      let bytes = row.isCombine ? 14336.0 : 7408
      #expect(row.study.logicalBytes == 1024 * bytes)
      let share = Double(row.expertParallel - 1) / Double(row.expertParallel)
      #expect(abs(row.study.physicalBytes / row.study.logicalBytes / share - 1) < 0.01)
      #expect(row.study.latency <= row.study.last)
    }
  }
}

@Suite struct `Tables of exchanges` {
  @Test func `fit 80 columns, keep logical and physical apart, and are JSON too`() throws {
    let bench = try bench.get()
    let text = bench.text()
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    #expect(text.contains("logical") && text.contains("physical") && text.contains("RDMA rings"))
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(bench.json().utf8)) as? [String: [[String: Any]]])
    #expect(json["normal"]?.count == 8 && json["low_latency"]?.count == 12)
    #expect(json["normal"]?.first?["rdma_logical"] is NSNull)
  }

  @Test func `have no published cells for nodes of another size, and need a calibration`() throws {
    let small = try #require(try ExchangeBench(resolveCluster("small").cluster))
    #expect(small.normal.allSatisfy { $0.published == nil && $0.error == nil })
    #expect(try ExchangeBench(resolveCluster("h100-1024").cluster) == nil)
    let cluster = try resolveCluster("h800-2048").cluster
    #expect(!ExchangeBench.isPossible(24, cluster) && !ExchangeBench.isPossible(512, cluster))
  }
}
