import Documents

/// Reads the text form line by line; a statement never goes over a line's end.
struct GoalTextReader {
  let file: String
  let isPacked: Bool
  private var schedule = GoalSchedule()
  private var rankCount: Int?
  private var isInComment = false
  /// The rank whose block is open.
  private var open: Int?
  private var openAt = 0
  private var labels: [String: UInt32] = [:]
  private var seen: [Bool] = []
  private var programLines = ""
  private var offset = 0
  private var words: [Word] = []

  private struct Word {
    var bytes: UnsafeBufferPointer<UInt8>
    var place: Int

    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// A number without a sign; nil where it is none or does not fit.
    var number: UInt64? { Self.number(bytes) }

    static func number(_ bytes: some Collection<UInt8>) -> UInt64? {
      guard !bytes.isEmpty else { return nil }
      var value: UInt64 = 0
      for byte in bytes {
        let digit = byte &- 48
        let (product, overflows) = value.multipliedReportingOverflow(by: 10)
        let (sum, overflowsToo) = product.addingReportingOverflow(UInt64(digit))
        guard digit < 10, !overflows, !overflowsToo else { return nil }
        value = sum
      }
      return value
    }
  }

  init(file: String, isPacked: Bool) {
    self.file = file
    self.isPacked = isPacked
  }

  private func error(_ problem: String, at place: Int, found: String? = nil, allowed: String? = nil)
    -> Diagnostic
  {
    Diagnostic(
      .data, problem, file: file, path: "byte \(place)" + (isPacked ? " of the unpacked file" : ""),
      found: found,
      allowed: allowed)
  }

  private func unexpected(_ index: Int, _ allowed: String) -> Diagnostic {
    guard index < words.count else {
      return error("a line of the schedule is cut off", at: offset, found: "the line's end", allowed: allowed)
    }
    return error(
      "this is no statement of a schedule", at: words[index].place,
      found: "\"\(words[index].text.prefix(60))\"",
      allowed: allowed)
  }

  mutating func read(_ line: UnsafeBufferPointer<UInt8>, at start: Int) throws(Diagnostic) {
    offset = start + line.count
    if !isInComment, line.begins(with: "// rehearsal: ") {
      programLines +=
        String(decoding: line.dropFirst(GoalSchedule.programComment.utf8.count), as: UTF8.self) + "\n"
      return
    }
    split(line, at: start)
    guard !words.isEmpty else { return }
    if words[0].bytes.holds("num_ranks") { return try readRankCount() }
    if words[0].bytes.holds("rank") { return try readRank() }
    if words[0].bytes.holds("}") {
      guard open != nil else { throw unexpected(0, "a rank that is open") }
      open = nil
      if words.count > 1 { throw unexpected(1, "the line's end") }
      return
    }
    guard let open else { throw unexpected(0, "num_ranks N, rank N {, or }") }
    try readOperation(open)
  }

  /// Takes a line apart at white space, colons and braces, without its comments.
  private mutating func split(_ line: UnsafeBufferPointer<UInt8>, at start: Int) {
    words.removeAll(keepingCapacity: true)
    var index = 0
    while index < line.count {
      let byte = line[index]
      let next = index + 1 < line.count ? line[index + 1] : 0
      if isInComment {
        let ends = byte == UInt8(ascii: "*") && next == UInt8(ascii: "/")
        isInComment = !ends
        index += ends ? 2 : 1
      } else if byte == UInt8(ascii: "/"), next == UInt8(ascii: "/") {
        return
      } else if byte == UInt8(ascii: "/"), next == UInt8(ascii: "*") {
        isInComment = true
        index += 2
      } else if byte == 0x20 || byte == 0x09 || byte == 0x0d {
        index += 1
      } else if Self.isMark(byte) {
        words.append(Word(bytes: UnsafeBufferPointer(rebasing: line[index...index]), place: start + index))
        index += 1
      } else {
        let first = index
        while index < line.count, line[index] > 0x20, !Self.isMark(line[index]),
          line[index] != UInt8(ascii: "/")
        { index += 1 }
        // A lone slash or a control byte is a word, which no statement has.
        if index == first { index += 1 }
        words.append(Word(bytes: UnsafeBufferPointer(rebasing: line[first..<index]), place: start + first))
      }
    }
  }

