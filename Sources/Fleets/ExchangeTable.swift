import Clusters
import Dispatch
import Networks
import Programs
import Routing
import Units

/// Where the rows of exchanges come from.
public enum FleetRouting: Sendable {
  /// Every exchange carries the program's averages.
  case balanced
  /// Each group's exchange of each layer and micro-batch is drawn on its own.
  case drawn(RoutingDraw)
}

/// Every exchange of a step, solved: when each member is done alone, what each link carries, what each member computes.
///
/// A draw's forward and backward carry the same rows, and a combine is a dispatch turned round; so one solution serves
/// four exchanges. Entries are `[exchange * members + member]`, an exchange being a draw of a group.
final class ExchangeTable: Sendable {
  let members: Int
  let nodes: Int
  let ranksPerNode: Int
  /// First exchange of each expert group.
  let firstOfGroup: [Int]
  let count: Int
  /// Picoseconds of network flows for rows of `rowBytes` at the rate `card`.
  let dispatch: SharedColumn<Int64>
  let combine: SharedColumn<Int64>
  let rowBytes: Int64
  let card: Double
  /// Rows over NVLink in the fuller direction, as DeepEP counts them.
  let linkRows: SharedColumn<Int32>
  let linkOut: SharedColumn<Int32>
  let linkIn: SharedColumn<Int32>
  /// Rows that leave over the network, and that land from it.
  let cardOut: SharedColumn<Int32>
  let cardIn: SharedColumn<Int32>
  /// Pairs of token and expert over the mean, times 65,536.
  let share: SharedColumn<Int32>
  /// `[exchange, source, node]`, for networks that change in mid-step.
  let nodeRows: SharedColumn<Int32>
  /// Flows of each exchange.
  let flows: SharedColumn<Int32>
  private let isDrawn: Bool
  let placement: GroupPlacement?

  /// Flows that the network was solved for.
  var solvedFlows: Int { isDrawn ? flows.array.reduce(0) { $0 + Int($1) } : Int(flows.array.first ?? 0) }

  static let one: Int32 = 65_536

  deinit {
    dispatch.release()
    combine.release()
    for column in [nodeRows, linkRows, linkOut, linkIn, cardOut, cardIn, share, flows] { column.release() }
  }

