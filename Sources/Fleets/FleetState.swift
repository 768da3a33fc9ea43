import Clusters
import Programs
import Synchronization
import Timing
import Units

/// Something that goes on in a lane of a rank.
///
/// A message is kept in its sender's lane, a collective in the lane of its group's first member, an exchange in a part
/// for each rank.
struct Activity: BitwiseCopyable {
  enum Mode: UInt8 {
    case none
    case compute
    case part
    case message
    case collective
  }

  /// Picoseconds at full speed that are left.
  var remaining = 0.0
  var rate = 0.0
  /// When `remaining` was true.
  var updated: Int64 = 0
  var end = Int64.max
  var began: Int64 = 0
  /// Share of each link of its rank that it takes at full speed, `[Link.rawValue]`.
  var shares = SIMD4<Double>.zero
  /// Speed beside compute.
  var besideCompute = 1.0
  /// Times that it is slowed by its ranks' own doing: its speed where no link is short; 0 before it counts.
  var cap = 0.0
  /// Lane of the receiver (message), group among all (collective), exchange (part).
  var partner: Int32 = -1
  /// Route (message) or list of ring loads (collective); -1 for none. Of a part: 0 where its loads stand apart.
  var route: Int32 = -1
  var mode = Mode.none
}

/// Everything about a step under way that the parts of a cluster share; each part keeps to its own ranks.
final class FleetState: Sendable {
  static let lanes = StepTables.lanes
  /// A whole link, in the unit of demands: integers add up to the same in any order.
  static let whole = Double(1 << 40)

  let routes: FabricRoutes
  let tables: StepTables
  let exchanges: ExchangeTable
  let rates: [ExchangeRates]
  /// Bytes of an NVLink and of a card in a picosecond.
  let nvlinkPeak: Double
  let cardPeak: Double
  let gpusPerNode: Int
  let jitter: Double
  let seed: UInt64

  /// `[rank * lanes + lane]`.
  let heads: SharedColumn<Int32>
  /// When the head's dependencies were done; -1 before.
  let arrived: SharedColumn<Int64>
  let activities: SharedColumn<Activity>
  let waiting: SharedColumn<UInt16>
  /// `[rank]`.
  let isComputing: SharedColumn<Bool>
  let wasComputing: SharedColumn<Bool>
  let usersChanged: SharedColumn<Bool>
  let isTouched: SharedColumn<Bool>
  let slowness: SharedColumn<Double>
  /// What communicates over the links of each owner.
  let users: UserLists
  /// What is left of each link, `[place]`, and the same in the unit of demands.
  let capacity: SharedColumn<Double>
  let room: SharedColumn<Int64>
  /// What is asked of each link, and whether that is more than there is, `[place]`.
  let demand: SharedColumn<Int64>
  let isShort: SharedColumn<Bool>
  let isDirty: SharedColumn<Bool>
  let lastEnd: SharedColumn<Int64>
  // Counts, `[rank * kinds + kind]`.
  let waited: SharedColumn<Int64>
  let moved: SharedColumn<Int64>
  /// Others' waiting for this rank, the last to come to an exchange.
  let blamed: SharedColumn<Int64>
  /// Whole bytes over each link, `[place]`.
  let bytes: SharedColumn<Int64>
  /// Bytes over time that leave each rank's card, then those over each trunk, `[owner * buckets + bucket]`.
  let use: SharedColumn<Float>
  let bucket: Int64
  static let buckets = 192
  private let ended = Atomic<Int>(0)
  private let progress: @Sendable (Double) -> Void

  /// Told by each part every so often, for whoever looks on; the step does not depend on it.
  func tell(_ tasks: Int) {
    let now = ended.add(tasks, ordering: .relaxed).newValue
    progress(min(1, Double(now) / Double(max(1, tables.taskCount))))
  }

  init(
    _ tables: StepTables, _ exchanges: ExchangeTable, _ routes: FabricRoutes, _ rates: [ExchangeRates],
    on cluster: Cluster, perturbations: Perturbations, seed: UInt64, bucket: Span,
    progress: @escaping @Sendable (Double) -> Void
  ) {
    self.progress = progress
    self.tables = tables
    self.exchanges = exchanges
    self.routes = routes
    self.rates = rates
    self.seed = seed
    self.bucket = max(1, bucket.picoseconds)
    jitter = perturbations.jitter
    nvlinkPeak = cluster.nvlink.peak.value.value * 1e-12
    gpusPerNode = cluster.gpusPerNode.value
    cardPeak = cluster.nic.peak.value.value * 1e-12
    let ranks = tables.ranks
    let slots = ranks * Self.lanes
    heads = SharedColumn(repeating: 0, count: slots)
    arrived = SharedColumn(repeating: -1, count: slots)
    activities = SharedColumn(repeating: Activity(), count: slots)
    waiting = SharedColumn(repeating: 0, count: tables.taskCount)
    isComputing = SharedColumn(repeating: false, count: ranks)
    wasComputing = SharedColumn(repeating: false, count: ranks)
    usersChanged = SharedColumn(repeating: false, count: ranks)
    isTouched = SharedColumn(repeating: false, count: ranks)
    slowness = SharedColumn(repeating: 1, count: ranks)
    users = UserLists(owners: routes.links.owners)
    capacity = SharedColumn(routes.links.capacity)
    room = SharedColumn(routes.links.capacity.map { Int64(($0 * Self.whole).rounded()) })
    demand = SharedColumn(repeating: 0, count: routes.links.places)
    isShort = SharedColumn(repeating: false, count: routes.links.places)
    isDirty = SharedColumn(repeating: false, count: routes.links.places)
    lastEnd = SharedColumn(repeating: 0, count: ranks)
    let kinds = FleetKind.allCases.count
    waited = SharedColumn(repeating: 0, count: ranks * kinds)
    moved = SharedColumn(repeating: 0, count: ranks * kinds)
    blamed = SharedColumn(repeating: 0, count: ranks)
    bytes = SharedColumn(repeating: 0, count: routes.links.places)
    use = SharedColumn(repeating: 0, count: routes.links.owners * Self.buckets)
    for (rank, times) in perturbations.slowRanks { slowness[rank] = times }
    for rank in 0..<ranks {
      let role = Int(tables.roleOfRank[rank])
      let first = Int(tables.firstTask[role])
      let end = role + 1 < tables.roles ? Int(tables.firstTask[role + 1]) : tables.degrees.count
      (waiting.base + tables.firstWaiting[rank]).update(from: tables.degrees.base + first, count: end - first)
    }
  }

  /// Whether every lane of every rank has come to its end.
  var hasEnded: Bool {
    for rank in 0..<tables.ranks {
      let role = Int(tables.roleOfRank[rank])
      for lane in 0..<Self.lanes {
        let place = role * Self.lanes + lane
        if tables.laneOffsets[place] + heads[rank * Self.lanes + lane] != tables.laneOffsets[place + 1] {
          return false
        }
      }
    }
    return true
  }

  deinit {
    heads.release()
    arrived.release()
    activities.release()
    waiting.release()
    for column in [isComputing, wasComputing, usersChanged, isTouched, isShort, isDirty] { column.release() }
    users.release()
    room.release()
    demand.release()
    for column in [slowness, capacity] { column.release() }
    for column in [lastEnd, waited, moved, blamed, bytes] { column.release() }
    use.release()
  }
}
