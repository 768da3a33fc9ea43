import Foundation
import Timelines
import Units

@testable import Traces

/// Figures that independent decoders found in the real recordings (`expected.json` beside them).
struct ExpectedKineto: Decodable {
  struct Distribution: Decodable {
    var rank: Int
    var world_size: Int
  }
  var path: String
  var events: Int
  var kernels: Int
  var kernel_us: Double
  var mem_ops: Int
  var mem_us: Double
  var gpu_span_us: Double
  var gpu_busy_us: Double
  var comm_kernels: Int
  var comm_us_sum: Double
  var comm_us_union: Double
  var comp_us_union: Double
  var exposed_comm_vs_kernels: Double
  var exposed_comm_vs_all: Double
  var overlap_pct_HTA: Double
  var dist: Distribution
  var streams_comm: [Int32]
  /// By the text of a Python tuple (kernel, collective, type, group size, group): count, microseconds, bytes in and out.
  var kinds: [String: [Double]]

  enum CodingKeys: String, CodingKey {
    case path, events, kernels, kernel_us, mem_ops, mem_us, gpu_span_us, gpu_busy_us, comm_kernels,
      comm_us_sum
    case comm_us_union, comp_us_union, exposed_comm_vs_kernels, exposed_comm_vs_all, overlap_pct_HTA, dist,
      streams_comm
    case kinds = "comm_by_(kernel,collective,dtype,group_size,pg)->[n,us,in_bytes,out_bytes]"
  }
}

struct ExpectedExecution: Decodable {
  struct Collective: Decodable {
    var count: Int
    var in_bytes: Int64
    var out_bytes: Int64
  }
  var path: String
  var schema: String
  var nodes: Int
  var record_param_comms: [String: Collective]
}

struct ExpectedSplits: Decodable {
  var index: Int
  var collective: String
  var dtype: String
  var in_split_by_rank: [[Int64]]
  var out_split_by_rank: [[Int64]]
  var in_bytes: [Int64]
  var out_bytes: [Int64]
}

struct ExpectedPhases: Decodable {
  var phases: [String: [Double]]
  var comm_kernels_rel_us: [[Field]]

  enum Field: Decodable {
    case number(Double)
    case text(String)

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      self = try (try? .number(container.decode(Double.self))) ?? .text(container.decode(String.self))
    }
  }
}

struct ExpectedFigures: Decodable {
  var kineto: [String: ExpectedKineto]
  var pytorch_et: [String: ExpectedExecution]
  var dlrm_alltoallv_splits: [ExpectedSplits]
  var deepseek_train: ExpectedPhases

  /// nil where the recordings are not at hand.
  static let shared: ExpectedFigures? = recordedTraces.flatMap { folder in
    guard let bytes = try? Data(contentsOf: URL(filePath: folder + "/expected.json")) else { return nil }
    return try? JSONDecoder().decode(ExpectedFigures.self, from: bytes)
  }
}

extension RankRecording {
  func events(_ kinds: EventKind...) -> [Int] { kind.indices.filter { kinds.contains(kind[$0]) } }

  func microseconds(_ events: [Int]) -> Double { events.reduce(0) { $0 + Double(duration[$1]) } / 1e6 }

  /// The time that at least one of the events takes, without that which `others` take, in microseconds.
  func union(_ events: [Int], without others: [Int] = []) -> Double {
    var edges: [(time: Int64, change: Int, other: Int)] = []
    for event in events { edges += [(start[event], 1, 0), (start[event] + duration[event], -1, 0)] }
    for event in others { edges += [(start[event], 0, 1), (start[event] + duration[event], 0, -1)] }
    edges.sort { $0.time < $1.time }
    var (open, covered, last, sum) = (0, 0, Int64(0), Int64(0))
    for edge in edges {
      if open > 0, covered == 0 { sum += edge.time - last }
      last = edge.time
      open += edge.change
      covered += edge.other
    }
    return Double(sum) / 1e6
  }
}
