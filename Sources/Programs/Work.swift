import Operators

/// The block of a model that a work belongs to: what an executor runs for it.
public enum Section: String, CaseIterable, Hashable, Sendable {
  case embedding
  /// Input norm and attention; in a mixture layer also the norm behind it and the router.
  case attention
  case sharedExperts = "shared_experts"
  /// Norm and dense feed-forward of a layer without a mixture.
  case feedForward = "feed_forward"
  case experts
  /// Final norm, output projection, loss; also of a prediction module.
  case head
  /// The projection that begins a module of multi-token prediction.
  case prediction
  case optimizer
  case unspecified
}

/// The kernels of a compute task, shared by all tasks that do the same to another micro-batch.
public struct Work: Hashable, Sendable {
  /// What it is, in words that reports show: `attention forward`.
  public var name: String
  public var pass: Pass
  public var section: Section
  public var kernels: [Kernel]
  /// Pairs of token and expert that ``kernels`` stand for, where ``idle`` names a work.
  public var rows = 0.0
  /// The work that is the same for no pairs, by its index; between the two, kernels grow evenly. -1 where pairs do not
  /// matter.
  public var idle: Int32 = -1

  public init(name: String, pass: Pass, section: Section = .unspecified, kernels: [Kernel]) {
    self.name = name
    self.pass = pass
    self.section = section
    self.kernels = kernels
  }
}

/// What one rank brings to a dispatch, and finds again in a combine, averaged over the ranks of the group.
///
/// Drawn from routing once; simulator and executor read the same numbers.
public struct Exchange: Hashable, Sendable {
  /// Tokens that one rank holds.
  public var tokens: Double
  /// Distinct nodes that a token goes to, its own included.
  public var nodesPerToken: Double
  /// Distinct nodes that a token goes to, its own excluded.
  public var remoteNodesPerToken: Double
  /// Distinct ranks that a token goes to, its own included.
  public var ranksPerToken: Double
  /// Copies over NVLink per token: ranks reached that are not the one a copy landed on.
  public var forwardedPerToken: Double
  /// Bytes of one token's row.
  public var bytesPerToken: Double
  /// Bytes of expert indices, routing weights or their gradients that travel with each row.
  ///
  /// Counted among the bytes that ranks hand over, but not timed where a GPU's dispatch and combine are
  /// calibrated: the published bandwidths count rows alone and were measured with these bytes beside them.
  public var metadataBytesPerToken: Int
  /// How many times the average the fullest member moves between ranks, its own rows included; all wait for it.
  public var fullestRank: Double
  /// How many times the average the fullest member moves over the network.
  public var fullestNode: Double
  /// Consecutive members of the group that form a node, where rows take two hops: once to each node, to the member
  /// of the sender's own place there, and on from it to the node's other members. Nil: straight to each member.
  public var membersPerNode: Int?

  public init(
    tokens: Double, nodesPerToken: Double, remoteNodesPerToken: Double, ranksPerToken: Double,
    forwardedPerToken: Double, bytesPerToken: Double, metadataBytesPerToken: Int = 0,
    fullestRank: Double = 1, fullestNode: Double = 1, membersPerNode: Int? = nil
  ) {
    self.tokens = tokens
    self.nodesPerToken = nodesPerToken
    self.remoteNodesPerToken = remoteNodesPerToken
    self.ranksPerToken = ranksPerToken
    self.forwardedPerToken = forwardedPerToken
    self.bytesPerToken = bytesPerToken
    self.metadataBytesPerToken = metadataBytesPerToken
    self.fullestRank = fullestRank
    self.fullestNode = fullestNode
    self.membersPerNode = membersPerNode
  }
}

extension Exchange {
  /// Tag of a dispatch or combine whose destinations were exchanged before, so that only arrival is waited
  /// for.
  public static let knownLayoutTag: Int32 = 1
  /// Bytes of the count of rows that a dispatch of unknown layout sends ahead to each other member.
  public static let countBytes = 4
  /// Bytes of one chosen expert's index and routing weight beside a row.
  public static let choiceBytes = 8
  /// Bytes of one routing weight's gradient beside a row.
  public static let weightGradientBytes = 4
}

extension Program {
  /// The pairs of token and expert that a rank computes in a task; nil without a table that says so, or for a task that
  /// does not depend on them.
  public func expertPairs(rank: Int, task: Int) -> Int32? {
    let code = codes[Int(codeOfRank[rank])]
    guard let traffic, traffic.hasPairs, code.kind[task] == .compute, works[Int(code.work[task])].idle >= 0,
      let chunk = code.chunk(ofTask: task), let expert = communicators.first(where: { $0.name == "expert" })
    else { return nil }
    let key = TrafficTable.Key(
      layer: Int(code.layer[task]), batch: Int(chunk.batch), group: Int(expert.groupOfRank[rank]))
    return traffic.pairs(at: key)?[Int(expert.indexOfRank[rank])]
  }

  /// A work's kernels for so many pairs.
  ///
  /// - Precondition: The work it is compared with has the same kernels in the same order, as verified.
  public func kernels(of work: Int, pairs: Int32) -> [Kernel] {
    let full = works[work]
    guard full.idle >= 0, full.rows > 0 else { return full.kernels }
    let share = Double(pairs) / full.rows
    return zip(works[Int(full.idle)].kernels, full.kernels).map { idle, kernel in
      idle.moved(to: kernel, share: share)
    }
  }
}

extension Kernel {
  /// Between this kernel and another of its kind, or beyond it: sizes at 0 are this one's, at 1 the other's.
  fileprivate func moved(to other: Kernel, share: Double) -> Kernel {
    func between(_ a: Double, _ b: Double) -> Double { max(0, a + (b - a) * share) }
    switch (self, other) {
    case (.matrixProduct(let idle), .matrixProduct(var product)):
      product.rows = between(idle.rows, product.rows)
      product.depth = between(idle.depth, product.depth)
      return .matrixProduct(product)
    case (.memoryPass(let idle), .memoryPass(var pass)):
      pass.bytesRead = between(idle.bytesRead, pass.bytesRead)
      pass.bytesWritten = between(idle.bytesWritten, pass.bytesWritten)
      return .memoryPass(pass)
    default: return other
    }
  }
}
