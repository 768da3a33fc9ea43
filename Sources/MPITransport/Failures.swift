import CMPI
import Execution
import Foundation

extension World {
  /// Whether this rank is the one to tell of a failure: true for the first rank of a machine that asks, once for a job.
  ///
  /// A failure often meets all ranks at once, and one message is enough. The claim is a file in the job's folder, which
  /// needs neither MPI, which may be broken by then, nor a rank that still answers. Where the launcher names no folder,
  /// the machine's first rank tells.
  public func claimsFailureReport() -> Bool {
    guard let sessionFolder else { return localRank == 0 }
    let claim = sessionFolder + "/rehearsal-failure"
    let descriptor = open(claim, O_CREAT | O_EXCL | O_WRONLY, 0o600)
    if descriptor >= 0 {
      close(descriptor)
      return true
    }
    return errno == EEXIST ? false : localRank == 0
  }

  /// Ends the job before MPI has been started, with a report by one rank; the launcher then ends the others.
  public func fail(status: Int32, report: () -> Void) -> Never {
    leave(report)
    exit(status)
  }

  /// Reports, or leaves that rank the time to do so which does.
  fileprivate func leave(_ report: () -> Void) {
    if claimsFailureReport() {
      report()
    } else {
      sleep(Self.secondsForReport)
    }
  }

  private static let secondsForReport: UInt32 = 4
}

extension MPITransport {
  /// Ends the job, with a report by one rank, whether one rank has failed or all.
  /// - Parameter report: Is given what Open MPI itself has said on this rank; mostly nothing.
  public func fail(status: Int32, report: (_ diagnostics: String) -> Void) -> Never {
    world.leave { report(diagnostics.text) }
    abort(status: status)
  }
}

/// The lines that Open MPI writes to standard error from within a rank, collected in memory.
///
/// When a rank dies, each rank that was reading its memory says so ("Read -1, expected 1048576, errno = 3"), which
/// hides the one message that matters. Must be made before MPI starts.
final class Diagnostics {
  private let descriptor: Int32

  init() {
    let isSet = getenv("OPAL_OUTPUT_STDERR_FD") != nil
    descriptor = isSet ? -1 : cmpi_memory_file()
    if descriptor >= 0 { setenv("OPAL_OUTPUT_STDERR_FD", "\(descriptor)", 1) }
  }

  /// The last 4 KiB.
  var text: String {
    guard descriptor >= 0 else { return "" }
    let end = lseek(descriptor, 0, SEEK_END)
    var bytes = [UInt8](repeating: 0, count: Int(min(max(end, 0), 4096)))
    let count = pread(descriptor, &bytes, bytes.count, max(0, end - 4096))
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
