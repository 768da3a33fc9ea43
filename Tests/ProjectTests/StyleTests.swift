import Testing

/// Text that must not stand in the code of a library, with the reason.
private let forbiddenText: [(text: String, reason: String)] = [
  ("fatalError(\"TODO", "unfinished work"),
  ("try!", "an error that would stop the program"),
  (" as! ", "a cast that would stop the program"),
  ("nonisolated(unsafe)", "shared mutable state"),
]

/// Folders of a developer's machine; descriptions travel with the package.
private let machinePaths = ["/root", "/tmp/", "/work/", "/home/", "/Users/", "../shared"]

@Suite struct StyleTests {
  @Test func `no file is longer than 500 lines`() {
    for file in sourceFiles {
      #expect(file.lines.count <= 501, "\(file.path) has \(file.lines.count) lines")
    }
  }

  @Test func `no line is longer than 120 columns`() {
    for file in sourceFiles {
      for (index, line) in file.lines.enumerated() where line.count > 120 {
        Issue.record("\(file.path):\(index + 1) has \(line.count) columns")
      }
    }
  }

  @Test func `libraries do not print`() {
    let calls = ["print(", "debugPrint(", "dump(", "FileHandle.standardError", "FileHandle.standardOutput"]
    for file in sourceFiles where file.module != "rehearse" {
      for (number, text) in file.code {
        for call in calls where isCalled(call, in: text) {
          Issue.record("\(file.path):\(number) writes to the terminal: \(text)")
        }
      }
    }
  }

  @Test func `nothing stops the program on bad input`() {
    for file in sourceFiles {
      for (number, line) in file.code {
        for (text, reason) in forbiddenText where line.contains(text) {
          Issue.record("\(file.path):\(number): \(text) (\(reason))")
        }
      }
    }
  }

  @Test func `no source names a folder of one machine`() {
    for file in sourceFiles {
      for (index, line) in file.lines.enumerated() {
        for path in machinePaths where line.contains(path) {
          Issue.record("\(file.path):\(index + 1) names \(path)")
        }
      }
    }
  }

  @Test func `every public type says what it is`() {
    for file in sourceFiles {
      for (index, line) in file.lines.enumerated() where declaresPublicType(line) {
        let isDocumented = hasDocumentation(above: index, in: file.lines)
        #expect(isDocumented, "\(file.path):\(index + 1): \(line)")
      }
    }
  }

  @Test func `a call is told from a longer name`() {
    #expect(isCalled("print(", in: "  print(1)"))
    #expect(!isCalled("print(", in: "  fingerprint(1)"))
    #expect(!isCalled("dump(", in: "  node.dump(1)"))
  }

  @Test func `documentation is found above attributes`() {
    let lines = ["/// A thing.", "@frozen", "public struct Thing {", "}", "public enum Other {"]
    #expect(declaresPublicType(lines[2]) && hasDocumentation(above: 2, in: lines))
    #expect(declaresPublicType(lines[4]) && !hasDocumentation(above: 4, in: lines))
    #expect(!declaresPublicType("public struct Sub: Sendable {}  ".replacing("public ", with: "")))
  }
}

/// Whether a free function is called, rather than a method or a function whose name only ends like it.
private func isCalled(_ call: String, in line: String) -> Bool {
  var rest = Substring(line)
  while let range = rest.firstRange(of: call) {
    let before = rest[..<range.lowerBound].last
    if before.map({ !($0.isLetter || $0.isNumber || "_.`".contains($0)) }) ?? true { return true }
    rest = rest[range.upperBound...]
  }
  return false
}

private func declaresPublicType(_ line: String) -> Bool {
  let words = line.split(separator: " ")
  guard words.first == "public" else { return false }
  let kinds: Set<Substring> = ["struct", "enum", "class", "protocol", "actor"]
  let modifiers: Set<Substring> = ["indirect", "final"]
  return words.dropFirst().first { !modifiers.contains($0) }.map(kinds.contains) ?? false
}

private func hasDocumentation(above index: Int, in lines: [String]) -> Bool {
  for line in lines[..<index].reversed() {
    let text = line.drop { $0 == " " }
    if text.hasPrefix("///") { return true }
    if !text.hasPrefix("@") { return false }
  }
  return false
}
