import Units

/// The cables between two tiers of switches, one way.
public struct TrunkTier: Sendable {
  /// 1 for leaves.
  public let from: UInt8
  public let to: UInt8
  public let count: Int
  public let bytes: Bytes
  public let mean: Ratio
  public let most: Ratio
  /// Name of the one that is used most, the first of equals.
  public let busiest: String

  /// As tables write it.
  public var title: String {
    func name(_ tier: UInt8) -> String { tier == 1 ? "leaf" : tier == 2 ? "spine" : "core" }
    return from == to ? "switch to switch" : "\(name(from)) to \(name(to))"
  }
}

extension FleetReport {
  /// How much each tier of cables between switches was used, lowest first, upwards before downwards.
  public var tiers: [TrunkTier] {
    var keys: [(from: UInt8, to: UInt8)] = []
    for trunk in trunks where !keys.contains(where: { $0 == (trunk.from, trunk.to) }) {
      keys.append((trunk.from, trunk.to))
    }
    keys.sort { ($0.from, $0.to) < ($1.from, $1.to) }
    return keys.map { key in
      let own = trunks.indices.filter { (trunks[$0].from, trunks[$0].to) == (key.from, key.to) }
      let uses = own.map { utilisation(trunk: $0).value }
      let most = uses.max() ?? 0
      let place = uses.firstIndex(of: most) ?? 0
      return TrunkTier(
        from: key.from, to: key.to, count: own.count,
        bytes: Bytes(own.reduce(0) { $0 + carried(trunk: $1).count }),
        mean: Ratio(uses.reduce(0, +) / Double(max(1, own.count))), most: Ratio(most),
        busiest: most > 0 ? trunks[own[place]].name : "")
    }
  }

  /// The trunks that are used most, as places in ``trunks``; ties by place.
  public func busiestTrunks(_ most: Int) -> [Int] {
    let uses = trunks.indices.map { utilisation(trunk: $0).value }
    return Array(
      trunks.indices.filter { uses[$0] > 0 }.sorted { (uses[$1], $0) < (uses[$0], $1) }.prefix(most))
  }

  /// Bytes into each switch minus bytes out of it, cards' cables included: all zero, since nothing is lost there.
  ///
  /// - Parameter leafOfCard: The switch of each rank's card, as a device of the fabric's graph.
  public func imbalances(leafOfCard: [Int32]) -> [Int32: Int64] {
    var sums: [Int32: Int64] = [:]
    for (index, trunk) in trunks.enumerated() {
      sums[trunk.source, default: 0] -= carried(trunk: index).count
      sums[trunk.target, default: 0] += carried(trunk: index).count
    }
    for rank in 0..<ranks {
      sums[leafOfCard[rank], default: 0] += carried(rank, .nicOut).count - carried(rank, .nicIn).count
    }
    return sums
  }
}
