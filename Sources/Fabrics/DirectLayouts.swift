import Clusters
import Documents

extension SwitchLayout {
  /// Groups of fully meshed routers; global ports are dealt to the other groups in turn, nearest first.
  ///
  /// Every global port is used, as long as pairs can be made: `a·h` ports of a group reach each of the `g − 1` others
  /// `a·h ÷ (g − 1)` times, and what is left goes to the nearest groups on both sides.
  mutating func addDragonfly(_ shape: Fabric.Dragonfly) throws {
    let groups = shape.groups.value
    let routers = shape.routersPerGroup.value
    let global = shape.globalPerRouter.value
    let ports = routers * global
    guard groups - 1 <= ports else {
      throw Diagnostic(
        .data, "a group has no cable to every other one", path: "fabric.dragonfly.groups",
        found: "\(groups) groups",
        allowed: "1 to \(ports + 1)",
        hint: "routers per group times global cables per router is the most, and one")
    }
    guard groups <= 1_000_000 / routers, groups * routers * (routers + global) <= 40_000_000 else {
      throw Diagnostic(
        .data, "the dragonfly is too large", path: "fabric.dragonfly",
        found: "\(groups) groups of \(routers) routers",
        allowed: "a million routers")
    }
    for group in 0..<groups {
      for router in 0..<routers { _ = add("group\(group)/router\(router)", tier: 1) }
    }
    for group in 0..<groups {
      for router in 0..<routers {
        for other in router + 1..<max(routers, router + 1) {
          connect(Int32(group * routers + router), Int32(group * routers + other))
        }
      }
    }
    if groups == 1 { return }
    var free = Array(repeating: 0, count: groups)
    func port(_ group: Int) -> Int32 {
      defer { free[group] += 1 }
      return Int32(group * routers + free[group] / global)
    }
    // A pair of groups `offset` apart; half way round a ring of an even number each pair is met once.
    func join(offset: Int) {
      let half = 2 * offset == groups
      for group in 0..<(half ? groups / 2 : groups) { connect(port(group), port((group + offset) % groups)) }
    }
    for _ in 0..<ports / (groups - 1) {
      for offset in 1...groups / 2 { join(offset: offset) }
    }
    let rest = ports % (groups - 1)
    for offset in 1..<rest / 2 + 1 { join(offset: offset) }
    if rest % 2 == 1 && groups % 2 == 0 { join(offset: groups / 2) }
  }

  /// A grid of switches; each is joined to the next along every dimension, the last to the first.
  ///
  /// Two switches along a dimension share one cable, one switch has none.
  mutating func addTorus(_ dimensions: [Int]) {
    let count = dimensions.reduce(1, *)
    for place in 0..<count {
      var rest = place
      var coordinates: [Int] = []
      for side in dimensions.reversed() {
        coordinates.insert(rest % side, at: 0)
        rest /= side
      }
      _ = add("switch" + coordinates.map(String.init).joined(separator: "-"), tier: 1)
    }
    var stride = count
    for side in dimensions {
      stride /= side
      if side == 1 { continue }
      for place in 0..<count {
        let coordinate = place / stride % side
        if side == 2 && coordinate == 1 { continue }
        let next = place + ((coordinate + 1) % side - coordinate) * stride
        connect(Int32(place), Int32(next))
      }
    }
  }

  /// The switches of a graph by hand; its cables are added with the nodes.
  mutating func addSwitches(of graph: Fabric.FreeGraph) throws {
    var seen: Set<String> = []
    for name in graph.switches {
      guard !name.isEmpty, seen.insert(name).inserted else {
        throw Diagnostic(
          .data, "a switch needs a name of its own", path: "fabric.graph.switches",
          found: name.isEmpty ? "nothing" : name)
      }
      _ = add(name, tier: 1)
    }
  }
}
