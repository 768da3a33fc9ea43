/// One line of a written program, taken apart into words, that is read from left to right.
struct TextStatement {
  struct Word {
    var text: String
    var column: Int
    var isQuoted: Bool
  }

  let file: String?
  let line: Int
  private let words: [Word]
  private let endColumn: Int
  private var next = 0

  /// The statements of a text, without empty lines and comments.
  ///
  /// - Complexity: O(length).
  static func statements(
    of text: String, file: String?, _ visit: (inout TextStatement) throws(ProgramTextError) -> Void
  ) throws(ProgramTextError) {
    var number = 0
    var scalars: [Unicode.Scalar] = []
    func end() throws(ProgramTextError) {
      number += 1
      if scalars.last == "\r" { scalars.removeLast() }
      var statement = try TextStatement(scalars, line: number, file: file)
      scalars.removeAll(keepingCapacity: true)
      if !statement.words.isEmpty { try visit(&statement) }
    }
    for scalar in text.unicodeScalars {
      if scalar == "\n" {
        try end()
      } else {
        scalars.append(scalar)
      }
    }
    try end()
  }

  private init(_ scalars: [Unicode.Scalar], line: Int, file: String?) throws(ProgramTextError) {
    self.file = file
    self.line = line
    endColumn = scalars.count + 1
    var words: [Word] = []
    var index = 0
    while index < scalars.count {
      if scalars[index] == " " || scalars[index] == "\t" {
        index += 1
      } else if scalars[index] == "#" && words.isEmpty {
        break
      } else if scalars[index] == "\"" {
        let column = index + 1
        guard let name = Self.name(in: scalars, from: &index) else {
          throw ProgramTextError(
            file: file, line: line, column: column, problem: "a name does not end as it should",
            allowed: "\"…\" with \\\", \\\\, \\n and \\r inside")
        }
        words.append(Word(text: name, column: column, isQuoted: true))
      } else {
        let column = index + 1
        var text = ""
        while index < scalars.count, scalars[index] != " ", scalars[index] != "\t" {
          text.unicodeScalars.append(scalars[index])
          index += 1
        }
        words.append(Word(text: text, column: column, isQuoted: false))
      }
    }
    self.words = words
  }

  /// Reads a quoted name and leaves `index` behind it; nil where it does not end, or something is glued to
  /// its end.
  private static func name(in scalars: [Unicode.Scalar], from index: inout Int) -> String? {
    var name = ""
    index += 1
    while index < scalars.count {
      let scalar = scalars[index]
      index += 1
      if scalar == "\"" {
        return index == scalars.count || scalars[index] == " " || scalars[index] == "\t" ? name : nil
      }
      guard scalar == "\\" else {
        name.unicodeScalars.append(scalar)
        continue
      }
      guard index < scalars.count else { return nil }
      switch scalars[index] {
      case "\"": name += "\""
      case "\\": name += "\\"
      case "n": name += "\n"
      case "r": name += "\r"
      default: return nil
      }
      index += 1
    }
    return nil
  }

  // MARK: Reading

  var isAtEnd: Bool { next == words.count }

  /// An error at a word, or behind the last one.
  func error(_ problem: String, at word: Word? = nil, allowed: String? = nil) -> ProgramTextError {
    ProgramTextError(
      file: file, line: line, column: word?.column ?? endColumn, problem: problem,
      found: word.map { "\"\($0.text.prefix(60))\"" } ?? "the end of the line", allowed: allowed)
  }

  mutating func word(_ what: String, allowed: String? = nil) throws(ProgramTextError) -> Word {
    guard next < words.count else { throw error("\(what) is missing", allowed: allowed) }
    defer { next += 1 }
    return words[next]
  }

  mutating func name() throws(ProgramTextError) -> String {
    let word = try word("a name", allowed: "a name in quotes")
    guard word.isQuoted else { throw error("a name stands in quotes", at: word) }
    return word.text
  }

