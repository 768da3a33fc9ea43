import Foundation
import Timelines
import Units

@testable import Traces

/// Figures that independent decoders found in the real recordings (`expected.json` beside them).
struct ExpectedKineto: Decodable {
  struct Distribution: Decodable {
    var rank: Int
    var worldSize: Int

    enum CodingKeys: String, CodingKey {
      case rank
      case worldSize = "world_size"
    }
  }
  var path: String
  var events: Int
  var kernels: Int
  var kernelUs: Double
  var memOps: Int
  var memUs: Double
  var gpuSpanUs: Double
  var gpuBusyUs: Double
  var commKernels: Int
  var commUsSum: Double
  var commUsUnion: Double
  var compUsUnion: Double
  var exposedCommVsKernels: Double
  var exposedCommVsAll: Double
  var overlapPctHta: Double
  var dist: Distribution
  var streamsComm: [Int32]
  /// By the text of a Python tuple (kernel, collective, type, group size, group): count, microseconds, bytes in and out.
  var kinds: [String: [Double]]

  enum CodingKeys: String, CodingKey {
    case path, events, kernels, dist
    case kernelUs = "kernel_us"
    case memOps = "mem_ops"
    case memUs = "mem_us"
    case gpuSpanUs = "gpu_span_us"
    case gpuBusyUs = "gpu_busy_us"
    case commKernels = "comm_kernels"
    case commUsSum = "comm_us_sum"
    case commUsUnion = "comm_us_union"
    case compUsUnion = "comp_us_union"
    case exposedCommVsKernels = "exposed_comm_vs_kernels"
    case exposedCommVsAll = "exposed_comm_vs_all"
    case overlapPctHta = "overlap_pct_HTA"
    case streamsComm = "streams_comm"
    case kinds = "comm_by_(kernel,collective,dtype,group_size,pg)->[n,us,in_bytes,out_bytes]"
  }
}

struct ExpectedExecution: Decodable {
  struct Collective: Decodable {
    var count: Int
    var inBytes: Int64
    var outBytes: Int64

    enum CodingKeys: String, CodingKey {
      case count
      case inBytes = "in_bytes"
      case outBytes = "out_bytes"
    }
  }
  var path: String
  var schema: String
  var nodes: Int
  var recordParamComms: [String: Collective]

  enum CodingKeys: String, CodingKey {
    case path, schema, nodes
    case recordParamComms = "record_param_comms"
  }
}

struct ExpectedSplits: Decodable {
  var index: Int
  var collective: String
  var dtype: String
  var inSplitByRank: [[Int64]]
  var outSplitByRank: [[Int64]]
  var inBytes: [Int64]
  var outBytes: [Int64]

  enum CodingKeys: String, CodingKey {
    case index, collective, dtype
    case inSplitByRank = "in_split_by_rank"
    case outSplitByRank = "out_split_by_rank"
    case inBytes = "in_bytes"
    case outBytes = "out_bytes"
  }
}

struct ExpectedPhases: Decodable {
  var phases: [String: [Double]]
}

struct ExpectedFigures: Decodable {
  var kineto: [String: ExpectedKineto]
  var pytorchEt: [String: ExpectedExecution]
  var dlrmAlltoallvSplits: [ExpectedSplits]
  var deepseekTrain: ExpectedPhases

  enum CodingKeys: String, CodingKey {
    case kineto
    case pytorchEt = "pytorch_et"
    case dlrmAlltoallvSplits = "dlrm_alltoallv_splits"
    case deepseekTrain = "deepseek_train"
  }

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
