import Clusters
import Fabrics
import Networks
import Units

/// The links that flows of a whole cluster share: four of each rank, then each cable between two switches, each way on
/// its own.
///
/// Place `4 * rank + link` is a rank's link (`Link.rawValue`), `4 * ranks + trunk` a trunk. An owner is a rank, or
/// `ranks + trunk`.
struct SharedLinks: Sendable {
  let ranks: Int
  /// Link of the fabric's graph of each trunk.
  let trunks: [Int32]
  /// Bytes in a picosecond, `[place]`.
  let peaks: [Double]
  /// What is left of each link before anything changes, 0 to 1, `[place]`.
  private(set) var capacity: [Double]
  /// Trunk of each link of the graph, or -1.
  private let trunkOfLink: [Int32]
  /// Whether every GPU has a card of its own; otherwise a GPU's share of cards stands for its card.
  private let hasOwnCards: Bool

  var places: Int { peaks.count }
  var owners: Int { ranks + trunks.count }

  init(ranks: Int, cluster: Cluster, graph: FabricGraph?) {
    self.ranks = ranks
    let nvlink = cluster.nvlink.peak.value.value * 1e-12
    let card = cluster.nic.peak.value.value * 1e-12
    var peaks = (0..<4 * ranks).map { $0 % 4 < 2 ? nvlink : card }
    var capacity = Array(repeating: 1.0, count: 4 * ranks)
    var trunks: [Int32] = []
    var trunkOfLink: [Int32] = []
    hasOwnCards = cluster.nic.perNode.value == cluster.gpusPerNode.value
    if let graph {
      trunkOfLink = Array(repeating: -1, count: graph.links)
      for link in 0..<graph.links where graph.isTrunk(link) {
        trunkOfLink[link] = Int32(trunks.count)
        trunks.append(Int32(link))
        peaks.append(graph.rate(of: LinkID(link)).value * 1e-12)
        capacity.append(1)
      }
    }
    self.peaks = peaks
    self.capacity = []
    self.trunks = trunks
    self.trunkOfLink = trunkOfLink
    if let graph {
      for link in 0..<graph.links {
        // Trunks keep their own rates; what is left of a rank's link is a share of the cluster's.
        guard let place = place(of: link, graph), place < 4 * ranks else { continue }
        capacity[place] =
          graph.isUp[link] ? min(1, graph.rate(of: LinkID(link)).value * 1e-12 / peaks[place]) : 0
      }
    }
    self.capacity = capacity
  }

  func owner(of place: Int) -> Int { place < 4 * ranks ? place / 4 : place - 3 * ranks }

  /// The place of a link of the graph; nil for PCIe, and for cards that several GPUs share.
  func place(of link: Int, _ graph: FabricGraph) -> Int? {
    if trunkOfLink[link] >= 0 { return 4 * ranks + Int(trunkOfLink[link]) }
    let (source, target) = (Int(graph.sources[link]), Int(graph.targets[link]))
    var place: Int?
    switch graph.cableKinds[link / 2] {
    case .nvlink where graph.kinds[source] == .gpu: place = 4 * source
    case .nvlink where graph.kinds[target] == .gpu: place = 4 * target + 1
    case .network where hasOwnCards && graph.kinds[source] == .card: place = 4 * (source - graph.gpus) + 2
    case .network where hasOwnCards && graph.kinds[target] == .card: place = 4 * (target - graph.gpus) + 3
    default: break
    }
    return place.flatMap { $0 < 4 * ranks ? $0 : nil }
  }

  /// The places that a route takes from one rank to another.
  func places(of route: [LinkID], from source: Int, to target: Int, _ graph: FabricGraph) -> [Int32] {
    var places: [Int32] = []
    for link in route {
      let index = Int(link.index)
      if let place = place(of: index, graph) {
        places.append(Int32(place))
      } else if !hasOwnCards, graph.cableKinds[index / 2] == .network {
        if graph.kinds[Int(graph.sources[index])] == .card { places.append(Int32(4 * source + 2)) }
        if graph.kinds[Int(graph.targets[index])] == .card { places.append(Int32(4 * target + 3)) }
      }
    }
    return places
  }

  /// The same link the other way.
  func reverse(_ place: Int32) -> Int32 {
    let first = Int32(4 * ranks)
    if place < first { return place ^ 1 }
    return first + trunkOfLink[Int(trunks[Int(place - first)]) ^ 1]
  }
}

extension FabricGraph {
  /// Whether a link joins two switches of the network.
  func isTrunk(_ link: Int) -> Bool {
    kinds[Int(sources[link])] == .networkSwitch && kinds[Int(targets[link])] == .networkSwitch
  }
}
