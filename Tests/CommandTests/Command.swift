import Foundation

/// What one run of the built command did.
struct CommandResult {
  var status: Int32
  var output: String
  var errors: String
}

/// Runs the command that was built beside this test.
///
/// - Parameter environment: Laid over this process's own.
func rehearse(_ arguments: [String], environment: [String: String] = [:]) throws -> CommandResult {
  let executable = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  let process = Process()
  process.executableURL = URL(filePath: executable).deletingLastPathComponent().appending(path: "rehearse")
  process.arguments = arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
  process.standardInput = FileHandle.nullDevice
  // Files, not pipes: a full pipe would stop a command that nobody reads while it runs.
  return try withFolder { folder in
    let paths = ["output", "errors"].map { folder.appending(path: $0) }
    for path in paths { _ = FileManager.default.createFile(atPath: path.path, contents: nil) }
    let handles = try paths.map { try FileHandle(forWritingTo: $0) }
    (process.standardOutput, process.standardError) = (handles[0], handles[1])
    try process.run()
    process.waitUntilExit()
    let texts = try paths.map { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
    return CommandResult(status: process.terminationStatus, output: texts[0], errors: texts[1])
  }
}

/// Gives a folder to write in and removes it afterwards.
func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(path: "rehearse-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder)
}
