import Documents
import Programs
import Traces
import Units

/// Which of a job's groups grow when it is carried to more ranks.
public enum GrowthDirection: String, CaseIterable, Sendable {
  /// More copies of the model: groups that reduce gradients and gather parameters grow.
  case data
  /// The same, and groups that exchange tokens grow with them: experts are spread over more ranks.
  case expert
}

extension ImportedProgram {
  /// The same job on another number of ranks: as many copies of the recorded one, whose groups of the chosen kinds are
  /// merged over the copies, or its first ranks alone.
  ///
  /// What a rank computes and hands over stays (weak scaling): all-reduces and reduce-scatters keep their buffers,
  /// all-gathers their output, an all-to-all's parts are spread evenly over the copies. Pipelines stay as deep as they
  /// were, each copy with its own.
  /// - Throws: A `Diagnostic` where ranks do not divide.
  public func resharded(to ranks: Int, along direction: GrowthDirection) throws(Diagnostic) -> ImportedProgram
  {
    let old = program.ranks
    guard ranks != old else { return self }
    guard (1...4096).contains(ranks), ranks > old ? ranks % old == 0 : old % ranks == 0 else {
      throw Diagnostic(
        .usage, "the recorded job cannot be carried to so many ranks", path: "--ranks", found: "\(ranks)",
        allowed: "a multiple or a divisor of \(old), at most 4096")
    }
    return ranks > old ? grown(copies: ranks / old, direction) : try shrunk(to: ranks)
  }

  private func grown(copies: Int, _ direction: GrowthDirection) -> ImportedProgram {
    // A group that both reduces and exchanges tokens grows for the one and stays for the other.
    let source = direction == .data ? apart() : self
    return source.merged(copies: copies, direction)
  }

  /// Exchanges of groups that also reduce get a communicator of their own.
  private func apart() -> ImportedProgram {
    var result = self
    for (index, communicator) in program.communicators.enumerated() {
      let uses = uses(of: index)
      guard uses.exchanges, uses.reduces else { continue }
      var own = communicator
      own.name += ", exchanges"
      let place = Int32(result.program.communicators.count)
      result.program.communicators.append(own)
      for code in result.program.codes.indices {
        result.program.codes[code] = result.program.codes[code].moving(from: Int32(index), to: place)
      }
    }
    return result
  }

  private func merged(copies: Int, _ direction: GrowthDirection) -> ImportedProgram {
    var result = self
    let old = program.ranks
    result.program.codeOfRank = (0..<copies).flatMap { _ in program.codeOfRank }
    var merged: [String] = []
    var isMerged: [Bool] = []
    for (index, communicator) in program.communicators.enumerated() {
      let grows = self.grows(index, direction)
      isMerged.append(grows)
      if grows { merged.append(communicator.name) }
      let groups = (0..<communicator.groupCount).map { communicator.group($0).map(Int.init) }
      let all: [[Int]] =
        grows
        ? groups.map { group in (0..<copies).flatMap { copy in group.map { $0 + copy * old } } }
        : (0..<copies).flatMap { copy in groups.map { group in group.map { $0 + copy * old } } }
      result.program.communicators[index] = Communicator(
        name: communicator.name, ranks: old * copies, groups: all)
    }
    // Parts to one member are spread over its copies; sums stay, so rests go to the first.
    if !program.splits.isEmpty {
      for code in program.codes.indices {
        for task in 0..<program.codes[code].count {
          guard program.splits(code: code, task: task) != nil,
            isMerged[Int(program.codes[code].communicator[task])]
          else { continue }
          let index = Int(program.codes[code].work[task])
          result.program.splits[index] = program.splits[index].spread(over: copies)
          result.program.codes[code].setBytes(
            result.program.splits[index].sent.reduce(0, +), of: task)
        }
      }
    }
    result.notes.append(
      "carried from \(old) to \(old * copies) ranks: \(copies) copies of the recorded job, compute and bytes of "
        + "each rank as "
        + "recorded; "
        + (merged.isEmpty ? "no group grows" : "groups that grow: \(merged.joined(separator: ", "))")
        + "; pipelines stay as deep as they were")
    if program.exchanges.isEmpty == false, direction == .expert {
      result.notes.append("a token's ranks and nodes are those of the recorded number of ranks")
    }
    return result
  }

