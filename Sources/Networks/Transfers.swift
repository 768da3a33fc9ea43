import Units

/// A list of flows that is known from the beginning: what goes which way, how much, and when.
public struct Transfers: Sendable {
  var routes: [Int32] = []
  var bytes: [Int64] = []
  /// Picoseconds.
  var starts: [Int64] = []
  /// Left empty while every weight is 1.
  var weights: [Double] = []
  /// Bytes per picosecond; left empty while no flow is limited.
  var limits: [Double] = []

  public init() {}

  public var count: Int { routes.count }

  /// Adds a flow and returns its index.
  ///
  /// - Parameters:
  ///   - weight: its share of a full link beside flows of weight 1.
  ///   - limit: what its sender or receiver can do at most.
  /// - Throws: ``NetworkError`` when size, weight or limit are not possible.
  @discardableResult
  public mutating func add(
    _ route: RouteID, _ size: Bytes, at start: Instant = .start, weight: Double = 1,
    limit: BytesPerSecond? = nil
  ) throws(NetworkError) -> Int {
    try check(size: size, weight: weight, limit: limit)
    if weight != 1 && weights.isEmpty { weights = Array(repeating: 1, count: count) }
    if !weights.isEmpty || weight != 1 { weights.append(weight) }
    if limit != nil && limits.isEmpty { limits = Array(repeating: .infinity, count: count) }
    if !limits.isEmpty || limit != nil { limits.append(limit.map { $0.value * 1e-12 } ?? .infinity) }
    routes.append(route.index)
    bytes.append(size.count)
    starts.append(start.picoseconds)
    return count - 1
  }

  func weight(of flow: Int) -> Double { weights.isEmpty ? 1 : weights[flow] }
  func limit(of flow: Int) -> Double { limits.isEmpty ? .infinity : limits[flow] }

  /// Whether a flow has a weight or a limit.
  public func isSpecial(_ flow: Int) -> Bool { weight(of: flow) != 1 || limit(of: flow).isFinite }
  public func route(of flow: Int) -> RouteID { RouteID(Int(routes[flow])) }
  public func size(of flow: Int) -> Bytes { Bytes(bytes[flow]) }
  public func start(of flow: Int) -> Instant { Instant(picoseconds: starts[flow]) }

  /// When the flow's first byte can leave: after the message's overhead and the latency of every hop.
  func ready(_ flow: Int, on routes: RouteTable, overhead: Span) -> Int64 {
    starts[flow] + overhead.picoseconds + routes.latencies[Int(self.routes[flow])]
  }
}

func check(size: Bytes, weight: Double, limit: BytesPerSecond?) throws(NetworkError) {
  if size < .zero { throw .badSize(bytes: size.count) }
  if !(weight > 0 && weight.isFinite) { throw .badWeight(weight) }
  if let limit, !(limit.value > 0 && limit.value.isFinite) { throw .badLimit(bytesPerSecond: limit.value) }
}

/// How exactly completions are told apart.
///
/// Completions that are taken together end at their own predicted times; the flows that remain get their new rates
/// from the mean of the times at which something was set free on their bottleneck, and where much is, at once.
public enum Accuracy: Hashable, Sendable {
  /// New rates at every completion.
  case exact
  /// Completions within the span are taken together.
  case quantum(Span)
  /// A flow may end together with an earlier one if this share of its own duration lies between them.
  case share(Double)

  /// A share of 4 %: makespan and mean flow within about 0.1 % of exact where all-to-alls of unequal sizes were
  /// measured.
  public static let standard = Accuracy.share(0.04)

  /// The span in picoseconds and the share; both hold.
  var limits: (window: Double, share: Double) {
    switch self {
    case .exact: (0, 0)
    case .quantum(let span): (Double(span.picoseconds), .infinity)
    case .share(let share): (.infinity, share)
    }
  }
}

/// When flows began and ended, and what that cost to find out.
public struct TransferTimes: Sendable {
  /// When each flow began to transfer, after latency and overhead.
  public internal(set) var began: [Instant]
  public internal(set) var ended: [Instant]
  /// Whole bytes over each link; every flow's size once for every link of its route.
  public internal(set) var carried: [Bytes]
  /// Times may be off by about this much because completions were taken together: the mean over flows and the most,
  /// to first order; zero in exact mode.
  public internal(set) var meanError = Span.zero
  public internal(set) var mostError = Span.zero
  /// Parts of the network that share no link.
  public internal(set) var parts = 0
  public internal(set) var counters = NetworkCounters()
  /// What each link carried over time, if that was asked for.
  public internal(set) var use: LinkUse?

  /// When the last flow ended.
  public var makespan: Span { (ended.max() ?? .start).sinceStart }
}
