/// A parallel training step as data: for each rank its tasks on lanes and the edges between them, and no
/// times.
///
/// Ranks with the same role share a ``Code``. Everything that can produce a step writes a program; everything
/// that can run one reads a ``VerifiedProgram``.
public struct Program: Hashable, Sendable {
  public var name: String
  public var codes: [Code]
  /// Which code each rank runs, `[rank]`.
  public var codeOfRank: [Int32]
  public var communicators: [Communicator]
  public var works: [Work]
  public var exchanges: [Exchange]
  /// Rows of every dispatch and combine; nil where ranks are alike and ``exchanges`` says what they average.
  public var traffic: TrafficTable?
  /// Parts of all-to-alls that differ from member to member; an ``TaskKind/allToAll`` names its own in
  /// ``Code/work``, or -1 where its parts are even.
  public var splits: [Splits]

  public init(
    name: String, codes: [Code] = [], codeOfRank: [Int32] = [], communicators: [Communicator] = [],
    works: [Work] = [], exchanges: [Exchange] = [], traffic: TrafficTable? = nil, splits: [Splits] = []
  ) {
    self.name = name
    self.codes = codes
    self.codeOfRank = codeOfRank
    self.communicators = communicators
    self.works = works
    self.exchanges = exchanges
    self.traffic = traffic
    self.splits = splits
  }

  public var ranks: Int { codeOfRank.count }

  /// Tasks over all ranks.
  public var taskCount: Int { codeOfRank.reduce(0) { $0 + codes[Int($1)].count } }
}

extension Program {
  /// A task in words, for errors and traces: `stage3 #17 send F m4 on pipeline_send to pipeline[4]`.
  public func describe(code: Int, task: Int) -> String {
    let code = codes[code]
    var words = ["\(code.name) #\(task)", code.kind[task].name]
    if code.kind[task] == .compute, code.work[task] >= 0, Int(code.work[task]) < works.count {
      words.append("\"\(works[Int(code.work[task])].name)\"")
    }
    let slot = code.slots[Int(code.slot[task])]
    words.append(slot.phase.name)
    if let chunk = slot.forward ?? slot.backward {
      words.append("m\(chunk.microBatch) of stage \(chunk.stage)")
    }
    words.append("on \(code.lane[task].name)")
    let communicator = Int(code.communicator[task])
    if communicator >= 0, communicator < communicators.count {
      let name = communicators[communicator].name
      words.append(code.peer[task] >= 0 ? "with \(name)[\(code.peer[task])]" : "in \(name)")
    }
    return words.joined(separator: " ")
  }
}