  /// - Complexity: O(draws × flows × log flows).
  init(
    _ verified: VerifiedProgram, _ tables: StepTables, on cluster: Cluster, routing: FleetRouting,
    seed: UInt64,
    accuracy: Accuracy, threads: Int, rates: [ExchangeRates]
  ) throws(NetworkError) {
    let program = verified.program
    guard tables.expertCommunicator >= 0, let first = rates.first else {
      (members, nodes, ranksPerNode, count, rowBytes, card, isDrawn) = (0, 0, 1, 0, 0, 1, false)
      firstOfGroup = []
      placement = nil
      dispatch = SharedColumn(repeating: 0, count: 0)
      combine = SharedColumn(repeating: 0, count: 0)
      let none = { SharedColumn<Int32>(repeating: 0, count: 0) }
      (linkRows, linkOut, linkIn, cardOut, cardIn, share, flows, nodeRows) = (
        none(), none(), none(), none(), none(), none(), none(), none()
      )
      return
    }
    let communicator = program.communicators[tables.expertCommunicator]
    let members = communicator.group(0).count
    let gpusPerNode = cluster.gpusPerNode.value
    // Members fill nodes in order; a group within a node is one node whatever its place there.
    let firstNode = Int(communicator.group(0)[communicator.group(0).startIndex]) / gpusPerNode
    let ranksPerNode = max(1, communicator.group(0).count { Int($0) / gpusPerNode == firstNode })
    self.members = members
    self.ranksPerNode = ranksPerNode
    let nodes = (members + ranksPerNode - 1) / ranksPerNode
    self.nodes = nodes
    var firstOfGroup: [Int] = []
    var list: [(group: Int, key: DrawKey)] = []
    for group in 0..<communicator.groupCount {
      firstOfGroup.append(list.count)
      let role = Int(tables.roleOfRank[communicator.group(group)[communicator.group(group).startIndex]])
      for key in tables.drawsOfRole[role] { list.append((group, key)) }
    }
    self.firstOfGroup = firstOfGroup
    let jobs = list
    count = jobs.count
    rowBytes = Int64(first.rowBytes.rounded())
    card = first.card
    let size = jobs.count * members
    dispatch = SharedColumn(repeating: 0, count: size)
    combine = SharedColumn(repeating: 0, count: size)
    linkRows = SharedColumn(repeating: 0, count: size)
    linkOut = SharedColumn(repeating: 0, count: size)
    linkIn = SharedColumn(repeating: 0, count: size)
    cardOut = SharedColumn(repeating: 0, count: size)
    cardIn = SharedColumn(repeating: 0, count: size)
    share = SharedColumn(repeating: Self.one, count: size)
    flows = SharedColumn(repeating: 0, count: jobs.count)
    nodeRows = SharedColumn(repeating: 0, count: size * nodes)
    let placement = GroupPlacement(communicator, cluster: cluster, ranksPerNode: ranksPerNode)
    self.placement = placement
    func network(of group: Int) throws(NetworkError) -> ExchangeFlows {
      try placement.flows(
        group, cardRate: Array(repeating: BytesPerSecond(first.card * 1e12), count: members),
        accuracy: accuracy)
    }
    let average = program.exchanges[0]
    if case .drawn = routing { isDrawn = true } else { isDrawn = false }
    switch routing {
    case .balanced:
      var rows = ExchangeRows(members: members, nodes: nodes)
      rows.fill(average, ranksPerNode: ranksPerNode)
      var network = try network(of: 0)
      if jobs.isEmpty { return }
      try network.solve(rows.nodeRows, rowBytes: rowBytes, dispatch: dispatch.base, combine: combine.base)
      flows[0] = Int32(network.flows)
      enter(rows, at: 0)
      for job in 1..<max(1, jobs.count) { copyFirst(to: job) }
    case .drawn(let draw):
      let layers = Set(jobs.map(\.key.layer)).sorted()
      let mixture = draw.mixture
      let pools = parallel(layers.count, threads: threads) { index in
        TokenPool(
          choices: draw.sample(layer: Int(layers[index]), tokens: TokenPool.tokens),
          topK: mixture.topK, experts: mixture.routedExperts, members: members, ranksPerNode: ranksPerNode)
      }
      let place = Dictionary(uniqueKeysWithValues: layers.enumerated().map { ($1, $0) })
      let networks = try (0..<communicator.groupCount).map { (group) throws(NetworkError) in
        try network(of: group)
      }
      let tokens = Int(average.tokens)
      let chunk = 32
      let chunks = (jobs.count + chunk - 1) / chunk
      // Sizes are checked above; a flow of a group cannot be refused.
      _ = parallel(chunks, threads: threads) { [self] part in
        var rows = ExchangeRows(members: members, nodes: nodes)
        var scratch = Array(repeating: Int32(0), count: 2 * nodes + 2 * members)
        for job in part * chunk..<min(jobs.count, (part + 1) * chunk) {
          let (group, key) = jobs[job]
          guard let pool = place[key.layer].map({ pools[$0] }) else { continue }
          var generator = SeededGenerator(seed: seed, stream: "exchange \(key.layer) \(key.batch) \(group)")
          rows.draw(pool, tokens: tokens, &generator, scratch: &scratch)
          var network = networks[group]
          try? network.solve(
            rows.nodeRows, rowBytes: rowBytes, dispatch: dispatch.base + job * members,
            combine: combine.base + job * members)
          flows[job] = Int32(network.flows)
          enter(rows, at: job)
        }
        return 0
      }
    }
  }

  private func enter(_ rows: ExchangeRows, at exchange: Int) {
    (nodeRows.base + exchange * members * nodes).update(from: rows.nodeRows, count: members * nodes)
    let total = rows.computed.reduce(0) { $0 + Int($1) }
    for member in 0..<members {
      let place = exchange * members + member
      linkRows[place] = max(rows.received[member], rows.forwarded[member])
      linkOut[place] = rows.linkOut[member]
      linkIn[place] = rows.linkIn[member]
      if total > 0 { share[place] = Int32(Int(rows.computed[member]) * Int(Self.one) * members / total) }
      cardOut[place] = 0
      cardIn[place] = 0
    }
    for source in 0..<members {
      for node in 0..<nodes where node != source / ranksPerNode {
        let landing = min(node * ranksPerNode + source % ranksPerNode, members - 1)
        cardOut[exchange * members + source] += rows.nodeRows[source * nodes + node]
        cardIn[exchange * members + landing] += rows.nodeRows[source * nodes + node]
      }
    }
  }