  /// Groups that reduce or gather grow with the data; those that exchange tokens too where experts are spread.
  ///
  /// Groups whose name says tensor, context or pipeline parallelism never grow.
  private func grows(_ communicator: Int, _ direction: GrowthDirection) -> Bool {
    let name = program.communicators[communicator].name.lowercased()
    if ["tensor", "pipeline", "context", "tp", "pp", "cp", "messages"].contains(where: { word in
      name == word || name.split(whereSeparator: { "_ -".contains($0) }).contains(Substring(word))
    }) {
      return false
    }
    let uses = uses(of: communicator)
    return direction == .expert ? uses.exchanges || uses.reduces : uses.reduces && !uses.exchanges
  }

  private func uses(of communicator: Int) -> (exchanges: Bool, reduces: Bool) {
    var exchanges = false
    var reduces = false
    for code in program.codes {
      for task in 0..<code.count where code.communicator[task] == Int32(communicator) {
        switch code.kind[task] {
        case .allToAll, .dispatch, .combine: exchanges = true
        case .allReduce, .reduceScatter, .allGather, .broadcast: reduces = true
        case .compute, .send, .receive, .barrier: break
        }
      }
    }
    return (exchanges, reduces)
  }

  private func shrunk(to ranks: Int) throws(Diagnostic) -> ImportedProgram {
    var result = self
    let old = program.ranks
    result.program.codeOfRank = Array(program.codeOfRank[..<ranks])
    for (index, communicator) in program.communicators.enumerated() {
      let groups = (0..<communicator.groupCount).map { group in
        communicator.group(group).map(Int.init).filter { $0 < ranks }
      }
      result.program.communicators[index] = Communicator(
        name: communicator.name, ranks: ranks, groups: groups.filter { !$0.isEmpty })
      let usesMessages = program.codeOfRank[..<ranks].contains { code in
        let columns = program.codes[Int(code)]
        return (0..<columns.count).contains {
          columns.communicator[$0] == Int32(index) && columns.peer[$0] >= 0
        }
      }
      if usesMessages {
        throw Diagnostic(
          .usage, "messages would lose their other end", path: "--ranks", found: "\(ranks)",
          allowed: "\(old) or a multiple", hint: "a job with pipelines cannot be cut")
      }
    }
    for code in Set(result.program.codeOfRank).sorted() {
      let columns = program.codes[Int(code)]
      guard let rank = result.program.codeOfRank.firstIndex(of: code) else { continue }
      for task in 0..<columns.count {
        guard let splits = program.splits(code: Int(code), task: task) else { continue }
        let communicator = program.communicators[Int(columns.communicator[task])]
        let kept = communicator.group(ofRank: rank).enumerated().filter { $0.element < Int32(ranks) }.map(
          \.offset)
        let cut = Splits(sent: kept.map { splits.sent[$0] }, received: kept.map { splits.received[$0] })
        result.program.splits[Int(columns.work[task])] = cut
        result.program.codes[Int(code)].setBytes(cut.sent.reduce(0, +), of: task)
      }
    }
    result.notes.append(
      "cut from \(old) to the first \(ranks) ranks: parts of all-to-alls for the others are gone, all else stays"
    )
    return result
  }
}

extension Code {
  /// The same code with the exchanges of one communicator in another.
  fileprivate func moving(from old: Int32, to new: Int32) -> Code {
    var result = Code(name: name)
    var slot = Int32(-1)
    for task in 0..<count {
      while slot < self.slot[task] {
        slot += 1
        result.beginSlot(slots[Int(slot)])
      }
      var copy = Task(kind[task], on: lane[task])
      copy.work = work[task]
      copy.communicator = communicator[task]
      copy.peer = peer[task]
      copy.tag = tag[task]
      copy.bytes = bytes[task]
      copy.layer = layer[task]
      copy.segment = segment[task]
      copy.pass = pass[task]
      copy.purpose = purpose[task]
      copy.elementBytes = elementBytes[task]
      copy.memory = memory[task]
      switch kind[task] {
      case .allToAll, .dispatch, .combine, .barrier: if copy.communicator == old { copy.communicator = new }
      case .compute, .send, .receive, .allReduce, .reduceScatter, .allGather, .broadcast: break
      }
      result.append(copy, after: Array(dependencies(of: task)))
    }
    return result
  }
}

extension Splits {
  /// Each part in as even pieces as whole bytes allow, one for each copy of its member.
  ///
  /// A rest of some bytes is left out of all pieces alike, so that what one sends is what the other awaits.
  fileprivate func spread(over copies: Int) -> Splits {
    func spread(_ parts: [Int64]) -> [Int64] {
      (0..<copies).flatMap { _ in parts.map { $0 / Int64(copies) } }
    }
    return Splits(sent: spread(sent), received: spread(received))
  }
}
