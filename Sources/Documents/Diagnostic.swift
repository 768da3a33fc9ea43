/// Exit codes of the command, after BSD's sysexits.
public enum ExitStatus: Int32, Sendable {
  /// The plan was computed but does not fit in memory.
  case doesNotFit = 3
  /// The command line is wrong.
  case usage = 64
  /// The content of an input is wrong.
  case data = 65
  /// A file does not exist, or cannot be opened, created or written.
  case unavailableFile = 66
  /// A fault of this program.
  case `internal` = 70
}

/// One error a person can act on: where it is, what was found, what would be allowed, and a hint.
///
/// Only readers and validations make one; the command line renders it. Libraries never print.
public struct Diagnostic: Error, Equatable, Sendable {
  public var status: ExitStatus
  /// What is wrong, as a sentence without a full stop.
  public var problem: String
  /// The file, as the user named it.
  public var file: String?
  /// The path within the file (`pipeline.ranks`) or the flag (`--pp`).
  public var path: String?
  public var found: String?
  public var allowed: String?
  public var hint: String?

  public init(
    _ status: ExitStatus = .data, _ problem: String, file: String? = nil, path: String? = nil,
    found: String? = nil, allowed: String? = nil, hint: String? = nil
  ) {
    self.status = status
    self.problem = problem
    self.file = file
    self.path = path
    self.found = found
    self.allowed = allowed
    self.hint = hint
  }
}

extension Diagnostic: CustomStringConvertible {
  /// The error in the form the command prints it: the problem, then one indented line for each thing known.
  public var description: String {
    let details = [
      ("file", file), ("at", path), ("found", found), ("allowed", allowed), ("hint", hint),
    ]
    let lines = details.compactMap { name, text in
      text.map { "  \(name):" + String(repeating: " ", count: 9 - name.count) + $0 }
    }
    return (["error: \(problem)"] + lines).joined(separator: "\n")
  }
}
