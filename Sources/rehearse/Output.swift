import ArgumentParser
import Documents
import Foundation

/// When output carries terminal colours.
enum ColorChoice: String, CaseIterable, ExpressibleByArgument {
  case auto, always, never

  /// `auto`: on a terminal that is not dumb, unless NO_COLOR is set. Source: no-color.org.
  func applies(toFile path: String?) -> Bool {
    switch self {
    case .always: return true
    case .never: return false
    case .auto:
      let environment = ProcessInfo.processInfo.environment
      return path == nil && isatty(STDOUT_FILENO) == 1 && environment["NO_COLOR", default: ""].isEmpty
        && environment["TERM"] != "dumb"
    }
  }
}

/// Where a command's result goes.
struct OutputOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("Write to a file instead of stdout.", valueName: "file"))
  var output: String?

  @Option(name: .long, help: "Colours: auto, always, never.")
  var color = ColorChoice.auto

  var colored: Bool { color.applies(toFile: output) }

  func write(_ text: String) throws { try writeOutput(text, to: output) }
}

/// A closed pipe is noticed when writing to it, not by a signal.
func keepRunningWithoutReader() { signal(SIGPIPE, SIG_IGN) }

/// Writes to stderr; where nobody reads it any more, nothing is lost that would be worth an end.
func tellUser(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }

/// Writes a result to a file, whole or not at all, or to stdout.
///
/// A reader that went away (`| head`) has what it wanted: the program ends quietly.
func writeOutput(_ text: String, to path: String?) throws {
  let bytes = Data(text.utf8)
  if let path { return try writeFile(bytes, to: path) }
  try bytes.withUnsafeBytes { buffer in
    var offset = 0
    while offset < buffer.count {
      let count = Foundation.write(STDOUT_FILENO, buffer.baseAddress! + offset, buffer.count - offset)
      if count > 0 {
        offset += count
      } else if errno == EPIPE {
        throw ExitCode.success
      } else if errno != EINTR {
        throw Diagnostic(
          .unavailableFile, "the output cannot be written", file: "stdout",
          found: String(cString: strerror(errno)))
      }
    }
  }
}
