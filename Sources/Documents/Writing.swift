import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Writes a file whole or not at all: beside its place, synchronised, then renamed over it.
///
/// A link is followed. What is no file (a device, a pipe, `/dev/stdout`) is written to, never replaced.
///
/// - Throws: A ``Diagnostic`` with status `unavailableFile`; nothing half-written stays behind.
public func writeFile(_ bytes: Data, to path: String) throws {
  var status = stat()
  guard stat(path, &status) == 0 else { return try replaceFile(bytes, at: path, shownAs: path) }
  switch status.st_mode & S_IFMT {
  case S_IFREG: try replaceFile(bytes, at: resolved(path), shownAs: path)
  case S_IFDIR:
    throw Diagnostic(
      .unavailableFile, "the output cannot be written", file: path, found: "a directory",
      hint: "name a file in it")
  default: try writeThrough(bytes, to: path)
  }
}

/// The file that a path leads to, links followed.
private func resolved(_ path: String) -> String {
  guard let target = realpath(path, nil) else { return path }
  defer { free(target) }
  return String(cString: target)
}

private func failure(_ step: String, writing path: String) -> Diagnostic {
  Diagnostic(
    .unavailableFile, "the output cannot be written", file: path,
    found: "\(step): \(String(cString: strerror(errno)))",
    hint: "look at the folder, its permissions and the space left")
}

private func replaceFile(_ bytes: Data, at place: String, shownAs path: String) throws {
  let beside = place + ".part-\(getpid())"
  let descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard descriptor >= 0 else { throw failure("create", writing: path) }
  func abandon(_ step: String) -> Diagnostic {
    let error = failure(step, writing: path)
    unlink(beside)
    return error
  }
  guard writeAll(bytes, to: descriptor) else {
    let error = abandon("write")
    close(descriptor)
    throw error
  }
  guard fsync(descriptor) == 0 else {
    let error = abandon("fsync")
    close(descriptor)
    throw error
  }
  guard close(descriptor) == 0 else { throw abandon("close") }
  guard rename(beside, place) == 0 else { throw abandon("rename") }
}

private func writeThrough(_ bytes: Data, to path: String) throws {
  let descriptor = open(path, O_WRONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw failure("open", writing: path) }
  guard writeAll(bytes, to: descriptor) else {
    let error = failure("write", writing: path)
    close(descriptor)
    throw error
  }
  guard close(descriptor) == 0 else { throw failure("close", writing: path) }
}

private func writeAll(_ bytes: Data, to descriptor: Int32) -> Bool {
  bytes.withUnsafeBytes { buffer in
    var offset = 0
    while offset < buffer.count {
      let count = write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      offset += count
    }
    return true
  }
}
