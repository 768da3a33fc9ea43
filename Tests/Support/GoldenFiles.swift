import Foundation

/// A file or folder of the golden set in use: that of `REHEARSAL_GOLDEN` where it is set, otherwise the one beside
/// this file, which ships with the tests.
public func goldenPath(_ name: String) -> String {
  let folder =
    ProcessInfo.processInfo.environment["REHEARSAL_GOLDEN"]
    ?? Bundle.module.resourceURL?.appending(path: "Golden").path ?? "Golden"
  return "\(folder)/\(name)"
}

/// The files of a golden folder with a beginning and an ending, sorted.
public func goldenPaths(in folder: String, beginning: String = "", ending: String) throws -> [String] {
  let path = goldenPath(folder)
  return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    .filter { $0.hasPrefix(beginning) && $0.hasSuffix(ending) }.map { "\(path)/\($0)" }
}
