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
    var start_times: [[Double]]?
    var eagerMakespan: Double?

    enum CodingKeys: String, CodingKey {
      case makespan, busy, idle, start_times
      case eagerMakespan = "makespan_comm0.5_async"
    }
  }

  var schedule: String
  var pp: Int?
  var ranks_n: Int?
  var microbatches_total: Int
  var stages: Int
  var chunks_per_rank: Int?
  var ranks: [Rank]
  var peak_activations_until_B: [Double]?
  var peak_activations_until_W: [Double]?
  var timing: [String: Timing]?

  /// The order that this project generates for the same schedule and size.
  func generated() throws -> PipelineOrder {
    let names = [
      "gpipe": "gpipe", "1f1b": "1f1b", "interleaved": "interleaved-1f1b", "zbh1": "zb-h1",
      "zbh1quick": "zb-h1-quick", "dualpipe": "dualpipe", "dualpipev": "dualpipev",
    ]
    let prefix = String(schedule.prefix { $0 != "_" })
    return try .published(
      try #require(names[prefix], "an unknown schedule: \(schedule)"), ranks: try #require(pp ?? ranks_n),
      microBatches: microbatches_total, virtualStages: chunks_per_rank)
  }

  /// Every recording of the folder that `REHEARSAL_GOLDEN` names, else of the set beside the tests.
  static let all: [GoldenOrder] = {
    let root =
      ProcessInfo.processInfo.environment["REHEARSAL_GOLDEN"].map { URL(filePath: $0) }
      ?? Bundle.module.bundleURL.appending(path: "Golden")
    let folder = root.appending(path: "dualpipe_orders")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".json") }.sorted().map { name in
      do {
        return try JSONDecoder().decode(GoldenOrder.self, from: Data(contentsOf: folder.appending(path: name)))
      } catch {
        fatalError("\(folder.path)/\(name) is not a recorded order: \(error)")
      }
    }
  }()
}

extension GoldenOrder: CustomTestStringConvertible {
  var testDescription: String { schedule }
}

@Suite struct `Published orders` {
  @Test func `there are recordings to compare with`() {
    #expect(!GoldenOrder.all.isEmpty)
  }

  @Test(arguments: GoldenOrder.all)
  func `the generated order is the recorded one`(golden: GoldenOrder) throws {
    let order = try golden.generated()
    #expect(order.ranks == golden.ranks.count)
    #expect(order.stages == golden.stages)
    for recorded in golden.ranks {
      #expect(order.slots[recorded.rank].map(\.description) == recorded.compute, "rank \(recorded.rank)")
    }
    try order.validate()
  }

  @Test(arguments: GoldenOrder.all)
  func `activations peak where they were counted`(golden: GoldenOrder) throws {
    let order = try golden.generated()
    // Recorded in shares of a whole rank.
    let chunks = Double(golden.chunks_per_rank ?? 1)
    if let recorded = golden.peak_activations_until_B {
      #expect(order.activationPeaks(until: .inputGradient).map { Double($0) / chunks } == recorded)
    }
    if let recorded = golden.peak_activations_until_W {
      #expect(order.activationPeaks(until: .weightGradient).map { Double($0) / chunks } == recorded)
    }
  }

  @Test(arguments: GoldenOrder.all)
  func `chunks run when they were recorded to run`(golden: GoldenOrder) throws {
    let order = try golden.generated()
    for (name, recorded) in (golden.timing ?? [:]).sorted(by: { $0.key < $1.key }) {
      let times = try #require(chunkTimes(named: name, chunks: golden.chunks_per_rank ?? 1), "times named \(name)")
      let timing = try order.evaluate(times: times)
      #expect(units(timing.makespan) == recorded.makespan, "\(name)")
      #expect(timing.busy.map(units) == recorded.busy, "\(name)")
      #expect(timing.idle.map(units) == recorded.idle, "\(name)")
      if let starts = recorded.start_times {
        #expect(timing.intervals.map { $0.map { units($0.start.sinceStart) } } == starts, "\(name)")
      }
      if let eager = recorded.eagerMakespan {
        let late = try order.evaluate(times: times, latency: span(0.5))
        #expect(units(late.makespan) == eager, "\(name) with half a unit of latency")
      }
    }
  }

  @Test(arguments: GoldenOrder.all)
  func `the JSON form decodes to the recorded order`(golden: GoldenOrder) throws {
    let written = try JSONDecoder().decode(GoldenOrder.self, from: Data(try golden.generated().json.utf8))
    #expect(written.schedule == golden.schedule)
    #expect(written.pp == golden.pp)
    #expect(written.ranks_n == golden.ranks_n)
    #expect(written.microbatches_total == golden.microbatches_total)
    #expect(written.stages == golden.stages)
    #expect(written.chunks_per_rank == golden.chunks_per_rank)
    #expect(written.ranks.map(\.rank) == golden.ranks.map(\.rank))
    #expect(written.ranks.map(\.compute) == golden.ranks.map(\.compute))
  }

  /// A recorded unit; divisible by every number of chunks a rank is cut into here.
  private static let unit = 5_040_000.0

  private func span(_ units: Double) -> Span { Span(picoseconds: Int64((units * Self.unit).rounded())) }

  /// Rounded to the recordings' four digits.
  private func units(_ span: Span) -> Double {
    (Double(span.picoseconds) / Self.unit * 1e4).rounded() / 1e4
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
