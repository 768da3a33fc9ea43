import Clusters
import Documents
import Fabrics
import Networks
import Programs
import Units

/// Bytes over one cable of a fabric, one way.
public struct CableLoad: Hashable, Sendable {
  public var name: String
  public var bytes: Double
  /// Share of what the cable could have carried in the whole step.
  public var utilization: Double
}

/// What a replayed step puts on each cable between GPUs, cards and switches.
///
/// Rings run through a node's members one after the other and leave it by as many cards as the group has members there;
/// an all-to-all goes straight to each member; a dispatch or combine goes once to each node, to the member of the
/// sender's own place, and on over NVLink, as DeepEP does.
public struct FabricTraffic: Sendable {
  /// The fullest cables, fullest first.
  public private(set) var busiest: [CableLoad] = []
  /// All bytes that leave GPUs, times the cables that they pass.
  public private(set) var total = 0.0
  public let routing: RouteChoice

  /// Most pairs of GPUs times operations that are followed.
  private static let mostWork = 40_000_000

  /// - Returns: Nil where so many ranks exchange so much that it would take too long.
  /// - Throws: A `Diagnostic` where GPUs cannot reach each other.
  /// - Complexity: O(ranks × operations × members + pairs × cables of a route).
  public init?(_ replay: Replay, routing: RouteChoice, count: Int = 8) throws {
    self.routing = routing
    guard let cluster = replay.cluster, replay.step > .zero else { return nil }
    let program = replay.verified.program
    let work = program.codeOfRank.reduce(0) { sum, code in
      let columns = program.codes[Int(code)]
      return sum
        + (0..<columns.count).reduce(0) { sum, task in
          guard columns.kind[task] == .allToAll else { return sum + (columns.kind[task] == .compute ? 0 : 8) }
          return sum + (program.communicators[Int(columns.communicator[task])].members.count)
        }
    }
    guard work < Self.mostWork else { return nil }
    let graph = try FabricGraph(cluster, rates: .peak)
    guard graph.gpus >= program.ranks else { return nil }
    var router = Router(graph, choice: routing, rails: .straight)
    var bytesOfLink = Array(repeating: 0.0, count: graph.links)
    for rank in 0..<program.ranks {
      var targets: [Int: Double] = [:]
      let codeIndex = Int(program.codeOfRank[rank])
      for task in 0..<program.codes[codeIndex].count {
        addTargets(
          of: rank, codeIndex, task, program, perNode: cluster.gpusPerNode.value,
          hasBytes: replay.imported.hasBytes,
          to: &targets)
      }
      for target in targets.keys.sorted() where target != rank {
        guard let bytes = targets[target], bytes > 0 else { continue }
        for link in try router.route(from: rank, to: target, load: bytes) {
          bytesOfLink[Int(link.index)] += bytes
          total += bytes
        }
      }
    }
    let loads = bytesOfLink.indices.filter { bytesOfLink[$0] > 0 }.map { index -> CableLoad in
      let link = LinkID(index)
      return CableLoad(
        name: graph.table.name(of: link), bytes: bytesOfLink[index],
        utilization: bytesOfLink[index] / (graph.table.capacity(of: link).value * replay.step.seconds))
    }
    busiest = Array(loads.sorted { ($1.utilization, $0.name) < ($0.utilization, $1.name) }.prefix(count))
  }
}

/// What a rank hands to each other rank in one task.
private func addTargets(
  of rank: Int, _ codeIndex: Int, _ task: Int, _ program: Program, perNode: Int, hasBytes: [[Bool]],
  to targets: inout [Int: Double]
) {
  let code = program.codes[codeIndex]
  guard code.kind[task] != .compute, hasBytes[codeIndex][task] else { return }
  let communicator = program.communicators[Int(code.communicator[task])]
  let group = communicator.group(ofRank: rank)
  let members = group.count
  guard members > 1 else { return }
  let bytes = Double(code.bytes[task])
  let own = Int(communicator.indexOfRank[rank])
  func member(_ index: Int) -> Int { Int(group[group.startIndex + index]) }
  func add(_ bytes: Double, to index: Int) { targets[member(index), default: 0] += bytes }
  switch code.kind[task] {
  case .send: add(bytes, to: Int(code.peer[task]))
  case .allToAll:
    let splits = program.splits(code: codeIndex, task: task)
    for index in 0..<members where index != own {
      add(splits.map { Double($0.sent[index]) } ?? bytes / Double(members), to: index)
    }
  case .allReduce, .reduceScatter, .allGather, .broadcast:
    let passes = code.kind[task] == .allReduce ? 2.0 : 1.0
    addRing(passes * bytes * Double(members - 1) / Double(members), group, own, perNode, add)
  case .dispatch, .combine:
    let exchange = program.exchanges[Int(code.work[task])]
    let places = NodePlaces(group, own, perNode)
    let rows = exchange.tokens * exchange.bytesPerToken
    for other in places.sameOnOtherNodes {
      add(rows * exchange.remoteNodesPerToken / Double(places.sameOnOtherNodes.count), to: other)
    }
    for other in places.near where other != own {
      add(rows * exchange.forwardedPerToken / Double(places.near.count - 1), to: other)
    }
  case .compute, .receive, .barrier: break
  }
}

private func addRing(
  _ bytes: Double, _ group: ArraySlice<Int32>, _ own: Int, _ perNode: Int, _ add: (Double, Int) -> Void
) {
  let places = NodePlaces(group, own, perNode)
  let near = Double(places.near.count)
  guard let position = places.near.firstIndex(of: own) else { return }
  let next = places.near[(position + 1) % places.near.count]
  guard let leaving = places.sameOnOtherNodes.first else { return add(bytes, next) }
  // As many rings as members here; in one of them this member is the last of its node.
  if places.near.count > 1 { add(bytes * (near - 1) / near, next) }
  add(bytes / near, leaving)
}

/// A member's node, and the members of its place on other nodes, the next node first.
private struct NodePlaces {
  var near: [Int] = []
  var sameOnOtherNodes: [Int] = []

  init(_ group: ArraySlice<Int32>, _ own: Int, _ perNode: Int) {
    var nodes: [Int: [Int]] = [:]
    for (index, rank) in group.enumerated() { nodes[Int(rank) / perNode, default: []].append(index) }
    let node = Int(group[group.startIndex + own]) / perNode
    near = nodes[node] ?? []
    let place = near.firstIndex(of: own) ?? 0
    let order = nodes.keys.sorted()
    let start = order.firstIndex(of: node) ?? 0
    for step in 1..<max(1, order.count) {
      let list = nodes[order[(start + step) % order.count]] ?? []
      if !list.isEmpty { sameOnOtherNodes.append(list[min(place, list.count - 1)]) }
    }
  }
}
