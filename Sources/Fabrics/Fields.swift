/// Distances of all devices to a target, computed once for each target.
///
/// In clusters only network switches are searched, and every cable costs one; elsewhere all devices, by kind of cable.
struct Fields: Sendable {
  static let unreachable = UInt16.max
  /// Bytes of distances that are kept; beyond them all are computed anew.
  private static let limit = 512 << 20

  /// First device that is searched.
  private let first: Int
  private let count: Int
  private let usesKinds: Bool
  /// Whether data may pass through GPUs that are not its end.
  var passesGPUs = false
  /// Place of each target's distances, for both answers of `passesGPUs`; never iterated.
  private var places: [Int: Int] = [:]
  private var columns: [[UInt16]] = []

  init(_ graph: FabricGraph) {
    first = graph.layout?.firstSwitch ?? 0
    count = graph.devices - first
    usesKinds = graph.layout == nil
  }

  private mutating func column(to target: Int, _ graph: FabricGraph) -> Int {
    let key = 2 * target + (passesGPUs ? 1 : 0)
    if let place = places[key] { return place }
    if (columns.count + 1) * count * 2 > Self.limit {
      places.removeAll()
      columns.removeAll()
    }
    columns.append(compute(to: target, graph))
    places[key] = columns.count - 1
    return columns.count - 1
  }

  mutating func distance(from source: Int32, to target: Int32, _ graph: FabricGraph) -> UInt16 {
    let place = column(to: Int(target), graph)
    return columns[place][Int(source) - first]
  }

  /// The links by which a cheapest way goes on, ascending.
  mutating func choices(from source: Int, to target: Int, _ graph: FabricGraph) -> [Int32] {
    let place = column(to: target, graph)
    var found: [Int32] = []
    let own = Int(columns[place][source - first])
    for link in graph.out(of: source) where graph.isUp[Int(link)] {
      let next = Int(graph.targets[Int(link)]) - first
      if next < 0 { continue }
      let beyond = columns[place][next]
      if beyond != Self.unreachable && mayPass(next + first, target, graph)
        && Int(beyond) + cost(link, graph) == own
      {
        found.append(link)
      }
    }
    return found
  }

  private func cost(_ link: Int32, _ graph: FabricGraph) -> Int {
    usesKinds ? Int(graph.cableKinds[Int(link) / 2].rawValue) : 1
  }

  private func mayPass(_ device: Int, _ target: Int, _ graph: FabricGraph) -> Bool {
    passesGPUs || device == target || graph.kinds[device] != .gpu
  }

  /// Dial's buckets: costs are small whole numbers.
  ///
  /// - Complexity: O(devices + links).
  private func compute(to target: Int, _ graph: FabricGraph) -> [UInt16] {
    var distances = Array(repeating: Self.unreachable, count: count)
    distances[target - first] = 0
    var buckets = Array(repeating: [Int32](), count: usesKinds ? 8 : 2)
    buckets[0] = [Int32(target)]
    var left = 1
    var distance = 0
    while left > 0 && distance < Int(Self.unreachable) {
      let bucket = distance % buckets.count
      let devices = buckets[bucket]
      buckets[bucket] = []
      left -= devices.count
      for device in devices where Int(distances[Int(device) - first]) == distance {
        // A GPU in between ends the search there, unless it may pass data on.
        if !mayPass(Int(device), target, graph) { continue }
        for link in graph.out(of: Int(device)) where graph.isUp[Int(link) ^ 1] {
          let next = Int(graph.targets[Int(link)]) - first
          if next < 0 { continue }
          let further = distance + cost(link, graph)
          if further < Int(distances[next]) {
            distances[next] = UInt16(further)
            buckets[further % buckets.count].append(Int32(next + first))
            left += 1
          }
        }
      }
      distance += 1
    }
    return distances
  }
}
