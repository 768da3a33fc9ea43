import Clusters
import Units

/// What a network card is worth from a moment on.
public struct CardChange: Hashable, Sendable {
  public var rank: Int
  /// Of the card's capacity; 0 for a card that is down.
  public var share: Double
  public var at: Span

  public init(rank: Int, share: Double, at: Span) {
    self.rank = rank
    self.share = share
    self.at = at
  }
}

/// What a device or a cable of the fabric is worth from a moment on.
public struct FabricChange: Hashable, Sendable {
  /// With nothing remaining it is down, and routes go round it.
  public var failure: Failure
  public var at: Span

  public init(_ failure: Failure, at: Span) {
    self.failure = failure
    self.at = at
  }
}

/// An expert that more tokens choose than routing would have it.
public struct HotExpert: Hashable, Sendable {
  /// Of the model; nil for every layer.
  public var layer: Int?
  public var expert: Int
  /// Times that it is chosen.
  public var times: Double

  public init(layer: Int? = nil, expert: Int, times: Double) {
    self.layer = layer
    self.expert = expert
    self.times = times
  }
}

/// What makes ranks unlike.
public struct Perturbations: Hashable, Sendable {
  /// Times that computation takes longer, by rank.
  public var slowRanks: [Int: Double] = [:]
  /// Standard deviation of every computation's duration, as a share of it.
  public var jitter = 0.0
  public var cards: [CardChange] = []
  public var fabric: [FabricChange] = []

  public init() {}

  public var isEmpty: Bool { slowRanks.isEmpty && jitter == 0 && cards.isEmpty && fabric.isEmpty }

  /// Cards are devices of the fabric: every change in the order of its moment.
  func changes(on cluster: Cluster) -> [FabricChange] {
    let (perNode, cards) = (cluster.gpusPerNode.value, cluster.nic.perNode.value)
    let own = self.cards.map { change in
      let card = change.rank % perNode * cards / perNode
      return FabricChange(
        Failure(
          .device("node\(change.rank / perNode)/nic\(card)"),
          remaining: change.share > 0
            ? Sourced(Ratio(change.share), tag: .assumed, source: "perturbation") : nil,
          path: "nic\(change.rank)"), at: change.at)
    }
    let all = own + fabric
    return all.indices.sorted { (all[$0].at, $0) < (all[$1].at, $1) }.map { all[$0] }
  }
}
