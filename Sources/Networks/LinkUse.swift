import Units

/// What links carried in equal buckets of time.
public struct LinkUse: Sendable {
  /// The length of a bucket.
  public let width: Span
  /// `[link, bucket]`; empty for links that nothing passed.
  public let bytes: [[Double]]
  private let capacities: [Double]

  init(width: Span, bytes: [[Double]], links: LinkTable) {
    self.width = width
    self.bytes = bytes
    capacities = links.capacities
  }

  /// A link's load in each bucket as a share of its capacity.
  public func utilisation(of link: LinkID) -> [Ratio] {
    let most = capacities[Int(link.index)] * Double(width.picoseconds)
    return bytes[Int(link.index)].map { Ratio($0 / most) }
  }
}

extension TransferTimes {
  /// The links that were busy for the largest share of the time until the last flow ended, busiest first.
  public func busiestLinks(_ most: Int, of links: LinkTable) -> [(link: LinkID, utilisation: Ratio)] {
    let time = Double(makespan.picoseconds)
    if time == 0 { return [] }
    let shares = carried.enumerated().map {
      (LinkID($0), Ratio(Double($1.count) / (links.capacities[$0] * time)))
    }
    return Array(
      shares.sorted { $0.1 > $1.1 || ($0.1 == $1.1 && $0.0 < $1.0) }.prefix(most).map {
        (link: $0.0, utilisation: $0.1)
      })
  }

  /// How long a flow's bytes take alone on its route, and how much longer they took beside the others.
  public func parts(
    of flow: Int, _ transfers: Transfers, _ links: LinkTable, _ routes: RouteTable
  ) -> (transfer: Span, waiting: Span) {
    let route = Int(transfers.routes[flow])
    var rate = transfers.limit(of: flow)
    for place in Int(routes.offsets[route])..<Int(routes.offsets[route + 1]) {
      rate = min(rate, links.capacities[Int(routes.links[place])])
    }
    let alone = Span(modelled: Double(transfers.bytes[flow]) / rate * 1e-12)
    return (alone, max(.zero, ended[flow] - began[flow] - alone))
  }
}
