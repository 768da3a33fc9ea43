import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Writes a file whole or not at all: beside its place, synchronised, then renamed over it.
///
/// - Throws: A ``Diagnostic`` with status `cannotCreate`; nothing half-written stays behind.
public func writeFile(_ bytes: Data, to path: String) throws {
  let beside = path + ".part-\(getpid())"
  func failure(_ step: String) -> Diagnostic {
    let reason = String(cString: strerror(errno))
    unlink(beside)
    return Diagnostic(
      .cannotCreate, "the output cannot be written", file: path, found: "\(step): \(reason)",
      hint: "look at the folder, its permissions and the space left")
  }
  let descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard descriptor >= 0 else { throw failure("create") }
  let written = bytes.withUnsafeBytes { buffer -> Bool in
    var offset = 0
    while offset < buffer.count {
      let count = write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      offset += count
    }
    return true
  }
  guard written else {
    let error = failure("write")
    close(descriptor)
    throw error
  }
  guard fsync(descriptor) == 0 else {
    let error = failure("fsync")
    close(descriptor)
    throw error
  }
  guard close(descriptor) == 0 else { throw failure("close") }
  guard rename(beside, path) == 0 else { throw failure("rename") }
}
