import Foundation
import Testing

@testable import Documents

@Suite struct `Writing` {
  private func folder() throws -> URL {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("writing-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url
  }

  @Test func `a file is written whole and replaces the old one`() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("report.json").path
    try writeFile(Data("old".utf8), to: path)
    let large = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) })
    try writeFile(large, to: path)
    #expect(FileManager.default.contents(atPath: path) == large)
    try writeFile(Data(), to: path)
    #expect(FileManager.default.contents(atPath: path) == Data())
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["report.json"])
  }

  @Test func `what is no file is written to, never replaced`() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let pipe = folder.appendingPathComponent("pipe").path
    #expect(mkfifo(pipe, 0o600) == 0)
    // Open for reading and writing, so that neither end waits for the other.
    let descriptor = open(pipe, O_RDWR)
    defer { close(descriptor) }
    try writeFile(Data("through".utf8), to: pipe)
    var status = stat()
    #expect(stat(pipe, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
    var bytes = [UInt8](repeating: 0, count: 16)
    #expect(read(descriptor, &bytes, bytes.count) == 7)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["pipe"])
  }

  @Test func `a link is followed, and stays one`() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let (file, link) = (
      folder.appendingPathComponent("file").path, folder.appendingPathComponent("link").path
    )
    try writeFile(Data("old".utf8), to: file)
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "file")
    try writeFile(Data("new".utf8), to: link)
    #expect(FileManager.default.contents(atPath: file) == Data("new".utf8))
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "file")
  }

  @Test func `an unwritable place is refused and nothing stays behind`() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("file").path
    try writeFile(Data("kept".utf8), to: file)
    let inside = folder.appendingPathComponent("taken").path
    try FileManager.default.createDirectory(atPath: inside, withIntermediateDirectories: false)
    // A folder that is missing, a folder that is a file, a place that is a folder, a file system that takes nothing.
    for path in [folder.path + "/missing/report", file + "/report", inside, "/proc/report"] {
      let error = try #require(throws: Diagnostic.self) { try writeFile(Data("x".utf8), to: path) }
      #expect(error.status == .unavailableFile)
      #expect(error.file == path)
      #expect(error.found?.isEmpty == false)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["file", "taken"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: inside).isEmpty)
    #expect(FileManager.default.contents(atPath: file) == Data("kept".utf8))
  }
}