  private static func isMark(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ":") || byte == UInt8(ascii: "{") || byte == UInt8(ascii: "}")
  }

  private mutating func readRankCount() throws(Diagnostic) {
    guard words.count == 2, let count = words[1].number, (1...UInt64(GoalSchedule.rankLimit)).contains(count)
    else {
      throw unexpected(1, "num_ranks N, N from 1 to \(GoalSchedule.rankLimit)")
    }
    guard rankCount == nil else { throw unexpected(0, "num_ranks once") }
    rankCount = Int(count)
    seen = Array(repeating: false, count: Int(count))
    schedule.ranks = Array(repeating: GoalSchedule.Rank(), count: Int(count))
  }

  private mutating func readRank() throws(Diagnostic) {
    guard let rankCount else { throw unexpected(0, "num_ranks before the first rank") }
    guard open == nil else { throw unexpected(0, "} before the next rank") }
    guard words.count == 3, let number = words[1].number, words[2].bytes.holds("{"),
      number < UInt64(rankCount),
      !seen[Int(number)]
    else { throw unexpected(1, "rank N {, N below \(rankCount), each once") }
    open = Int(number)
    openAt = words[0].place
    seen[Int(number)] = true
    labels.removeAll(keepingCapacity: true)
  }

  private mutating func readOperation(_ rank: Int) throws(Diagnostic) {
    if words.count == 3, words[1].bytes.holds("requires") || words[1].bytes.holds("irequires") {
      let edge = GoalSchedule.Edge(try label(0), after: try label(2))
      if words[1].bytes.holds("requires") {
        schedule.ranks[rank].requires.append(edge)
      } else {
        schedule.ranks[rank].startRequires.append(edge)
      }
      return
    }
    let hasLabel = words.count > 1 && words[1].bytes.holds(":")
    let index = try readAction(rank, hasLabel ? 2 : 0)
    guard hasLabel else { return }
    guard let first = words[0].bytes.first, 65...90 ~= first || 97...122 ~= first else {
      throw unexpected(0, "a label that begins with a letter")
    }
    guard labels.updateValue(index, forKey: words[0].text) == nil else {
      throw unexpected(0, "each label once in a rank")
    }
  }

  private func label(_ index: Int) throws(Diagnostic) -> UInt32 {
    guard let operation = labels[words[index].text] else {
      throw unexpected(index, "a label that stands before in this rank")
    }
    return operation
  }

  private mutating func readAction(_ rank: Int, _ first: Int) throws(Diagnostic) -> UInt32 {
    guard schedule.ranks[rank].count < Int(Int32.max) else { throw unexpected(first, "fewer operations") }
    guard first < words.count else { throw unexpected(first, "send, recv or calc") }
    let kind: GoalSchedule.Kind
    if words[first].bytes.holds("calc") {
      kind = .calculation
    } else if words[first].bytes.holds("send") {
      kind = .send
    } else if words[first].bytes.holds("recv") {
      kind = .receive
    } else {
      throw unexpected(first, "send, recv or calc, or LABEL requires LABEL")
    }
    let size = try size(kind, first + 1)
    var next = first + 2
    var peer: UInt32 = 0
    if kind != .calculation {
      // The unit may stand apart.
      if next < words.count, words[next].bytes.holds("b"), words[first + 1].bytes.last != UInt8(ascii: "b") {
        next += 1
      }
      guard next < words.count, words[next].bytes.holds(kind == .send ? "to" : "from") else {
        throw unexpected(next, kind == .send ? "to RANK" : "from RANK")
      }
      peer = try self.peer(kind, next + 1)
      next += 2
    }
    var (tag, cpu, nic) = (UInt32(0), UInt8(0), UInt8(0))
    while next < words.count {
      if words[next].bytes.holds("cpu") {
        cpu = UInt8(try number(next + 1, upTo: 255))
      } else if kind != .calculation, words[next].bytes.holds("nic") {
        nic = UInt8(try number(next + 1, upTo: 255))
      } else if kind != .calculation, words[next].bytes.holds("tag") {
        let isAny = next + 1 < words.count && words[next + 1].bytes.holds("-1")
        tag = isAny ? .max : UInt32(try number(next + 1, upTo: UInt64(UInt32.max)))
      } else {
        throw unexpected(next, kind == .calculation ? "cpu N" : "tag N, cpu N or nic N")
      }
      next += 2
    }
    return schedule.ranks[rank].append(kind, size: size, peer: peer, tag: tag, cpu: cpu, nic: nic)
  }

  private func size(_ kind: GoalSchedule.Kind, _ index: Int) throws(Diagnostic) -> UInt64 {
    if kind == .calculation { return try number(index, upTo: GoalSchedule.longestCalculation) }
    guard index < words.count else { throw unexpected(index, "a number of bytes: 8b") }
    let bytes = words[index].bytes
    let digits = bytes.last == UInt8(ascii: "b") ? bytes.dropLast() : bytes[...]
    let hasUnit = digits.count < bytes.count || (index + 1 < words.count && words[index + 1].bytes.holds("b"))
    guard hasUnit, let size = Word.number(digits), size <= UInt64(Int64.max) else {
      throw unexpected(index, "a number of bytes: 8b")
    }
    return size
  }

  private func number(_ index: Int, upTo most: UInt64) throws(Diagnostic) -> UInt64 {
    guard index < words.count, let number = words[index].number, number <= most else {
      throw unexpected(index, "a number from 0 to \(most)")
    }
    return number
  }

  private func peer(_ kind: GoalSchedule.Kind, _ index: Int) throws(Diagnostic) -> UInt32 {
    if kind == .receive, index < words.count, words[index].bytes.holds("-1") { return GoalSchedule.anyone }
    return UInt32(try number(index, upTo: UInt64(max(1, rankCount ?? 1) - 1)))
  }

  mutating func finish(at end: Int) throws(Diagnostic) -> GoalSchedule {
    guard rankCount != nil else {
      throw error("this is no schedule", at: end, found: "the end of the file", allowed: "num_ranks N")
    }
    guard open == nil, !isInComment else {
      throw error(
        "the schedule is cut off", at: end, found: "the end of the file",
        allowed: isInComment ? "*/" : "} of the rank that begins at byte \(openAt)")
    }
    if let missing = seen.firstIndex(of: false) {
      throw error(
        "a rank has no operations", at: end, found: "no rank \(missing)",
        allowed: "rank 0 to rank \(seen.count - 1)")
    }
    if !programLines.isEmpty { schedule.programText = programLines }
    for rank in schedule.ranks.indices { schedule.ranks[rank].sortEdges() }
    return schedule
  }
}
