import Documents
import Foundation
import Traces

/// A recording with what its format alone tells.
public struct ReadRecording: Sendable {
  public var recording: Recording
  public var graph: ChakraSummary?
  public var findings: [String] = []
}

/// Reads files, or all files of folders, as one recording.
///
/// - Throws: A `Diagnostic`.
public func readRecordings(_ paths: [String]) throws -> ReadRecording {
  ReadRecording(recording: try readKineto(at: try files(of: paths)))
}

/// Folders are searched to their bottom, in the order of names; hidden files are none.
private func files(of paths: [String]) throws -> [String] {
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
  let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
  guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first >= 0,
    last >= first
  else {
    throw Diagnostic(.usage, "these are no steps", path: "--steps", found: "\"\(text)\"", allowed: "3 or 3-5")
  }
  return first...last
}
