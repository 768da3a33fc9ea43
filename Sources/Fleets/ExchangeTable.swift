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
  ///
  /// Experts lie where the layer's placement says, in order where there is none.
  case drawn(RoutingDraw, placements: [Int: ExpertPlacement] = [:])
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
  /// Rows to or from nodes in the fuller direction, the own node included.
  let ringRows: SharedColumn<Int32>
  let linkOut: SharedColumn<Int32>
  let linkIn: SharedColumn<Int32>
  /// Rows that leave over the network, and that land from it.
  let cardOut: SharedColumn<Int32>
  let cardIn: SharedColumn<Int32>
  /// Pairs of token and expert over the mean, times 65,536.
  let share: SharedColumn<Int32>
  /// `[exchange, source, node]`, for networks that change in mid-step.
  let nodeRows: SharedColumn<Int32>
  /// Flows of each exchange, and its pairs of token and chosen expert.
  let flows: SharedColumn<Int32>
  let pairs: SharedColumn<Int64>
  /// Flows that the network was solved for.
  var solvedFlows: Int { solved[0] }
  private let solved = SharedColumn<Int>(repeating: 0, count: 1)

  static let one: Int32 = 65_536

  deinit {
    dispatch.release()
    combine.release()
    solved.release()
    pairs.release()
    for column in [nodeRows, linkRows, ringRows, linkOut, linkIn, cardOut, cardIn, share, flows] {
      column.release()
    }
  }

  /// - Complexity: O(draws × flows × log flows).
  init(
    _ verified: VerifiedProgram, _ tables: StepTables, _ routes: FabricRoutes, _ shape: ExpertShape,
    routing: FleetRouting, seed: UInt64, accuracy: Accuracy, threads: Int, rates: [ExchangeRates]
  ) throws(NetworkError) {
    let program = verified.program
    guard tables.expertCommunicator >= 0, let first = rates.first else {
      (members, nodes, ranksPerNode, count, rowBytes, card) = (0, 0, 1, 0, 0, 1)
      firstOfGroup = []
      dispatch = SharedColumn(repeating: 0, count: 0)
      combine = SharedColumn(repeating: 0, count: 0)
      pairs = SharedColumn(repeating: 0, count: 0)
      let none = { SharedColumn<Int32>(repeating: 0, count: 0) }
      (linkRows, ringRows, linkOut, linkIn, cardOut, cardIn, share, flows, nodeRows) = (
        none(), none(), none(), none(), none(), none(), none(), none(), none()
      )
      return
    }
    let communicator = program.communicators[tables.expertCommunicator]
    let (members, nodes, ranksPerNode) = (shape.members, shape.nodes, shape.ranksPerNode)
    self.members = members
    self.ranksPerNode = ranksPerNode
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
    ringRows = SharedColumn(repeating: 0, count: size)
    linkOut = SharedColumn(repeating: 0, count: size)
    linkIn = SharedColumn(repeating: 0, count: size)
    cardOut = SharedColumn(repeating: 0, count: size)
    cardIn = SharedColumn(repeating: 0, count: size)
    share = SharedColumn(repeating: Self.one, count: size)
    flows = SharedColumn(repeating: 0, count: jobs.count)
    pairs = SharedColumn(repeating: 0, count: jobs.count)
    nodeRows = SharedColumn(repeating: 0, count: size * nodes)
    func network(of group: Int) throws(NetworkError) -> ExchangeFlows {
      try routes.network(
        ofGroup: group, epoch: 0, shape, card: first.card * 1e12,
        capacity: { routes.links.capacity[Int($0)] },
        accuracy: accuracy)
    }
    let average = program.exchanges[0]
    switch routing {
    case .balanced:
      var rows = ExchangeRows(members: members, nodes: nodes)
      rows.fill(average, ranksPerNode: ranksPerNode)
      // Groups below one leaf are alike; each of the others is solved once.
      var plain: Int?
      var own: (group: Int, job: Int) = (-1, 0)
      for (job, entry) in jobs.enumerated() {
        if routes.epochs[0].isPlain[entry.group] {
          if let plain { copy(plain, to: job) }
        } else if own.group == entry.group {
          copy(own.job, to: job)
        }
        let isCopied = routes.epochs[0].isPlain[entry.group] ? plain != nil : own.group == entry.group
        if isCopied { continue }
        var network = try network(of: entry.group)
        try network.solve(
          rows.nodeRows, rowBytes: rowBytes, dispatch: dispatch.base + job * members,
          combine: combine.base + job * members)
        flows[job] = Int32(network.flows)
        solved[0] += network.flows
        enter(rows, at: job)
        if routes.epochs[0].isPlain[entry.group] { plain = job } else { own = (entry.group, job) }
      }
    case .drawn(let draw, let placements):
      let layers = Set(jobs.map(\.key.layer)).sorted()
      let mixture = draw.mixture
      let pools = parallel(layers.count, threads: threads) { index in
        TokenPool(
          choices: draw.sample(layer: Int(layers[index]), tokens: TokenPool.tokens),
          topK: mixture.topK,
          placement: placements[Int(layers[index])]
            ?? ExpertPlacement(contiguous: mixture.routedExperts, gpus: members),
          ranksPerNode: ranksPerNode)
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
      solved[0] = flows.array.reduce(0) { $0 + Int($1) }
    }
  }

  private func enter(_ rows: ExchangeRows, at exchange: Int) {
    (nodeRows.base + exchange * members * nodes).update(from: rows.nodeRows, count: members * nodes)
    let total = rows.computed.reduce(0) { $0 + Int($1) }
    pairs[exchange] = Int64(total)
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
    for member in 0..<members {
      let place = exchange * members + member
      ringRows[place] =
        max(cardOut[place], cardIn[place]) + rows.nodeRows[member * nodes + member / ranksPerNode]
    }
  }

  private func copy(_ first: Int, to exchange: Int) {
    for (source, target) in zip(
      first * members..<(first + 1) * members, exchange * members..<(exchange + 1) * members)
    {
      dispatch[target] = dispatch[source]
      combine[target] = combine[source]
      linkRows[target] = linkRows[source]
      linkOut[target] = linkOut[source]
      linkIn[target] = linkIn[source]
      cardOut[target] = cardOut[source]
      cardIn[target] = cardIn[source]
      ringRows[target] = ringRows[source]
    }
    let own = members * nodes
    (nodeRows.base + exchange * own).update(from: nodeRows.base + first * own, count: own)
    flows[exchange] = flows[first]
    pairs[exchange] = pairs[first]
  }
}

