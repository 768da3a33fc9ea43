import Documents
import Foundation
import Traces

/// How fast traces are read: `trace-bench [megabytes]` writes Kineto JSON to a temporary file, reads it, and removes it.
@main
struct TraceBench {
  static func main() throws {
    let megabytes = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 200
    let path = FileManager.default.temporaryDirectory.appending(
      component: "trace-bench-\(UUID().uuidString).json"
    ).path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let bytes = try Sample.write(megabytes * 1_000_000, to: path)
    let before = (usage(), peakMegabytes())
    let recording = try readKineto(at: path)
    let seconds = usage() - before.0
    let rank = recording.ranks[0]
    let omitted = recording.omissions.reduce(0) { $0 + $1.count }
    print("bytes          \(bytes)")
    print("events         \(rank.count) kept, \(omitted) counted")
    print("communication  \(rank.communications.count)")
    print("processor      " + String(format: "%.2f s, %.0f MB/s", seconds, Double(bytes) / 1e6 / seconds))
    print("peak memory    \(peakMegabytes()) MB, \(before.1) MB before")
  }

  /// Processor time of this process in seconds.
  private static func usage() -> Double {
    var usage = rusage()
    getrusage(RUSAGE_SELF, &usage)
    let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
    return Double(seconds) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
  }

  private static func peakMegabytes() -> Int {
    var usage = rusage()
    getrusage(RUSAGE_SELF, &usage)
    return usage.ru_maxrss / 1024
  }
}
