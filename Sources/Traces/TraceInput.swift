import Documents
import Foundation

/// A file to read, or bytes in its place; a reader may open it more than once and find files beside it.
public struct TraceInput: Sendable {
  /// As the user named it.
  public let name: String
  private let bytes: [UInt8]?
  /// Files that stand beside ``bytes``, by name.
  private let siblings: [String: [UInt8]]

  public init(path: String) {
    name = path
    bytes = nil
    siblings = [:]
  }

  public init(bytes: [UInt8], named name: String, beside siblings: [String: [UInt8]] = [:]) {
    self.name = name
    self.bytes = bytes
    self.siblings = siblings
  }

  /// - Throws: A ``Diagnostic`` with status `unavailableFile` where the file cannot be opened.
  public func open() throws -> ByteSource {
    if let bytes { return try ByteSource(bytes: bytes, named: name) }
    return try ByteSource(path: name)
  }

  /// A file that this one names: beside it under that path, or, where there is none, beside it under its last component.
  ///
  /// - Returns: Nil where there is neither.
  func sibling(_ path: String) -> TraceInput? {
    let last = URL(filePath: path).lastPathComponent
    if bytes != nil {
      return (siblings[path] ?? siblings[last]).map { TraceInput(bytes: $0, named: path, beside: siblings) }
    }
    let folder = URL(filePath: name).deletingLastPathComponent()
    for candidate in [path, last] {
      let place = candidate.hasPrefix("/") ? candidate : folder.appending(path: candidate).relativePath
      if FileManager.default.fileExists(atPath: place) { return TraceInput(path: place) }
    }
    return nil
  }
}
