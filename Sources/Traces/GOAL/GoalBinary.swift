import Documents

extension GoalSchedule {
  static let magic: UInt64 = 4223
  /// Bytes of one operation in the file, packed.
  private static let nodeBytes = 39
  /// Stands behind the last rank where this project wrote the file; then the program's text form follows.
  private static let programMark = Array("rehearsal program\n".utf8)

  /// Reads a schedule in the binary form of `txt2bin`: little-endian, offsets counted from behind the magic number.
  ///
  /// - Throws: A ``Diagnostic`` with the byte where the file stops being a schedule.
  public init(binary source: consuming ByteSource) throws {
    let (file, isPacked) = (source.file, source.isPacked)
    let bytes = try source.rest()
    self = try bytes.withUnsafeBytes {
      try GoalBinaryReader(bytes: $0, file: file, isPacked: isPacked).read()
    }
  }

  /// The binary form.
  public var binary: [UInt8] {
    var bytes: [UInt8] = []
    Self.put(Self.magic, &bytes)
    Self.put(UInt32(ranks.count), &bytes)
    bytes.append(ranks.lazy.compactMap { $0.cpu.max() }.max() ?? 0)
    bytes.append(ranks.lazy.compactMap { $0.nic.max() }.max() ?? 0)
    let table = bytes.count
    bytes += repeatElement(0, count: 16 * ranks.count)
    for (number, rank) in ranks.enumerated() {
      let start = bytes.count - 8
      rank.putBinary(&bytes)
      var entry: [UInt8] = []
      Self.put(UInt64(start), &entry)
      Self.put(UInt64(bytes.count - 8), &entry)
      bytes.replaceSubrange(table + 16 * number..<table + 16 * number + 16, with: entry)
    }
    if let programText { bytes += Self.programMark + programText.utf8 }
    return bytes
  }

