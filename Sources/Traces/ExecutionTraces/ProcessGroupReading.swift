import Documents

extension JSONReader {
  /// Groups as PyTorch lists them: `[{"pg_name": "0", "pg_desc": "default_pg", "ranks": [0, 1], "pg_size": 2}]`.
  ///
  /// An empty list of ranks stands for all ranks of the job.
  mutating func processGroups() throws -> [ProcessGroup] {
    var groups: [ProcessGroup] = []
    try beginArray()
    while try nextElement() {
      guard try peek() == .object else {
        try skipValue()
        continue
      }
      groups.append(try processGroup())
    }
    return groups
  }

  private mutating func processGroup() throws -> ProcessGroup {
    var group = ProcessGroup(name: "")
    try beginObject()
    while try nextKey() {
      if tokenIs("pg_name") {
        // Old versions write a number.
        let name = try tree()
        group.name = name.string ?? name.integer.map(String.init) ?? ""
      } else if tokenIs("pg_desc") {
        group.description = try tree().string ?? ""
      } else if tokenIs("pg_size") || tokenIs("group_size") {
        group.size = try tree().integer.flatMap { 1..<Int64(Int32.max) ~= $0 ? Int($0) : nil }
      } else if tokenIs("ranks") {
        group.ranks = try groupRanks()
      } else {
        try skipValue()
      }
    }
    if group.ranks == [] { group.ranks = nil }
    if let ranks = group.ranks { group.size = ranks.count }
    return group
  }

  /// A list, or its text; nil where it is cut off or holds anything but ranks.
  private mutating func groupRanks() throws -> [Int32]? {
    var values: [Int64?]
    if try peek() == .string {
      try string()
      values = SplitList(token)?.values ?? [nil]
    } else {
      values = try tree().list?.map(\.integer) ?? [nil]
    }
    let ranks = values.compactMap { $0.flatMap { Int32(exactly: $0) } }
    return ranks.count == values.count && ranks.allSatisfy { $0 >= 0 } ? ranks : nil
  }
}
