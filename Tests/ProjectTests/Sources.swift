import Foundation

/// A Swift file of the package, as text.
struct SourceFile: Sendable {
  /// The folder under `Sources`.
  let module: String
  /// From the package's folder: `Sources/Units/Bytes.swift`.
  let path: String
  let lines: [String]

  /// Lines with their numbers, without comments; text in quotes stays.
  var code: [(number: Int, text: String)] {
    lines.enumerated().compactMap { index, line in
      let bare = line.range(of: "//").map { String(line[..<$0.lowerBound]) } ?? line
      return bare.allSatisfy(\.isWhitespace) ? nil : (index + 1, bare)
    }
  }

  /// The modules that the file imports.
  var imports: [String] {
    lines.compactMap { line in
      var words = line.split(separator: " ").map(String.init)
      guard let keyword = words.firstIndex(of: "import"),
        words[..<keyword].allSatisfy({ $0.hasPrefix("@") || ["public", "package", "internal"].contains($0) })
      else { return nil }
      words.removeFirst(keyword + 1)
      let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
      if let kind = words.first, kinds.contains(kind) { words.removeFirst() }
      return words.first?.split(separator: ".").first.map(String.init)
    }
  }
}

/// The package's folder, found from where this file was compiled.
private let packageFolder = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// Every Swift file under `Sources` that people write, sorted by path; protoc's output is not held to our style.
let sourceFiles: [SourceFile] = {
  let folder = packageFolder.appendingPathComponent("Sources")
  let paths = (FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? [])
    .filter { $0.hasSuffix(".swift") && !$0.hasSuffix(".pb.swift") }.sorted()
  return paths.compactMap { path in
    guard let text = try? String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8) else {
      return nil
    }
    return SourceFile(
      module: path.split(separator: "/").first.map(String.init) ?? "", path: "Sources/\(path)",
      lines: text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
  }
}()

/// The names of the folders under `Sources` that hold Swift files.
let moduleNames: [String] = Set(sourceFiles.map(\.module)).sorted()
