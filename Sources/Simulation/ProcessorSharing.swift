import Programs
import Timing

/// Which ranks share processors: one entry for each mix of roles that some node has.
///
/// Nodes with the same ranks of each role behave alike, so one of them stands for all. A role with ranks on
/// unlike nodes goes at the pace of its most crowded one.
struct ProcessorNodes: Sendable {
  /// Ranks of each role over processors, `[node][role]`.
  let ranksPerProcessor: [[Double]]
  let roleCount: Int

  init(_ roles: Roles, _ processors: SharedProcessors) {
    var mixes: [[Int]] = []
    let ranks = roles.roleOfRank
    for first in stride(from: 0, to: ranks.count, by: processors.ranksPerNode) {
      var mix = Array(repeating: 0, count: roles.count)
      for rank in first..<min(first + processors.ranksPerNode, ranks.count) { mix[Int(ranks[rank])] += 1 }
      if !mixes.contains(mix) { mixes.append(mix) }
    }
    ranksPerProcessor = mixes.map { $0.map { Double($0) / Double(processors.processorsPerNode) } }
    roleCount = roles.count
  }
}

/// How fast tasks go when the processors are divided fairly among the ranks that want one.
///
/// A rank that wants a whole processor and one that wants a tenth get equal parts until one of them has what
/// it wants: max-min fairness over processor time, which is ``Sharing`` over speeds measured in it. Each rank
/// is one thread, so what it does at the same time shares that thread.
struct ProcessorSharing {
  private let nodes: ProcessorNodes
  private let linkCount: Int
  private var caps: [Double] = []
  /// Processor time of one rank for one second at full speed; 1 where a task takes none, and then no load.
  private var shares: [Double] = []
  private var usesProcessor: [Bool] = []
  private var loads: [Sharing.Load] = []

  init(_ nodes: ProcessorNodes, linkCount: Int) {
    self.nodes = nodes
    self.linkCount = linkCount
  }

  /// Opens a task that wants to run at `cap` and then uses `share` of a processor in each of its ranks.
  mutating func begin(cap: Double, share: Double) {
    usesProcessor.append(share > 0)
    shares.append(share > 0 ? share : 1)
    caps.append(cap * (share > 0 ? share : 1))
  }

  /// Adds a role whose ranks take part in the task that was opened last.
  mutating func addRank(ofRole role: Int) {
    let activity = caps.count - 1
    guard usesProcessor[activity] else { return }
    loads.append(.init(activity: activity, link: linkCount + role, share: 1))
    for node in nodes.ranksPerProcessor.indices where nodes.ranksPerProcessor[node][role] > 0 {
      loads.append(
        .init(
          activity: activity, link: linkCount + nodes.roleCount + node,
          share: nodes.ranksPerProcessor[node][role]))
    }
  }

  mutating func addLink(_ link: Int, share: Double) {
    let activity = caps.count - 1
    loads.append(.init(activity: activity, link: link, share: share / shares[activity]))
  }

  /// Speeds of the tasks in the order of their opening, 1 being that of a task alone.
  ///
  /// - Complexity: O(rounds × loads), rounds at most the number of tasks.
  func speeds() -> [Double] {
    let links = linkCount + nodes.roleCount + nodes.ranksPerProcessor.count
    return zip(Sharing.speeds(caps: caps, loads: loads, links: links), shares).map { $0 / $1 }
  }
}
