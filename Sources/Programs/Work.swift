import Operators

/// The kernels of a compute task, shared by all tasks that do the same to another micro-batch.
public struct Work: Hashable, Sendable {
  /// What it is, in words that reports show: `attention forward`.
  public var name: String
  public var pass: Pass
  public var kernels: [Kernel]

  public init(name: String, pass: Pass, kernels: [Kernel]) {
    self.name = name
    self.pass = pass
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
  public var bytesPerToken: Double

  public init(
    tokens: Double, nodesPerToken: Double, remoteNodesPerToken: Double, ranksPerToken: Double,
    forwardedPerToken: Double, bytesPerToken: Double
  ) {
    self.tokens = tokens
    self.nodesPerToken = nodesPerToken
    self.remoteNodesPerToken = remoteNodesPerToken
    self.ranksPerToken = ranksPerToken
    self.forwardedPerToken = forwardedPerToken
    self.bytesPerToken = bytesPerToken
  }
}

extension Exchange {
  /// Tag of a dispatch or combine whose destinations were exchanged before, so that only arrival is waited
  /// for.
  public static let knownLayoutTag: Int32 = 1
}
