import Documents
import Foundation
import Testing

@testable import Tensors

@Suite struct TensorWriterTests {
  private let tensors = [TensorDescription("w", .float32, [1000])]

  @Test func `a full disk gives one error and leaves the folder as it was`() throws {
    try withFolder { folder in
      let path = "\(folder)/a.safetensors"
      try Data("before".utf8).write(to: URL(filePath: path))
      // Room for the header and a little more, in short writes with interruptions between.
      var room = 300
      var isInterrupted = false
      let writer = try TensorWriter(path, tensors: tensors, metadata: [:]) {
        descriptor, bytes, count, offset in
        isInterrupted.toggle()
        if isInterrupted {
          errno = EINTR
          return -1
        }
        guard room > 0 else {
          errno = ENOSPC
          return -1
        }
        let written = pwrite(descriptor, bytes, min(count, room, 50), offset)
        room -= written
        return written
      }
      #expect(
        throws: Diagnostic(
          .unavailableFile, "the output cannot be written", file: path,
          found: "write: No space left on device",
          hint: "look at the folder, its permissions and the space left")
      ) { try writer.append([Float](repeating: 1, count: 1000), to: "w") }
      #expect(try contents(of: folder) == ["a.safetensors"])
      #expect(try bytes(of: path) == Array("before".utf8))
      #expect(throws: Diagnostic.self) { try writer.finish() }
      #expect(try contents(of: folder) == ["a.safetensors"])
    }
  }

  @Test func `a file larger than the process may write leaves nothing behind`() async throws {
    // Limits are a whole process's, so this one has its own.
    await #expect(processExitsWith: .success) {
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 2000, rlim_max: 2000)
      precondition(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
      let folder = FileManager.default.temporaryDirectory.appending(component: "limit-\(getpid())").path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      var error: Diagnostic?
      do {
        try writeTensors(
          [(TensorDescription("w", .uint8, [5000]), [UInt8](repeating: 1, count: 5000))],
          to: folder + "/a.safetensors")
      } catch let caught as Diagnostic { error = caught }
      precondition(error?.status == .unavailableFile && error?.found == "write: File too large")
      let left = try FileManager.default.contentsOfDirectory(atPath: folder)
      precondition(left.isEmpty)
    }
  }

  @Test func `a writer that is dropped leaves nothing behind`() throws {
    try withFolder { folder in
      do {
        let writer = try TensorWriter("\(folder)/a.safetensors", tensors: tensors)
        #expect(try contents(of: folder).count == 1)
        _ = writer
      }
      #expect(try contents(of: folder) == [])
    }
  }

  @Test func `a tensor written too far or not whole is refused`() throws {
    try withFolder { folder in
      let path = "\(folder)/a.safetensors"
      let short = try TensorWriter(path, tensors: tensors)
      try short.append([Float](repeating: 1, count: 999), to: "w")
      #expect { try short.finish() } throws: { ($0 as? Diagnostic)?.path == "w" }
      let long = try TensorWriter(path, tensors: tensors)
      #expect(throws: Diagnostic.self) { try long.append([Float](repeating: 1, count: 1001), to: "w") }
      let other = try TensorWriter(path, tensors: tensors)
      #expect(throws: Diagnostic.self) { try other.append([0] as [Float], to: "v") }
      #expect(try contents(of: folder) == [])
      for twice in [["w", "w"], ["__metadata__"]] {
        #expect(throws: Diagnostic.self) {
          _ = try TensorWriter(path, tensors: twice.map { TensorDescription($0, .uint8, [1]) })
        }
      }
    }
  }

  @Test func `a folder that is not there, a folder in the place and a device are refused`() throws {
    try withFolder { (folder: String) throws in
      for path in ["\(folder)/none/a.safetensors", folder, "/dev/null"] {
        #expect { _ = try TensorWriter(path, tensors: []) } throws: {
          ($0 as? Diagnostic)?.status == .unavailableFile && ($0 as? Diagnostic)?.file == path
        }
      }
      #expect(try contents(of: folder) == [])
    }
  }

  @Test func `a link is followed, and the file it leads to replaced`() throws {
    try withFolder { folder in
      try Data().write(to: URL(filePath: "\(folder)/real"))
      try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "real")
      try writeTensors([(TensorDescription("w", .uint8, [2]), [4, 5])], to: "\(folder)/link")
      #expect(try contents(of: folder) == ["link", "real"])
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/link") == "real")
      #expect(try TensorFile("\(folder)/real").uint8s("w") == [4, 5])
    }
  }
}