  /// One of some choices, by what they are called.
  mutating func choice<Choice>(
    _ what: String, of choices: [Choice], called name: (Choice) -> String
  ) throws(ProgramTextError) -> Choice {
    func names() -> String { choices.map(name).joined(separator: ", ") }
    guard next < words.count else { throw error("\(what) is missing", allowed: names()) }
    let word = try word(what)
    guard !word.isQuoted, let choice = choices.first(where: { name($0) == word.text }) else {
      throw error("there is no such \(what)", at: word, allowed: names())
    }
    return choice
  }

  mutating func integer(_ what: String, in range: ClosedRange<Int>) throws(ProgramTextError) -> Int {
    let allowed = "\(range.lowerBound) to \(range.upperBound)"
    let word = try word(what, allowed: allowed)
    guard !word.isQuoted, let value = Int(word.text), range.contains(value) else {
      throw error("\(what) is a whole number", at: word, allowed: allowed)
    }
    return value
  }

  /// One field `key=value` in its place.
  mutating func number(named key: String) throws(ProgramTextError) -> Int {
    let word = try word("the field \(key)", allowed: "\(key)=number")
    guard !word.isQuoted, word.text.hasPrefix("\(key)="),
      let value = Int32(word.text.dropFirst(key.count + 1)), value >= 0
    else { throw error("\(key) is a whole number", at: word, allowed: "\(key)=0 to \(key)=\(Int32.max)") }
    return Int(value)
  }

  mutating func keyword(_ text: String) throws(ProgramTextError) {
    let word = try word("\"\(text)\"", allowed: text)
    guard !word.isQuoted, word.text == text else {
      throw error("another word stands here", at: word, allowed: text)
    }
  }

  func end() throws(ProgramTextError) {
    if next < words.count { throw error("the line goes on where it should end", at: words[next]) }
  }

  /// The rest of the line, all of it `key=value`, each key one of some and at most once.
  mutating func fields(_ keys: [String]) throws(ProgramTextError) -> TextFields {
    var values: [String: Word] = [:]
    while !isAtEnd {
      let word = try word("a field")
      guard !word.isQuoted, let equals = word.text.firstIndex(of: "=") else {
        throw error("a field has the form key=value", at: word, allowed: keys.joined(separator: ", "))
      }
      let key = String(word.text[..<equals])
      guard keys.contains(key) else {
        throw error("there is no such field here", at: word, allowed: keys.joined(separator: ", "))
      }
      guard values[key] == nil else { throw error("a field stands twice", at: word) }
      let value = String(word.text[word.text.index(after: equals)...])
      values[key] = Word(text: value, column: word.column + key.unicodeScalars.count + 1, isQuoted: false)
    }
    return TextFields(statement: self, values: values)
  }
}

/// The `key=value` fields of a line.
struct TextFields {
  let statement: TextStatement
  let values: [String: TextStatement.Word]

  func required(_ key: String) throws(ProgramTextError) -> TextStatement.Word {
    guard let word = values[key] else { throw statement.error("the field \(key) is missing") }
    return word
  }

  func integer<Number: FixedWidthInteger>(
    _ key: String, in range: ClosedRange<Number>, default standard: Number? = nil
  ) throws(ProgramTextError) -> Number {
    if let standard, values[key] == nil { return standard }
    let word = try required(key)
    guard let value = Number(word.text), range.contains(value) else {
      throw statement.error(
        "\(key) is a whole number", at: word, allowed: "\(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// One of some choices, by what they are called.
  func choice<Choice>(
    _ key: String, of choices: [Choice], called name: (Choice) -> String, default standard: Choice
  ) throws(ProgramTextError) -> Choice {
    guard let word = values[key] else { return standard }
    guard let choice = choices.first(where: { name($0) == word.text }) else {
      throw statement.error(
        "there is no such \(key)", at: word, allowed: choices.map(name).joined(separator: ", "))
    }
    return choice
  }

  /// A finite number that is not negative.
  func number(_ key: String) throws(ProgramTextError) -> Double {
    let word = try required(key)
    guard let value = Double(word.text), value.isFinite, value >= 0 else {
      throw statement.error("\(key) is a number", at: word, allowed: "a finite number from 0 on")
    }
    return value
  }
}
