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
      #expect(error.status == .cannotCreate)
      #expect(error.file == path)
      #expect(error.found?.isEmpty == false)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["file", "taken"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: inside).isEmpty)
    #expect(FileManager.default.contents(atPath: file) == Data("kept".utf8))
  }
}
