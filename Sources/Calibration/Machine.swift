import Foundation
import Units

/// What the operating system says of this machine.
public struct Machine: Hashable, Sendable {
  /// Of the processor, as its maker writes it.
  public var processor: String
  /// Processors that the ranks may run on together.
  public var processors: Int
  public var memory: Bytes

  public init(processor: String, processors: Int, memory: Bytes) {
    self.processor = processor
    self.processors = processors
    self.memory = memory
  }

  /// Reads `/proc`.
  ///
  /// - Parameter processors: Those that the ranks may run on; the launcher may have bound them to some.
  public static func this(processors: Int) -> Machine {
    func value(_ key: String, in file: String, separator: Character = ":") -> String? {
      guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
      for line in text.split(separator: "\n") where line.hasPrefix(key) {
        return line.split(separator: separator, maxSplits: 1).last?.trimmingCharacters(in: .whitespaces)
      }
      return nil
    }
    let name = value("model name", in: "/proc/cpuinfo") ?? "unknown processor"
    let kibibytes = value("MemTotal", in: "/proc/meminfo")?.split(separator: " ").first.flatMap { Int64($0) }
    return Machine(
      processor: name, processors: processors,
      memory: Bytes(kibibytes.map { $0 * 1024 } ?? Int64(clamping: ProcessInfo.processInfo.physicalMemory)))
  }
}
