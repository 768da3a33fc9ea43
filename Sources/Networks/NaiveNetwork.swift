import Units

/// The same network without any of the engine's shortcuts: the specification that tests compare it with.
public enum NaiveNetwork {
  /// Max-min fair rates per unit of weight by progressive filling.
  ///
  /// All rates rise together; when a link is full, those on it stop.
  ///
  /// - Parameters:
  ///   - routes: the links of each flow.
  ///   - limits: a rate that the flow does not pass, infinity for none.
  /// - Returns: bytes per picosecond of each flow if capacities are that.
  /// - Complexity: O(rounds × hops).
  static func rates(capacities: [Double], routes: [[Int]], weights: [Double], limits: [Double]) -> [Double] {
    var left = capacities
    var rates = Array(repeating: 0.0, count: routes.count)
    var open = Set(routes.indices)
    while !open.isEmpty {
      var weightOn = Array(repeating: 0.0, count: capacities.count)
      for flow in open.sorted() { for link in routes[flow] { weightOn[link] += weights[flow] } }
      var level = Double.infinity
      for link in capacities.indices where weightOn[link] > 0 {
        level = min(level, max(0, left[link]) / weightOn[link])
      }
      for flow in open { level = min(level, limits[flow] / weights[flow]) }
      let bound = level * (1 + 1e-12)
      let full = Set(
        capacities.indices.filter { weightOn[$0] > 0 && max(0, left[$0]) / weightOn[$0] <= bound })
      for flow in open.sorted()
      where limits[flow] / weights[flow] <= bound || routes[flow].contains(where: full.contains) {
        rates[flow] = level * weights[flow]
        open.remove(flow)
        for link in routes[flow] { left[link] -= rates[flow] }
      }
    }
    return rates
  }

  /// When each flow ends, in seconds from the start; every completion finds all rates anew.
  public static func run(
    _ transfers: Transfers, on links: LinkTable, _ routes: RouteTable, overhead: Span = .zero
  ) -> [Double] {
    let all = (0..<transfers.count).map { flow in
      routes.links(of: transfers.route(of: flow)).map { Int($0.index) }
    }
    let ready = (0..<transfers.count).map { Double(transfers.ready($0, on: routes, overhead: overhead)) }
    var left = transfers.bytes.map { Double($0) }
    var ended = ready
    var waiting = transfers.bytes.indices.filter { left[$0] > 0 }
    var moving: [Int] = []
    var now = 0.0
    while !waiting.isEmpty || !moving.isEmpty {
      let rates = rates(
        capacities: links.capacities, routes: moving.map { all[$0] },
        weights: moving.map { transfers.weight(of: $0) },
        limits: moving.map { transfers.limit(of: $0) })
      let completion = zip(moving, rates).map { now + left[$0] / $1 }.min() ?? .infinity
      let next = min(completion, waiting.map { ready[$0] }.min() ?? .infinity)
      for (flow, rate) in zip(moving, rates) {
        // What would last less than a trillionth of the clock is rounding.
        let end = now + left[flow] / rate
        left[flow] = end <= next * (1 + 1e-13) ? 0 : left[flow] - rate * (next - now)
        if left[flow] == 0 { ended[flow] = end }
      }
      moving.removeAll { left[$0] == 0 }
      moving += waiting.filter { ready[$0] <= next }
      waiting.removeAll { ready[$0] <= next }
      now = next
    }
    return ended.map { $0 * 1e-12 }
  }
}
