import Documents
import Programs

/// A program's text form, cut so that each rank's file carries its own part.
struct ProgramLines {
  /// Everything before the codes: ranks, communicators, exchanges, works.
  private(set) var head = ""
  /// Behind the codes: the table of traffic; empty without one.
  private(set) var traffic = ""
  private(set) var codes: [Lines] = []

  struct Lines {
    var header: String
    /// Lines up to each task: its own, and the slots that begin before it.
    var statements: [String] = []
    /// Slots behind the last task.
    var end = ""
  }

  init(_ program: Program) {
    var open = ""
    for line in program.text.utf8.split(separator: UInt8(ascii: "\n")) {
      let line = String(decoding: line, as: UTF8.self)
      if line.hasPrefix("code ") {
        endCode(&open)
        codes.append(Lines(header: line))
      } else if line.hasPrefix("traffic ") || !traffic.isEmpty {
        endCode(&open)
        traffic += line + "\n"
      } else if codes.isEmpty {
        head += line + "\n"
      } else {
        open += (open.isEmpty ? "" : "\n") + line
        if line.hasPrefix("    ") {
          codes[codes.count - 1].statements.append(open)
          open = ""
        }
      }
    }
    endCode(&open)
  }

  private mutating func endCode(_ open: inout String) {
    if !codes.isEmpty, !open.isEmpty { codes[codes.count - 1].end = open }
    open = ""
  }
}

extension ProgramLines.Lines {
  var text: String { ([header] + statements + (end.isEmpty ? [] : [end])).map { $0 + "\n" }.joined() }
}

/// The program that files of this project's writer carry, put together as they are read.
struct CarriedProgram {
  private var head: String?
  private var headFile = ""
  private var codeOfRank: [Int32] = []
  private var codes: [Int: String] = [:]
  private var traffic: String?
  private var lacksTraffic = false
  private var otherFiles = 0

  enum Restored {
    case none
    case incomplete(String)
    case whole(VerifiedProgram)
  }

  static let version = "1"

  /// Takes over what a file carries, and checks that it fits what other files carry.
  mutating func add(_ file: ChakraFile) throws(Diagnostic) {
    typealias Name = ChakraOwnAttributes.Name
    guard let head = file.own[Name.program] else {
      otherFiles += 1
      return
    }
    func broken(_ problem: String, found: String? = nil, allowed: String? = nil) -> Diagnostic {
      Diagnostic(
        .data, problem, file: file.recording.file, path: "the GlobalMetadata at byte 0", found: found,
        allowed: allowed)
    }
    guard file.own[Name.version] == Self.version else {
      throw broken(
        "the program is carried in another version", found: file.own[Name.version] ?? "none",
        allowed: Self.version)
    }
    if self.head == nil {
      do {
        codeOfRank = try Program(text: head).codeOfRank
      } catch {
        throw broken("the program that the file carries cannot be read", found: error.description)
      }
      self.head = head
      headFile = file.recording.file
    }
    guard self.head == head else {
      throw broken("the files carry different programs", found: "another than \(headFile)")
    }
    guard let code = file.own[Name.code], let end = code.utf8.firstIndex(of: UInt8(ascii: "\n")),
      let index = Int(code[..<end]), codeOfRank.indices.contains(file.recording.rank),
      index == Int(codeOfRank[file.recording.rank])
    else { throw broken("the file does not carry the code that its rank runs", found: file.own[Name.code]) }
    var lines = ProgramLines.Lines(header: String(code[code.utf8.index(after: end)...]))
    lines.statements = file.builder.statements
    lines.end = file.own[Name.codeEnd] ?? ""
    let text = lines.text
    guard codes[index, default: text] == text else {
      throw broken("two ranks that run the same code carry different tasks", found: "code \(index)")
    }
    codes[index] = text
    for (name, value) in file.own where name.hasPrefix(Name.code + "_text_") {
      if let index = Int(name.dropFirst(Name.code.count + 6)) { codes[index] = value }
    }
    if let traffic = file.own[Name.traffic] {
      if traffic.isEmpty { lacksTraffic = true } else { self.traffic = traffic }
    }
  }

  /// The program, where every code is known.
  func restored() throws(Diagnostic) -> Restored {
    guard let head else { return .none }
    if otherFiles > 0 { return .incomplete("\(otherFiles) files carry none") }
    if lacksTraffic, traffic == nil {
      return .incomplete("the file of rank 0 is missing, which carries the traffic")
    }
    let count = max(Int(codeOfRank.max() ?? -1), codes.keys.max() ?? -1) + 1
    var text = head
    for index in 0..<count {
      guard let code = codes[index] else {
        return .incomplete("no file is of a rank that runs code \(index) of \(count)")
      }
      text += code
    }
    do {
      return .whole(try VerifiedProgram(Program(text: text + (traffic ?? ""))))
    } catch {
      throw Diagnostic(
        .data, "the program that the files carry cannot be read", file: headFile,
        path: "the nodes' statements",
        found: "\(error)")
    }
  }
}
