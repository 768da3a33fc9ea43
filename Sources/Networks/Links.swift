import Units

/// A link's place in a ``LinkTable``.
@frozen
public struct LinkID: Hashable, Comparable, Sendable {
  public let index: Int32
  @inlinable public init(_ index: Int) { self.index = Int32(index) }
  @inlinable public static func < (a: LinkID, b: LinkID) -> Bool { a.index < b.index }
}

/// A route's place in a ``RouteTable``.
@frozen
public struct RouteID: Hashable, Sendable {
  public let index: Int32
  @inlinable public init(_ index: Int) { self.index = Int32(index) }
}

/// Every one-way link of a network: its name, its capacity in bytes per second, its latency.
///
/// A cable that carries both ways at once is two links.
public struct LinkTable: Sendable {
  var names: [String] = []
  /// Bytes in a picosecond, the engine's own unit.
  var capacities: [Double] = []
  /// Picoseconds.
  var latencies: [Int64] = []

  public init() {}

  public var count: Int { capacities.count }

  /// Adds a link.
  ///
  /// - Throws: ``NetworkError/badCapacity(link:bytesPerSecond:)`` unless the capacity is positive and finite,
  ///   ``NetworkError/badLatency(link:)`` when the latency is negative.
  @discardableResult
  public mutating func add(_ name: String, capacity: BytesPerSecond, latency: Span = .zero)
    throws(NetworkError) -> LinkID
  {
    guard capacity.value > 0, capacity.value.isFinite else {
      throw .badCapacity(link: name, bytesPerSecond: capacity.value)
    }
    guard latency >= .zero else { throw .badLatency(link: name) }
    names.append(name)
    capacities.append(capacity.value * 1e-12)
    latencies.append(latency.picoseconds)
    return LinkID(count - 1)
  }

  public func name(of link: LinkID) -> String { names[Int(link.index)] }
  public func capacity(of link: LinkID) -> BytesPerSecond {
    BytesPerSecond(capacities[Int(link.index)] * 1e12)
  }
  public func latency(of link: LinkID) -> Span { Span(picoseconds: latencies[Int(link.index)]) }
}

/// Routes as lists of links in one column; flows between the same ends share a route.
public struct RouteTable: Sendable {
  /// Route `r` is `links[offsets[r]..<offsets[r + 1]]`.
  var offsets: [Int32] = [0]
  var links: [Int32] = []
  /// Picoseconds, the sum over the route.
  var latencies: [Int64] = []

  public init() {}

  public var count: Int { latencies.count }

  /// Adds a route; `description` names it in errors.
  ///
  /// - Throws: ``NetworkError/unconnected(_:)`` for an empty route, ``NetworkError/missingLink(index:links:route:)``
  ///   for a link that the table does not have, ``NetworkError/repeatedLink(link:route:)`` for a loop.
  @discardableResult
  public mutating func add(
    _ route: [LinkID], of table: LinkTable, _ description: @autoclosure () -> String = "a route"
  ) throws(NetworkError) -> RouteID {
    if route.isEmpty { throw .unconnected(description()) }
    var latency: Int64 = 0
    for link in route {
      guard link.index >= 0, link.index < table.count else {
        throw .missingLink(index: Int(link.index), links: table.count, route: description())
      }
      latency += table.latencies[Int(link.index)]
    }
    // Routes are short: the square is less than a set.
    for place in 1..<max(1, route.count) {
      for earlier in 0..<place where route[earlier] == route[place] {
        throw .repeatedLink(link: table.name(of: route[place]), route: description())
      }
    }
    for link in route { links.append(link.index) }
    offsets.append(Int32(links.count))
    latencies.append(latency)
    return RouteID(count - 1)
  }

  public func links(of route: RouteID) -> [LinkID] {
    let index = Int(route.index)
    return links[Int(offsets[index])..<Int(offsets[index + 1])].map { LinkID(Int($0)) }
  }

  /// The latencies of the route's links together.
  public func latency(of route: RouteID) -> Span { Span(picoseconds: latencies[Int(route.index)]) }
}

/// Why a network or a transfer is refused; each names what is wrong.
public enum NetworkError: Error, Equatable, Sendable, CustomStringConvertible {
  case badCapacity(link: String, bytesPerSecond: Double)
  case badLatency(link: String)
  case missingLink(index: Int, links: Int, route: String)
  case missingRoute(index: Int, routes: Int)
  case repeatedLink(link: String, route: String)
  case unconnected(String)
  case badSize(bytes: Int64)
  case badWeight(Double)
  case badLimit(bytesPerSecond: Double)
  case beforeNow(at: Instant, now: Instant)
  /// Flows that stand still for ever, because links of their routes have failed.
  case stalled(flows: Int, links: [String])

  public var description: String {
    switch self {
    case .badCapacity(let link, let value):
      "link \(link) has a capacity of \(value) bytes/s; it must be positive"
    case .badLatency(let link): "link \(link) has a negative latency"
    case .missingLink(let index, let links, let route):
      "\(route) names link \(index), but there are \(links) links"
    case .missingRoute(let index, let routes): "a flow names route \(index), but there are \(routes) routes"
    case .repeatedLink(let link, let route): "\(route) takes link \(link) twice"
    case .unconnected(let route): "\(route) has no link: its ends are not connected"
    case .badSize(let bytes): "a flow of \(bytes) bytes; its size must not be negative"
    case .badWeight(let weight): "a flow has the weight \(weight); it must be positive"
    case .badLimit(let value): "a flow is limited to \(value) bytes/s; the limit must be positive"
    case .beforeNow(let at, let now):
      "an event at \(at.picoseconds) ps lies before the network's clock, \(now.picoseconds) ps"
    case .stalled(let flows, let links):
      "\(flows) flows cannot finish: no capacity is left on \(links.joined(separator: ", "))"
    }
  }
}
