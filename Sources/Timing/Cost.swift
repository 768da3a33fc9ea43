import Units

/// A link of a GPU that several tasks may load at once.
public enum Link: Int, CaseIterable, Sendable {
  case nvlinkOut
  case nvlinkIn
  case nicOut
  case nicIn

  public static let count = allCases.count
}

/// What one task takes when nothing else runs, and what it would take away from others.
///
/// A collective that moves several bytes over a link per byte of buffer is already counted so.
public struct Cost: Hashable, Sendable {
  public var alone: Span
  /// Share of each link's capacity that the task uses while it runs alone, `[Link.rawValue]`, 0 to 1.
  public var linkShare: (Double, Double, Double, Double)
  /// How many times longer it takes while this rank's compute lane is busy; 1 or more.
  public var slowdownBesideCompute: Double
  /// Share of a processor that each rank taking part uses while the task runs alone, 0 to 1; counts only
  /// where ranks share processors (see ``SharedProcessors``).
  public var processorShare: Double

  public init(
    alone: Span, linkShare: (Double, Double, Double, Double) = (0, 0, 0, 0),
    slowdownBesideCompute: Double = 1, processorShare: Double = 0
  ) {
    self.alone = alone
    self.linkShare = linkShare
    self.slowdownBesideCompute = slowdownBesideCompute
    self.processorShare = processorShare
  }

  /// Visits the links that a task loads, as one that sends, receives or does both.
  @inlinable
  public func forEachLoad(sends: Bool, receives: Bool, _ visit: (Link, Double) -> Void) {
    if sends && linkShare.0 > 0 { visit(.nvlinkOut, linkShare.0) }
    if receives && linkShare.1 > 0 { visit(.nvlinkIn, linkShare.1) }
    if sends && linkShare.2 > 0 { visit(.nicOut, linkShare.2) }
    if receives && linkShare.3 > 0 { visit(.nicIn, linkShare.3) }
  }

  public static let free = Cost(alone: .zero)

  public static func == (a: Cost, b: Cost) -> Bool {
    a.alone == b.alone && a.linkShare == b.linkShare && a.slowdownBesideCompute == b.slowdownBesideCompute
      && a.processorShare == b.processorShare
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(alone)
    hasher.combine(slowdownBesideCompute)
  }
}

/// Processors that all ranks of a node share, each rank being one thread.
///
/// Whatever a rank does, copying its messages included, then takes part of one processor, and never more than
/// one. Absent for GPUs, each of which a rank has for itself.
public struct SharedProcessors: Hashable, Sendable {
  public var processorsPerNode: Int
  public var ranksPerNode: Int

  /// - Precondition: Both are positive.
  public init(processorsPerNode: Int, ranksPerNode: Int) {
    precondition(processorsPerNode > 0 && ranksPerNode > 0, "a node has processors and ranks")
    self.processorsPerNode = processorsPerNode
    self.ranksPerNode = ranksPerNode
  }
}
