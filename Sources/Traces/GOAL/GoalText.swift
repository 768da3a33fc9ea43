import Documents

extension GoalSchedule {
  /// Comment lines of this project's writer that hold the program's text form begin so.
  static let programComment = "// rehearsal: "

  /// Reads a schedule's text form.
  ///
  /// As `txt2bin` does, an operation may have no label, `tag`, `cpu` and `nic` are 0 where they are absent, and
  /// dependencies name labels of their rank that stand before them.
  /// - Throws: A ``Diagnostic`` with the byte where the text stops being a schedule.
  public init(text source: consuming ByteSource) throws {
    var reader = GoalTextReader(file: source.file, isPacked: source.isPacked)
    var offset = source.offset
    while let line = try source.line() {
      try reader.read(line, at: offset)
      offset = source.offset
    }
    self = try reader.finish(at: offset)
  }

  /// The text form: labels are `l1`, `l2`, … in each rank.
  public var text: String { text(comments: []) }

  /// - Parameter comments: Of each rank, lines that stand before operations.
  func text(comments: [[GoalComment]]) -> String {
    var text = ""
    write(comments: comments) { text += $0 }
    return text
  }

  /// Hands the text over in pieces, a rank each.
  func write(comments: [[GoalComment]] = [], _ put: (String) throws -> Void) rethrows {
    try put("num_ranks \(ranks.count)\n")
    if let programText {
      var comment = ""
      for line in programText.utf8.split(separator: UInt8(ascii: "\n")) {
        comment += Self.programComment + String(decoding: line, as: UTF8.self) + "\n"
      }
      try put(comment)
    }
    for (number, rank) in ranks.enumerated() {
      try put(rank.text(number: number, comments: number < comments.count ? comments[number] : []))
    }
  }
}

/// A line that stands before an operation.
struct GoalComment: Hashable {
  var operation: Int
  var text: String
}

extension GoalSchedule.Rank {
  fileprivate func text(number: Int, comments: [GoalComment]) -> String {
    var text = "\nrank \(number) {\n"
    // Dependencies stand behind the operation that they are of, or behind the later of the two.
    var edges = [[String]](repeating: [], count: count)
    for edge in requires {
      edges[Int(max(edge.operation, edge.target))].append(
        "l\(edge.operation + 1) requires l\(edge.target + 1)\n")
    }
    for edge in startRequires {
      edges[Int(max(edge.operation, edge.target))].append(
        "l\(edge.operation + 1) irequires l\(edge.target + 1)\n")
    }
    var nextComment = 0
    for index in 0..<count {
      while nextComment < comments.count, comments[nextComment].operation == index {
        text += "// \(comments[nextComment].text)\n"
        nextComment += 1
      }
      text += "l\(index + 1): "
      switch kind[index] {
      case .calculation:
        text += "calc \(size[index])" + (cpu[index] == 0 ? "" : " cpu \(cpu[index])")
      case .send, .receive:
        let other = peer[index] == GoalSchedule.anyone ? "-1" : "\(peer[index])"
        let tag = tag[index] == .max ? "-1" : "\(tag[index])"
        text +=
          kind[index] == .send ? "send \(size[index])b to \(other)" : "recv \(size[index])b from \(other)"
        text +=
          " tag \(tag)" + (cpu[index] == 0 ? "" : " cpu \(cpu[index])")
          + (nic[index] == 0 ? "" : " nic \(nic[index])")
      }
      text += "\n"
      for edge in edges[index] { text += edge }
    }
    return text + "}\n"
  }
}