  private func copyFirst(to exchange: Int) {
    for member in 0..<members {
      let place = exchange * members + member
      dispatch[place] = dispatch[member]
      combine[place] = combine[member]
      linkRows[place] = linkRows[member]
      linkOut[place] = linkOut[member]
      linkIn[place] = linkIn[member]
      cardOut[place] = cardOut[member]
      cardIn[place] = cardIn[member]
    }
    let own = members * nodes
    (nodeRows.base + exchange * own).update(from: nodeRows.base, count: own)
    flows[exchange] = flows[0]
  }
}

/// Where the members of expert groups sit, as far as their flows are concerned.
struct GroupPlacement: Sendable {
  let members: [[Int32]]
  private let ranksPerNode: Int
  private let gpusPerNode: Int
  private let nodesPerLeaf: Int
  /// Of a leaf switch on one rail; nil where uplinks cannot fill up.
  private let uplink: BytesPerSecond?
  /// Of a card, bytes in a second.
  let cardPeak: BytesPerSecond

  init(_ communicator: Communicator, cluster: Cluster, ranksPerNode: Int) {
    members = (0..<communicator.groupCount).map { Array(communicator.group($0)) }
    self.ranksPerNode = ranksPerNode
    gpusPerNode = cluster.gpusPerNode.value
    nodesPerLeaf = cluster.fabric.nodesPerLeaf(nicsPerNode: cluster.nic.perNode.value)
    cardPeak = cluster.nic.peak.value
    let oversubscription = cluster.fabric.oversubscription.value.value
    uplink =
      oversubscription > 1 ? BytesPerSecond(cardPeak.value * Double(nodesPerLeaf) / oversubscription) : nil
  }

  func flows(_ group: Int, cardRate: [BytesPerSecond], accuracy: Accuracy) throws(NetworkError)
    -> ExchangeFlows
  {
    let list = members[group]
    return try ExchangeFlows(
      members: list.count, ranksPerNode: ranksPerNode, cardRate: cardRate,
      leafOfNode: stride(from: 0, to: list.count, by: ranksPerNode).map {
        Int(list[$0]) / gpusPerNode / nodesPerLeaf
      },
      uplink: uplink, accuracy: accuracy)
  }
}

extension TokenPool {
  /// Tokens that are scored for each layer.
  static let tokens = 8192
}

extension ExchangeRows {
  /// The same rows from every member, as an exchange's averages say.
  mutating func fill(_ exchange: Exchange, ranksPerNode: Int) {
    func rows(_ perToken: Double) -> Int32 { Int32((exchange.tokens * perToken).rounded()) }
    for member in 0..<members {
      for node in 0..<nodes where nodes > 1 && node != member / ranksPerNode {
        nodeRows[member * nodes + node] = rows(exchange.remoteNodesPerToken / Double(nodes - 1))
      }
      received[member] = rows(exchange.ranksPerToken)
      forwarded[member] = received[member]
      linkOut[member] = rows(exchange.forwardedPerToken)
      linkIn[member] = linkOut[member]
      computed[member] = 1
    }
  }
}

/// Does `count` things on so many threads; the results stand in order, whoever made them.
func parallel<Result: Sendable>(_ count: Int, threads: Int, _ body: @Sendable (Int) -> Result) -> [Result] {
  if threads < 2 || count < 2 { return (0..<count).map(body) }
  var results = [Result?](repeating: nil, count: count)
  results.withUnsafeMutableBufferPointer { buffer in
    let target = ResultColumn(base: buffer)
    withoutActuallyEscaping(body) { body in
      let work: @Sendable (Int) -> Void = { target.base[$0] = body($0) }
      DispatchQueue.concurrentPerform(iterations: threads) { worker in
        for index in stride(from: worker, to: count, by: threads) { work(index) }
      }
    }
  }
  return results.map { $0! }
}

private struct ResultColumn<Result>: @unchecked Sendable {
  let base: UnsafeMutableBufferPointer<Result?>
}
