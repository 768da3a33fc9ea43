import Timing
import Units

/// What a step of a whole cluster came to: by rank, by kind of work, by link.
public struct FleetReport: Sendable {
  public let ranks: Int
  public let gpusPerNode: Int
  /// From the first task's start to the last one's end.
  public let makespan: Span
  public let counters: EngineCounters
  /// Flows that the network was solved for; others are the same rows over again (backward, or turned round).
  public let solvedFlows: Int
  /// Tasks of all ranks.
  public let tasks: Int
  /// Parts that ran on their own.
  public let parts: Int
  /// `[rank * kinds + kind]`.
  private let waited: [Int64]
  private let moved: [Int64]
  private let blamed: [Int64]
  /// `[place]`.
  private let bytes: [Int64]
  private let peaks: [Double]
  /// `[owner * buckets + bucket]`.
  private let use: [Float]
  /// Ascending by the rank waited for, then by node.
  private let waits: [(last: Int, node: Int, time: Int64)]
  /// Every cable between two switches, each way on its own.
  public let trunks: [Trunk]
  /// Nodes of an expert group; and how many leaf switches its cards of one index hang on at most.
  public let expertNodes: Int

  /// A cable between two switches, one way.
  public struct Trunk: Hashable, Sendable {
    public var name: String
    /// Tiers of its switches, 1 for leaves.
    public var from: UInt8
    public var to: UInt8
    /// Switches, as devices of the fabric's graph.
    public var source: Int32
    public var target: Int32
  }
  public let bucket: Span
  /// Stretches of time that ``cardUse(_:)`` and ``use(trunk:)`` tell apart.
  public var buckets: Int {
    min(FleetState.buckets, Int(makespan.picoseconds / max(1, bucket.picoseconds)) + 1)
  }
  public var phases: [Double] = []

  init(
    _ state: FleetState, counters: EngineCounters, waits: [UInt64: Int64], gpusPerNode: Int, parts: Int
  ) {
    ranks = state.tables.ranks
    self.gpusPerNode = gpusPerNode
    makespan = Span(picoseconds: state.lastEnd.array.max() ?? 0)
    self.counters = counters
    solvedFlows = state.exchanges.solvedFlows
    tasks = state.tables.taskCount
    self.parts = parts
    waited = state.waited.array
    moved = state.moved.array
    blamed = state.blamed.array
    bytes = state.bytes.array
    peaks = state.routes.links.peaks
    self.waits = waits.map { (Int($0 >> 32), Int($0 & 0xffff_ffff), $1) }.sorted {
      ($0.last, $0.node) < ($1.last, $1.node)
    }
    let routes = state.routes
    trunks = routes.trunkNames.indices.map {
      Trunk(
        name: routes.trunkNames[$0], from: routes.trunkTiers[$0].from, to: routes.trunkTiers[$0].to,
        source: routes.trunkEnds[$0].from, target: routes.trunkEnds[$0].to)
    }
    expertNodes = routes.expertNodes
    use = state.use.array
    bucket = Span(picoseconds: state.bucket)
  }

  /// Mean over ranks of the time in which they waited for others before tasks of a kind, or ran them.
  public func mean(_ kind: FleetKind) -> (waiting: Span, running: Span) {
    let kinds = FleetKind.allCases.count
    var sums: (Int64, Int64) = (0, 0)
    for rank in 0..<ranks {
      sums.0 += waited[rank * kinds + kind.rawValue]
      sums.1 += moved[rank * kinds + kind.rawValue]
    }
    return (Span(picoseconds: sums.0 / Int64(ranks)), Span(picoseconds: sums.1 / Int64(ranks)))
  }

  /// Time that a rank computed.
  public func computing(_ rank: Int) -> Span {
    Span(picoseconds: moved[rank * FleetKind.allCases.count + FleetKind.compute.rawValue])
  }

  public func waiting(_ rank: Int, _ kind: FleetKind) -> Span {
    Span(picoseconds: waited[rank * FleetKind.allCases.count + kind.rawValue])
  }

  /// Others' time spent waiting for a rank that came last to an exchange or collective, all of them together.
  public func blame(_ rank: Int) -> Span { Span(picoseconds: blamed[rank]) }

  /// Bytes over a link of a rank.
  public func carried(_ rank: Int, _ link: Link) -> Bytes { Bytes(bytes[4 * rank + link.rawValue]) }

  /// Bytes over all links of a kind.
  public func carried(_ link: Link) -> Bytes {
    Bytes((0..<ranks).reduce(0) { $0 + bytes[4 * $1 + link.rawValue] })
  }

  /// Share of the step that a link was busy at its peak rate.
  public func utilisation(_ rank: Int, _ link: Link) -> Ratio {
    Ratio(
      Double(bytes[4 * rank + link.rawValue])
        / (peaks[4 * rank + link.rawValue] * Double(max(1, makespan.picoseconds))))
  }

  /// Bytes over a trunk.
  public func carried(trunk: Int) -> Bytes { Bytes(bytes[4 * ranks + trunk]) }

  /// Share of the step that a trunk was busy at its rate.
  public func utilisation(trunk: Int) -> Ratio {
    let place = 4 * ranks + trunk
    return Ratio(Double(bytes[place]) / (peaks[place] * Double(max(1, makespan.picoseconds))))
  }

  /// What passes a trunk over time, as shares of its rate.
  public func use(trunk: Int) -> [Ratio] {
    (0..<buckets).map {
      Ratio(
        Double(use[(ranks + trunk) * FleetState.buckets + $0])
          / (peaks[4 * ranks + trunk] * Double(bucket.picoseconds)))
    }
  }

  /// Who waited for whom longest in exchanges and collectives: the ranks of a node for the rank that came last.
  public func longestWaits(_ most: Int) -> [(last: Int, node: Int, time: Span)] {
    let order = waits.indices.sorted { (waits[$1].time, $0) < (waits[$0].time, $1) }
    return order.prefix(most).map { (waits[$0].last, waits[$0].node, Span(picoseconds: waits[$0].time)) }
  }

  /// The busiest links, busiest first; ties by rank, then by link.
  public func busiestLinks(_ most: Int) -> [(rank: Int, link: Link, utilisation: Ratio)] {
    var all = (0..<ranks).flatMap { rank in
      Link.allCases.map { (rank: rank, link: $0, utilisation: utilisation(rank, $0)) }
    }
    all.sort { ($1.utilisation, $0.rank, $0.link.rawValue) < ($0.utilisation, $1.rank, $1.link.rawValue) }
    return Array(all.prefix(most))
  }

  /// The ranks that made others wait longest, longest first; ties by rank.
  public func mostBlamed(_ most: Int) -> [(rank: Int, waiting: Span)] {
    let order = (0..<ranks).sorted { (blamed[$1], $0) < (blamed[$0], $1) }
    return order.prefix(most).map { (rank: $0, waiting: Span(picoseconds: blamed[$0])) }
  }

  /// What leaves a rank's card over time, as shares of its peak rate; one entry for each ``bucket``.
  public func cardUse(_ rank: Int) -> [Ratio] {
    let count = FleetState.buckets
    return (0..<buckets).map {
      Ratio(
        Double(use[rank * count + $0])
          / (peaks[4 * rank + Link.nicOut.rawValue] * Double(bucket.picoseconds)))
    }
  }
}
