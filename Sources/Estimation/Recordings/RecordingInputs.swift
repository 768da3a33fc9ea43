import Documents
import Foundation
import Traces

/// A recording with what its format alone tells.
public struct ReadRecording: Sendable {
  public var recording: Recording
  public var findings: [String] = []
}

/// Reads files, or all files of folders, as one recording.
///
/// - Throws: A `Diagnostic`.
public func readRecordings(_ paths: [String]) throws -> ReadRecording {
  let files = try files(of: paths)
  if files.contains(where: { $0.hasSuffix(".et") || $0.hasSuffix(".et.gz") }) {
    return ReadRecording(recording: try readChakra(files))
  }
  return ReadRecording(recording: try readKineto(at: files))
}

/// Folders are searched to their bottom, in the order of names; hidden files are none.
func files(of paths: [String]) throws -> [String] {
  try paths.flatMap { path -> [String] in
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw Diagnostic(.unavailableFile, "the file cannot be opened", file: path, found: "no such file")
    }
    guard isFolder.boolValue else { return [path] }
    let found = (FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []).sorted()
      .map { path + "/" + $0 }
      .filter { file in
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) && !isFolder.boolValue
          && !(file.split(separator: "/").last?.hasPrefix(".") ?? true)
      }
    guard !found.isEmpty else {
      throw Diagnostic(.unavailableFile, "the folder holds no files", file: path)
    }
    return found
  }
}

/// Steps as flags write them: `3`, `3-5`.
///
/// - Throws: A `Diagnostic` with status `usage`.
public func steps(_ text: String) throws -> ClosedRange<Int> {
  let ends = text.split(separator: "-", omittingEmptySubsequences: false).compactMap { Int($0) }
  guard (1...2).contains(ends.count), let first = ends.first, let last = ends.last, first >= 0, last >= first
  else {
    throw Diagnostic(.usage, "these are no steps", path: "--steps", found: "\"\(text)\"", allowed: "3 or 3-5")
  }
  return first...last
}

extension ChakraSummary {
  /// The nodes of all ranks together; nil where none comes from such a trace.
  init?(_ ranks: [RankRecording]) {
    let all = ranks.compactMap(\.chakra)
    guard var sum = all.first else { return nil }
    for other in all.dropFirst() {
      sum.nodes += other.nodes
      sum.dataDependencies += other.dataDependencies
      sum.controlDependencies += other.controlDependencies
      sum.danglingDependencies += other.danglingDependencies
      let (time, overflows) = sum.durationMicroseconds.addingReportingOverflow(other.durationMicroseconds)
      sum.durationMicroseconds = overflows ? .max : time
      for nodes in other.byType {
        if let index = sum.byType.firstIndex(where: { $0.type == nodes.type }) {
          sum.byType[index].count += nodes.count
        } else {
          sum.byType.append(nodes)
        }
      }
      for kind in other.collectives {
        if let index = sum.collectives.firstIndex(where: { $0.kind == kind.kind }) {
          sum.collectives[index].count += kind.count
          sum.collectives[index].withoutBytes += kind.withoutBytes
          let (bytes, overflows) = sum.collectives[index].bytes.addingReportingOverflow(kind.bytes)
          sum.collectives[index].bytes = overflows ? .max : bytes
        } else {
          sum.collectives.append(kind)
        }
      }
    }
    self = sum
  }
}
