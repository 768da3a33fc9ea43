import Traces
import Units

@testable import Replaying

/// Recordings written by hand, in microseconds.
enum Samples {
  static func microseconds(_ number: Int64) -> Int64 { number * 1_000_000 }

  static func communication(
    _ kind: RecordedKind, bytes: Int64? = nil, group: Int32 = 0, size: Int? = nil, sent: [Int64]? = nil,
    received: [Int64]? = nil, peer: Int32? = nil
  ) -> RecordedCommunication {
    var communication = RecordedCommunication(kind, recordedName: kind.rawValue)
    communication.group = group
    communication.groupSize = size
    communication.inputBytes = bytes ?? sent?.reduce(0, +)
    communication.outputBytes = bytes ?? received?.reduce(0, +)
    communication.inputSplits = sent
    communication.outputSplits = received
    communication.peer = peer
    return communication
  }

  /// Ranks that compute, reduce together, and compute again; rank r's first kernel takes `first[r]`.
  ///
  /// The reduction moves data for 5 microseconds once all are there.
  static func reduction(first: [Int64], bytes: Int64? = 1 << 20) -> Recording {
    var recording = Recording(.kineto)
    recording.worldSize = first.count
    recording.groups = [
      ProcessGroup(name: "0", description: "default_pg", ranks: first.indices.map(Int32.init))
    ]
    let arrival = first.max() ?? 0
    for (index, length) in first.enumerated() {
      var rank = RankRecording(rank: index, file: "rank\(index).json")
      rank.append(.compute, name: "gemm", start: 0, duration: microseconds(length), stream: 7)
      rank.append(
        .communication, name: "ncclKernel_AllReduce", start: microseconds(length),
        duration: microseconds(arrival - length + 5), stream: 20,
        communication: communication(.allReduce, bytes: bytes, size: first.count))
      rank.append(
        .compute, name: "norm", start: microseconds(arrival + 5), duration: microseconds(3), stream: 7)
      recording.ranks.append(rank)
    }
    return recording
  }

  /// Three ranks exchange parts of their own.
  static func uneven() -> Recording {
    let parts: [[Int64]] = [[0, 4000, 1000], [2000, 0, 3000], [500, 500, 0]]
    var recording = Recording(.pytorchExecution)
    recording.worldSize = 3
    recording.groups = [ProcessGroup(name: "ep", description: "expert", ranks: [0, 1, 2])]
    for index in parts.indices {
      var rank = RankRecording(rank: index, file: "rank\(index).json")
      rank.append(
        .communication, name: "all_to_allv", start: 0, duration: microseconds(10), stream: 1,
        communication: communication(
          .allToAllV, size: 3, sent: parts[index], received: parts.map { $0[index] }))
      recording.ranks.append(rank)
    }
    return recording
  }
}
