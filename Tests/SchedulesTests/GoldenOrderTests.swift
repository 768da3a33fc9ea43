import Foundation
import Schedules
import Testing
import Units

/// A recorded order: what the authors' released schedules do.
struct GoldenOrder: Decodable, Sendable {
  struct Rank: Decodable, Sendable {
    var rank: Int
    var compute: [String]
  }

  struct Timing: Decodable, Sendable {
    var makespan: Double
    var busy: [Double]
    var idle: [Double]
    var startTimes: [[Double]]?
    var eagerMakespan: Double?

    enum CodingKeys: String, CodingKey {
      case makespan, busy, idle
      case startTimes = "start_times"
      case eagerMakespan = "makespan_comm0.5_async"
    }
  }

  var schedule: String
  var pipelineRanks: Int?
  var foldedRanks: Int?
  var microBatches: Int
  var stages: Int
  var chunksPerRank: Int?
  var ranks: [Rank]
  var peakUntilInputGradient: [Double]?
  var peakUntilWeightGradient: [Double]?
  var timing: [String: Timing]?

  enum CodingKeys: String, CodingKey {
    case schedule, stages, ranks, timing
    case pipelineRanks = "pp"
    case foldedRanks = "ranks_n"
    case microBatches = "microbatches_total"
    case chunksPerRank = "chunks_per_rank"
    case peakUntilInputGradient = "peak_activations_until_B"
    case peakUntilWeightGradient = "peak_activations_until_W"
  }

  /// The order that this project generates for the same schedule and size.
  func generated() throws -> PipelineOrder {
    let names = [
      "gpipe": "gpipe", "1f1b": "1f1b", "interleaved": "interleaved-1f1b", "zbh1": "zb-h1",
      "zbh1quick": "zb-h1-quick", "dualpipe": "dualpipe", "dualpipev": "dualpipev",
    ]
    let prefix = String(schedule.prefix { $0 != "_" })
    return try .published(
      try #require(names[prefix], "an unknown schedule: \(schedule)"),
      ranks: try #require(pipelineRanks ?? foldedRanks),
      microBatches: microBatches, virtualStages: chunksPerRank)
  }
}

/// A file with a recorded order.
struct GoldenFile: Sendable, CustomTestStringConvertible {
  let url: URL

  var testDescription: String { url.lastPathComponent }

  func read() throws -> GoldenOrder {
    try JSONDecoder().decode(GoldenOrder.self, from: Data(contentsOf: url))
  }

  /// Every recording in the folder `dualpipe_orders` of the one that `REHEARSAL_GOLDEN` names (or in that
  /// one itself), else of the set beside the tests.
  static let all: [GoldenFile] = {
    let root =
      ProcessInfo.processInfo.environment["REHEARSAL_GOLDEN"].map { URL(filePath: $0) }
      ?? Bundle.module.bundleURL.appending(path: "Golden")
    let inner = root.appending(path: "dualpipe_orders")
    let folder = FileManager.default.fileExists(atPath: inner.path) ? inner : root
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".json") }.sorted().map { GoldenFile(url: folder.appending(path: $0)) }
  }()
}

@Suite struct `Published orders` {
  @Test func `there are recordings to compare with`() {
    #expect(!GoldenFile.all.isEmpty)
  }

  @Test(arguments: GoldenFile.all)
  func `the generated order is the recorded one`(file: GoldenFile) throws {
    let golden = try file.read()
    let order = try golden.generated()
    #expect(order.ranks == golden.ranks.count)
    #expect(order.stages == golden.stages)
    for recorded in golden.ranks {
      #expect(order.slots[recorded.rank].map(\.description) == recorded.compute, "rank \(recorded.rank)")
    }
    try order.validate()
  }

  @Test(arguments: GoldenFile.all)
  func `activations peak where they were counted`(file: GoldenFile) throws {
    let golden = try file.read()
    let order = try golden.generated()
    // Recorded in shares of a whole rank.
    let chunks = Double(golden.chunksPerRank ?? 1)
    if let recorded = golden.peakUntilInputGradient {
      #expect(agree(order.activationPeaks(until: .inputGradient).map { Double($0) / chunks }, recorded))
    }
    if let recorded = golden.peakUntilWeightGradient {
      #expect(agree(order.activationPeaks(until: .weightGradient).map { Double($0) / chunks }, recorded))
    }
  }

  @Test(arguments: GoldenFile.all)
  func `chunks run when they were recorded to run`(file: GoldenFile) throws {
    let golden = try file.read()
    let order = try golden.generated()
    for (name, recorded) in (golden.timing ?? [:]).sorted(by: { $0.key < $1.key }) {
      let times = try #require(
        chunkTimes(named: name, chunks: golden.chunksPerRank ?? 1), "times named \(name)")
      let timing = try order.evaluate(times: times)
      #expect(agree([units(timing.makespan)], [recorded.makespan]), "\(name)")
      #expect(agree(timing.busy.map(units), recorded.busy), "\(name)")
      #expect(agree(timing.idle.map(units), recorded.idle), "\(name)")
      if let starts = recorded.startTimes {
        #expect(timing.intervals.count == starts.count)
        for (intervals, starts) in zip(timing.intervals, starts) {
          #expect(agree(intervals.map { units($0.start.sinceStart) }, starts), "\(name)")
        }
      }
      if let eager = recorded.eagerMakespan {
        let late = try order.evaluate(times: times, latency: span(0.5))
        #expect(agree([units(late.makespan)], [eager]), "\(name) with half a unit of latency")
      }
    }
  }

  @Test(arguments: GoldenFile.all)
  func `the JSON form decodes to the recorded order`(file: GoldenFile) throws {
    let golden = try file.read()
    let written = try JSONDecoder().decode(GoldenOrder.self, from: Data(try golden.generated().json.utf8))
    #expect(written.schedule == golden.schedule)
    #expect(written.pipelineRanks == golden.pipelineRanks)
    #expect(written.foldedRanks == golden.foldedRanks)
    #expect(written.microBatches == golden.microBatches)
    #expect(written.stages == golden.stages)
    #expect(written.chunksPerRank == golden.chunksPerRank)
    #expect(written.ranks.map(\.rank) == golden.ranks.map(\.rank))
    #expect(written.ranks.map(\.compute) == golden.ranks.map(\.compute))
  }

  /// A recorded unit; divisible by every number of chunks a rank is cut into here.
  private static let unit = 5_040_000.0

  private func span(_ units: Double) -> Span { Span(picoseconds: Int64((units * Self.unit).rounded())) }

  private func units(_ span: Span) -> Double { Double(span.picoseconds) / Self.unit }

  /// Equal but for the digits to which thirds are written down.
  private func agree(_ ours: [Double], _ recorded: [Double]) -> Bool {
    ours.count == recorded.count && zip(ours, recorded).allSatisfy { abs($0 - $1) < 1e-3 }
  }

  /// `F1B2W1_FB3`: forward, full backward, weight gradient of a whole rank, and an overlapped pair.
  private func chunkTimes(named name: String, chunks: Int) -> ChunkTimes? {
    guard
      let match = name.wholeMatch(of: /F([0-9.]+)B([0-9.]+)W([0-9.]+)_FB([0-9.]+)/),
      let forward = Double(match.1), let backward = Double(match.2), let weight = Double(match.3),
      let pair = Double(match.4)
    else { return nil }
    let share = Double(chunks)
    return ChunkTimes(
      forward: span(forward / share), backwardInput: span((backward - weight) / share),
      backwardWeight: span(weight / share), overlapped: span(pair / share))
  }
}
