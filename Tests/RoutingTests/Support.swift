import Foundation
import Testing

/// A golden file of the set in use: that of `REHEARSAL_GOLDEN` where it is set, otherwise that beside the tests.
func goldenPath(_ name: String) throws -> String {
  if let folder = ProcessInfo.processInfo.environment["REHEARSAL_GOLDEN"] { return "\(folder)/\(name)" }
  return try #require(Bundle.module.resourceURL).appending(path: "Golden/\(name)").path
}

/// The files of a golden folder with an ending, sorted.
func goldenPaths(in folder: String, ending: String) throws -> [String] {
  let path = try goldenPath(folder)
  return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    .filter { $0.hasSuffix(ending) }.map { "\(path)/\($0)" }
}