/// How expert groups lie on nodes: members fill nodes in order.
struct ExpertShape: Sendable {
  var members = 0
  var nodes = 0
  var ranksPerNode = 1

  init(members: Int, nodes: Int, ranksPerNode: Int) {
    (self.members, self.nodes, self.ranksPerNode) = (members, nodes, ranksPerNode)
  }

  init(_ program: Program, _ tables: StepTables, gpusPerNode: Int) {
    guard tables.expertCommunicator >= 0 else { return }
    let group = program.communicators[tables.expertCommunicator].group(0)
    guard let first = group.first else { return }
    members = group.count
    // A group within a node is one node whatever its place there.
    ranksPerNode = max(1, group.count { Int($0) / gpusPerNode == Int(first) / gpusPerNode })
    nodes = (members + ranksPerNode - 1) / ranksPerNode
  }
}

extension FabricRoutes {
  /// The network of an expert group's flows.
  ///
  /// - Parameters:
  ///   - card: what the kernel gets of a whole card, bytes in a second.
  ///   - capacity: what is left of a place.
  func network(
    ofGroup group: Int, epoch: Int, _ shape: ExpertShape, card: Double, capacity: (Int32) -> Double,
    accuracy: Accuracy
  ) throws(NetworkError) -> ExchangeFlows {
    let each = shape.members * shape.nodes
    let ways = (group * each..<(group + 1) * each).map { index -> [Int32] in
      let route = epochs[epoch].exchanges[index]
      return route < 0 ? [] : self.route(route).map { pool[$0] }
    }
    return try ExchangeFlows(
      members: shape.members, ranksPerNode: shape.ranksPerNode, routes: ways,
      rate: { place in
        let left = links.peaks[Int(place)] * 1e12 * capacity(place)
        return BytesPerSecond(place < 4 * links.ranks && place & 3 >= 2 ? min(card, left) : left)
      }, accuracy: accuracy)
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
      for node in 0..<nodes where nodes > 1 {
        nodeRows[member * nodes + node] = rows(
          node == member / ranksPerNode
            ? exchange.nodesPerToken - exchange.remoteNodesPerToken
            : exchange.remoteNodesPerToken / Double(nodes - 1))
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
