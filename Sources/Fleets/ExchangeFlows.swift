import Clusters
import Networks
import Units

/// The flows of a dispatch between the members of an expert group, and when they end.
///
/// Over the network a member sends one flow to each other node, to the GPU in its own place there; from
/// that GPU rows go on over NVLink. The network's flows share the cards of both ends (and leaf switches,
/// where a group spans several) by max-min fairness. NVLink is switched without blocking, so a GPU's hop
/// takes as long as its fuller direction. Rows are handed on while others still arrive: a member is done
/// when the slowest of its node's arrivals, its own departures and its NVLink are done. A combine is the
/// mirror image: every flow turned round.
///
/// Source: DeepEP, internode kernels; rates from the cluster's `all_to_all` calibration.
struct ExchangeFlows {
  let members: Int
  let nodes: Int
  let ranksPerNode: Int
  private let links: LinkTable
  private let routes: RouteTable
  /// Members and nodes of each route.
  private let ends: [(source: Int, node: Int, landing: Int)]
  /// Flows of the last exchange that was solved.
  private(set) var flows = 0
  private(set) var counters = NetworkCounters()
  private let accuracy: Accuracy

  /// Flows along given ways.
  ///
  /// - Parameters:
  ///   - routes: `[source * nodes + node]`, places of the cluster's shared links; empty where nothing goes.
  ///   - rate: what the kernel gets of a place.
  init(
    members: Int, ranksPerNode: Int, routes places: [[Int32]], rate: (Int32) -> BytesPerSecond,
    accuracy: Accuracy
  ) throws(NetworkError) {
    self.members = members
    self.ranksPerNode = ranksPerNode
    self.accuracy = accuracy
    nodes = (members + ranksPerNode - 1) / ranksPerNode
    var links = LinkTable()
    var routes = RouteTable()
    var ends: [(source: Int, node: Int, landing: Int)] = []
    var known: [Int32: LinkID] = [:]
    for (index, way) in places.enumerated() where !way.isEmpty {
      var route: [LinkID] = []
      for place in way {
        if let link = known[place] {
          route.append(link)
        } else {
          let link = try links.add("place \(place)", capacity: rate(place))
          known[place] = link
          route.append(link)
        }
      }
      try routes.add(route, of: links)
      let (source, node) = (index / nodes, index % nodes)
      ends.append((source, node, min(node * ranksPerNode + source % ranksPerNode, members - 1)))
    }
    self.links = links
    self.routes = routes
    self.ends = ends
  }

  /// When each member is done with its network flows in a dispatch, and in the combine that brings the same rows back:
  /// `[member]`, picoseconds.
  ///
  /// Turned round, every flow has the same competitors: with cards alike in both directions its time is the same.
  ///
  /// - Parameter nodeRows: `[source, node]`.
  mutating func solve(
    _ nodeRows: UnsafePointer<Int32>, rowBytes: Int64, dispatch: UnsafeMutablePointer<Int64>,
    combine: UnsafeMutablePointer<Int64>
  ) throws(NetworkError) {
    for member in 0..<members {
      dispatch[member] = 0
      combine[member] = 0
    }
    flows = 0
    if nodes < 2 { return }
    var transfers = Transfers()
    var routeOfFlow: [Int] = []
    routeOfFlow.reserveCapacity(ends.count)
    for (route, end) in ends.enumerated() {
      let bytes = Int64(nodeRows[end.source * nodes + end.node]) * rowBytes
      if bytes == 0 { continue }
      try transfers.add(RouteID(route), Bytes(bytes))
      routeOfFlow.append(route)
    }
    flows = routeOfFlow.count
    let times = try transfers.run(on: links, routes, accuracy: accuracy)
    counters += times.counters
    var arrival = Array(repeating: Int64(0), count: nodes)
    for (flow, route) in routeOfFlow.enumerated() {
      let end = ends[route]
      let time = times.ended[flow].picoseconds
      dispatch[end.source] = max(dispatch[end.source], time)
      combine[end.source] = max(combine[end.source], time)
      combine[end.landing] = max(combine[end.landing], time)
      arrival[end.node] = max(arrival[end.node], time)
    }
    for member in 0..<members { dispatch[member] = max(dispatch[member], arrival[member / ranksPerNode]) }
  }
}
