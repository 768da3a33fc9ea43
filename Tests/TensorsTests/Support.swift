import Documents
import Foundation
import Testing

@testable import Tensors

/// A folder of this test alone, gone with it.
func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(component: "tensors-\(UUID().uuidString)")
    .path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

func contents(of folder: String) throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
}

func bytes(of path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(filePath: path))) }

/// A file of the given header text and data.
func assembled(_ header: String, data: Int = 0) -> [UInt8] {
  let text = Array(header.utf8)
  return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text
    + [UInt8](repeating: 7, count: data)
}

/// The diagnostic that refuses these bytes, or nil where they are read.
func refusal(of bytes: [UInt8]) -> Diagnostic? {
  do {
    _ = try TensorFile(bytes: bytes, path: "a.safetensors")
    return nil
  } catch {
    return error as? Diagnostic
  }
}