  fileprivate static func put<Number: FixedWidthInteger>(_ number: Number, _ bytes: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// Walks over a whole binary file.
  private struct GoalBinaryReader {
    let bytes: UnsafeRawBufferPointer
    let file: String
    let isPacked: Bool

    func error(_ problem: String, at place: Int, found: String? = nil, allowed: String? = nil) -> Diagnostic {
      Diagnostic(
        .data, problem, file: file, path: "byte \(place)" + (isPacked ? " of the unpacked file" : ""),
        found: found,
        allowed: allowed)
    }

    func number<Number: FixedWidthInteger>(_ place: Int, _ type: Number.Type) -> Number {
      Number(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: type))
    }

    private func cutOff(_ what: String) -> Diagnostic {
      error("the schedule is cut off", at: bytes.count, found: "the end of the file", allowed: what)
    }

    func read() throws(Diagnostic) -> GoalSchedule {
      guard bytes.count >= 14 else { throw cutOff("a header of 14 bytes") }
      guard number(0, UInt64.self) == GoalSchedule.magic else {
        throw error("this is no binary schedule", at: 0, found: "\(number(0, UInt64.self))", allowed: "4223")
      }
      let count = Int(number(8, UInt32.self))
      guard (1...GoalSchedule.rankLimit).contains(count) else {
        throw error(
          "a schedule has ranks", at: 8, found: "\(count)", allowed: "1 to \(GoalSchedule.rankLimit)")
      }
      guard bytes.count >= 14 + 16 * count else { throw cutOff("the places of \(count) ranks") }
      var schedule = GoalSchedule()
      schedule.ranks.reserveCapacity(count)
      var end = 14 + 16 * count
      for rank in 0..<count {
        let entry = 14 + 16 * rank
        guard let start = Int(exactly: number(entry, UInt64.self)),
          let stop = Int(exactly: number(entry + 8, UInt64.self)),
          start >= end - 8, stop >= start, stop <= Int.max - 8
        else {
          throw error(
            "a rank's place is none", at: entry,
            found: "\(number(entry, UInt64.self)) to \(number(entry + 8, UInt64.self))",
            allowed: "behind byte \(end)")
        }
        guard stop + 8 <= bytes.count else { throw cutOff("rank \(rank) up to byte \(stop + 8)") }
        end = stop + 8
        schedule.ranks.append(try readRank(start + 8..<end, ranks: count))
      }
      let mark = GoalSchedule.programMark
      let rest = UnsafeRawBufferPointer(rebasing: bytes[end...])
      if rest.starts(with: mark) {
        schedule.programText = String(decoding: rest[mark.count...], as: UTF8.self)
      }
      return schedule
    }

    private func readRank(_ range: Range<Int>, ranks: Int) throws(Diagnostic) -> GoalSchedule.Rank {
      var rank = GoalSchedule.Rank()
      guard range.count >= 8 else {
        throw error(
          "a rank has no counts", at: range.lowerBound, found: "\(range.count) bytes", allowed: "8 or more")
      }
      let count = Int(number(range.lowerBound, UInt32.self))
      let roots = Int(number(range.lowerBound + 4, UInt32.self))
      let nodes = range.lowerBound + 8 + 4 * roots
      let appendix = nodes + GoalSchedule.nodeBytes * count
      guard appendix <= range.upperBound, count <= Int(Int32.max) else {
        throw error(
          "a rank is longer than its place", at: range.lowerBound,
          found: "\(count) operations, \(roots) roots",
          allowed: "\(range.count) bytes")
      }
      let edges = (range.upperBound - appendix) / 4
      // Every entry of the appendix is of one operation; so a short file cannot ask for many dependencies.
      var used = 0
      var awaited = [UInt32](repeating: 0, count: count)
      func targets(_ place: Int, _ operation: Int, _ list: inout [GoalSchedule.Edge]) throws(Diagnostic) {
        let outgoing = Int(number(place, UInt32.self))
        guard outgoing > 0 else { return }
        let first = Int(number(place + 4, UInt32.self))
        used += outgoing
        guard first + outgoing <= edges, used <= edges else {
          throw error(
            "an operation's dependents lie outside the file", at: place,
            found: "\(first) to \(first + outgoing)",
            allowed: "0 to \(edges)")
        }
        for index in first..<first + outgoing {
          let dependent = number(appendix + 4 * index, UInt32.self)
          guard dependent < UInt32(count) else {
            throw error(
              "an operation does not exist", at: appendix + 4 * index, found: "\(dependent)",
              allowed: "0 to \(count - 1)")
          }
          awaited[Int(dependent)] += 1
          list.append(GoalSchedule.Edge(dependent, after: UInt32(operation)))
        }
      }
      for operation in 0..<count {
        let place = nodes + GoalSchedule.nodeBytes * operation
        try readNode(place, ranks: ranks, &rank)
        try targets(place + 23, operation, &rank.requires)
        try targets(place + 31, operation, &rank.startRequires)
      }
      for operation in 0..<count {
        let place = nodes + GoalSchedule.nodeBytes * operation
        guard number(place, UInt32.self) == awaited[operation] else {
          throw error(
            "an operation waits for another number of operations than name it", at: place,
            found: "\(number(place, UInt32.self))", allowed: "\(awaited[operation])")
        }
      }
      rank.sortEdges()
      return rank
    }

    private func readNode(_ place: Int, ranks: Int, _ rank: inout GoalSchedule.Rank) throws(Diagnostic) {
      guard let kind = GoalSchedule.Kind(rawValue: bytes[place + 4]) else {
        throw error(
          "there is no such operation", at: place + 4, found: "\(bytes[place + 4])",
          allowed: "1 (send), 2 (recv), 3 (calc)")
      }
      let (peer, size) = (number(place + 5, UInt32.self), number(place + 9, UInt64.self))
      let isAnyone = kind == .receive && peer == GoalSchedule.anyone
      guard kind == .calculation || isAnyone || peer < UInt32(ranks) else {
        throw error("there is no such rank", at: place + 5, found: "\(peer)", allowed: "0 to \(ranks - 1)")
      }
      let most = kind == .calculation ? GoalSchedule.longestCalculation : UInt64(Int64.max)
      guard size <= most else {
        throw error("an operation is too large", at: place + 9, found: "\(size)", allowed: "at most \(most)")
      }
      rank.append(
        kind, size: size, peer: peer, tag: number(place + 17, UInt32.self), cpu: bytes[place + 21],
        nic: bytes[place + 22])
    }
  }
}

extension GoalSchedule.Rank {
  fileprivate func putBinary(_ bytes: inout [UInt8]) {
    var awaited = [UInt32](repeating: 0, count: count)
    var after = [[UInt32]](repeating: [], count: count)
    var afterStart = after
    for edge in requires {
      after[Int(edge.target)].append(edge.operation)
      awaited[Int(edge.operation)] += 1
    }
    for edge in startRequires {
      afterStart[Int(edge.target)].append(edge.operation)
      awaited[Int(edge.operation)] += 1
    }
    let roots = (0..<count).filter { awaited[$0] == 0 }
    GoalSchedule.put(UInt32(count), &bytes)
    GoalSchedule.put(UInt32(roots.count), &bytes)
    for root in roots { GoalSchedule.put(UInt32(root), &bytes) }
    var index: UInt32 = 0
    for operation in 0..<count {
      GoalSchedule.put(awaited[operation], &bytes)
      bytes.append(kind[operation].rawValue)
      GoalSchedule.put(peer[operation], &bytes)
      GoalSchedule.put(size[operation], &bytes)
      GoalSchedule.put(tag[operation], &bytes)
      bytes.append(cpu[operation])
      bytes.append(nic[operation])
      for list in [after[operation], afterStart[operation]] {
        GoalSchedule.put(UInt32(list.count), &bytes)
        GoalSchedule.put(index, &bytes)
        index += UInt32(list.count)
      }
    }
    for operation in 0..<count {
      for dependent in after[operation] + afterStart[operation] { GoalSchedule.put(dependent, &bytes) }
    }
  }
}
