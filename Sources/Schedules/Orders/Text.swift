import Documents

extension PipelineOrder {
  /// One line for the order and one for each rank; ``init(text:file:)`` reads it back.
  ///
  /// ```text order schedule=zb-h1 placement=straight ranks=2 parts=1 micro-batches=2 0: F0.0 F0.1 b0.0 w0.0
  /// b0.1 w0.1 1: F0.0 b0.0 F0.1 b0.1 w0.0 w0.1 ```
  public var text: String {
    var text = "order schedule=\(schedule) placement=\(placement.rawValue) ranks=\(ranks) parts=\(parts)"
    text += " micro-batches=\(microBatches)\n"
    for (rank, slots) in slots.enumerated() {
      text += "\(rank):"
      for slot in slots { text += " \(slot)" }
      text += "\n"
    }
    return text
  }

  /// Reads the text form; blank lines and lines that begin with `#` are left out.
  ///
  /// The order is only read, not validated: see ``validate()``.
  ///
  /// - Parameter file: Name for errors.
  /// - Throws: A ``Diagnostic`` with status `data`, whose path is line and column, both from 1.
  public init(text: String, file: String? = nil) throws {
    var header: OrderHeader?
    var slots: [[Slot]] = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      var words = Words(line, line: number + 1, file: file)
      guard let first = words.next(), !first.text.hasPrefix("#") else { continue }
      guard let known = header else {
        header = try OrderHeader(first, &words)
        continue
      }
      guard slots.count < known.ranks else {
        throw words.error("more ranks than the header says", first, allowed: "\(known.ranks) ranks")
      }
      guard first.text == "\(slots.count):" else {
        throw words.error("a rank's line begins with its number", first, allowed: "\(slots.count):")
      }
      var order: [Slot] = []
      while let word = words.next() { order.append(try words.slot(word)) }
      slots.append(order)
    }
    guard let header else {
      throw Diagnostic(
        .data, "the order has no header", file: file, path: "line 1, column 1", found: "nothing",
        allowed: OrderHeader.form)
    }
    guard slots.count == header.ranks else {
      throw Diagnostic(
        .data, "ranks are missing", file: file, path: "the end", found: "\(slots.count) ranks",
        allowed: "\(header.ranks) ranks")
    }
    self.init(
      schedule: header.schedule, placement: header.placement, parts: header.parts,
      microBatches: header.microBatches, slots: slots)
  }
}

/// The first line: `order` and one `key=value` for each property.
private struct OrderHeader {
  static let form = "order schedule=NAME placement=PLACEMENT ranks=N parts=N micro-batches=N"

  let schedule: String
  let placement: StagePlacement
  let ranks: Int
  let parts: Int
  let microBatches: Int

  init(_ first: Words.Word, _ words: inout Words) throws {
    guard first.text == "order" else { throw words.error("the header is missing", first, allowed: Self.form) }

    func value(of key: String) throws -> Words.Word {
      guard let word = words.next() else {
        throw words.errorAtEnd("the header ends early", allowed: "\(key)=...")
      }
      guard word.text.hasPrefix(key + "=") else {
        throw words.error("another property is needed here", word, allowed: "\(key)=...")
      }
      return Words.Word(text: word.text.dropFirst(key.count + 1), column: word.column + key.count + 1)
    }
    func count(of key: String, atMost limit: Int) throws -> Int {
      let word = try value(of: key)
      guard let count = Words.number(word.text), count >= 1, count <= limit else {
        throw words.error("a whole number is needed here", word, allowed: "1 to \(limit)")
      }
      return count
    }

    let name = try value(of: "schedule")
    guard !name.text.isEmpty, name.text.utf8.allSatisfy(Words.isNameCharacter) else {
      throw words.error("a schedule's name is needed here", name, allowed: "letters, digits, - _ .")
    }
    schedule = String(name.text)
    let placementName = try value(of: "placement")
    guard let placement = StagePlacement(rawValue: String(placementName.text)) else {
      throw words.error(
        "unknown placement", placementName,
        allowed: StagePlacement.allCases.map(\.rawValue).joined(separator: ", "))
    }
    self.placement = placement
    ranks = try count(of: "ranks", atMost: 1 << 16)
    parts = try count(of: "parts", atMost: 1 << 10)
    microBatches = try count(of: "micro-batches", atMost: 1 << 20)
    if let extra = words.next() { throw words.error("the header is complete", extra, allowed: "nothing") }
  }
}

/// The words of a line, with their columns.
private struct Words {
  struct Word {
    let text: Substring
    /// In characters, from 1.
    let column: Int
  }

  private var rest: Substring
  private var column = 1
  private let line: Int
  private let file: String?

  init(_ text: Substring, line: Int, file: String?) {
    rest = text
    self.line = line
    self.file = file
  }

  mutating func next() -> Word? {
    let blank = rest.prefix { $0 == " " || $0 == "\t" || $0 == "\r" }
    column += blank.count
    rest = rest[blank.endIndex...]
    guard !rest.isEmpty else { return nil }
    let text = rest.prefix { $0 != " " && $0 != "\t" && $0 != "\r" }
    defer {
      column += text.count
      rest = rest[text.endIndex...]
    }
    return Word(text: text, column: column)
  }

  /// `F0.7`, or `F0.7&B1.3`.
  func slot(_ word: Word) throws -> Slot {
    let halves = word.text.split(separator: "&", maxSplits: 1, omittingEmptySubsequences: false)
    let first = try chunk(Word(text: halves[0], column: word.column))
    guard halves.count == 2 else { return .chunk(first) }
    let secondWord = Word(text: halves[1], column: word.column + halves[0].count + 1)
    let second = try chunk(secondWord)
    guard first.pass == .forward else {
      throw error("a pair begins with its forward", word, allowed: "F&B")
    }
    guard second.pass.sendsGradient else {
      throw error("a pair ends with its backward", secondWord, allowed: "F&B or F&b")
    }
    return .overlapped(forward: first, backward: second)
  }

  private func chunk(_ word: Word) throws -> Chunk {
    guard let letter = word.text.first, let pass = ChunkPass(letter: letter) else {
      throw error("a chunk begins with its pass", word, allowed: "F, B, b or w")
    }
    let numbers = word.text.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
    guard numbers.count == 2, let part = Self.number(numbers[0]), let microBatch = Self.number(numbers[1]),
      part < 1 << 10, microBatch < 1 << 20
    else {
      throw error(
        "a chunk names its part and micro-batch", word, allowed: "\(letter)PART.MICROBATCH, as \(letter)0.7")
    }
    return Chunk(pass, part: part, microBatch: microBatch)
  }

  /// A number as the text form prints it: digits, no sign, no leading zero.
  static func number(_ text: Substring) -> Int? {
    let digits = text.utf8
    guard (1...9).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
      digits.count == 1 || digits.first != 0x30
    else { return nil }
    return Int(text)
  }

  static func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
    default: false
    }
  }

  func error(_ problem: String, _ word: Word, allowed: String) -> Diagnostic {
    Diagnostic(
      .data, problem, file: file, path: "line \(line), column \(word.column)",
      found: String(word.text.prefix(40)),
      allowed: allowed)
  }

  func errorAtEnd(_ problem: String, allowed: String) -> Diagnostic {
    Diagnostic(
      .data, problem, file: file, path: "line \(line), column \(column)", found: "the end of the line",
      allowed: allowed)
  }
}
