import Foundation

/// Runs one of the readers in Python that share no code with this project, `Tests/bench/NAME`, on files.
///
/// - Returns: The lines it printed, what it complained of, and its exit code: 77 where protobuf is not installed.
public func runPeer(_ name: String, _ paths: [String]) throws -> (
  lines: [Substring], errors: String, code: Int32
) {
  let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../bench/\(name)")
  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments = ["python3", script.standardized.path] + paths
  let (output, errors) = (Pipe(), Pipe())
  process.standardOutput = output
  process.standardError = errors
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  let problems = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return (text.split(separator: "\n"), problems, process.terminationStatus)
}
