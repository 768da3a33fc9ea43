/// Lists of ranks as people write them: `0..7` for eight in a row, `0..56/8` for every eighth, `5` for one.
enum RankLists {
  /// Cuts a list into arithmetic progressions, greedily from its front.
  ///
  /// - Complexity: O(members).
  static func text(of members: ArraySlice<Int32>) -> String {
    var pieces: [String] = []
    var start = members.startIndex
    while start < members.endIndex {
      var end = start + 1
      if end < members.endIndex, members[end] > members[start] {
        let step = members[end] - members[start]
        while end < members.endIndex, members[end] - members[end - 1] == step { end += 1 }
        // Two ranks that happen to follow each other are no row.
        if end - start == 2 && step > 1 { end = start + 1 }
        if end - start > 1 {
          pieces.append("\(members[start])..\(members[end - 1])" + (step == 1 ? "" : "/\(step)"))
          start = end
          continue
        }
      }
      pieces.append("\(members[start])")
      start += 1
    }
    return pieces.joined(separator: " ")
  }

  /// The members that one piece names, or nil where it is none or names a rank beyond `ranks`.
  static func members(of piece: String, ranks: Int) -> StrideThrough<Int>? {
    let parts = piece.split(separator: "/", omittingEmptySubsequences: false)
    guard let row = parts.first, parts.count <= 2 else { return nil }
    let step = parts.count == 2 ? Int(parts[1]) : 1
    let ends = row.split(separator: ".", omittingEmptySubsequences: false)
    let first: Int?
    let last: Int?
    switch ends.count {
    case 1 where parts.count == 1:
      first = Int(ends[0])
      last = first
    case 3 where ends[1].isEmpty:
      first = Int(ends[0])
      last = Int(ends[2])
    default: return nil
    }
    guard let first, let last, let step, first >= 0, last >= first, last < ranks, step > 0 else { return nil }
    return stride(from: first, through: last, by: step)
  }
}
