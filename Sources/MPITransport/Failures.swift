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
}
