import ArgumentParser
import Documents
import Estimation
import Foundation

/// Ends the program as an error asks: text on stderr in a diagnostic's form, and its exit code.
///
/// A request for help or for the version is not an error: it goes to stdout.
func fail(_ error: any Error) -> Never {
  if let code = error as? ExitCode { exit(code.rawValue) }
  if let found = error as? Diagnostic { end(found) }
  let parsed = Rehearse.exitCode(for: error)
  if parsed == .success {
    do {
      try writeOutput(Rehearse.fullMessage(for: error) + "\n", to: nil)
      exit(ExitCode.success.rawValue)
    } catch {
      end(diagnostic(for: error))
    }
  }
  guard parsed == .validationFailure else { end(diagnostic(for: error)) }
  let message = Rehearse.message(for: error).split(separator: "\n").joined(separator: " ")
  end(
    Diagnostic(.usage, message, hint: "rehearse --help lists the commands, rehearse help COMMAND the flags"))
}

private func end(_ diagnostic: Diagnostic) -> Never {
  tellUser(diagnostic.description + "\n")
  exit(diagnostic.status.rawValue)
}
