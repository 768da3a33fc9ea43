/// Elements of a buffer that each member of a group owns: contiguous shards, as even as whole elements allow.
///
/// - Precondition: `member` is below `members`.
/// - Returns: `member * elements / members ..< (member + 1) * elements / members`, rounded down.
public func shard(ofMember member: Int, members: Int, elements: Int) -> Range<Int> {
  // A wide product: buffers of a large model times its ranks may pass 2^63.
  func bound(_ index: Int) -> Int {
    let (high, low) = index.multipliedFullWidth(by: elements)
    return members.dividingFullWidth((high, low)).quotient
  }
  return bound(member)..<bound(member + 1)
}

extension Program {
  /// The rows that travel in a dispatch or combine of a rank, `[source][destination]` of its expert group; nil
  /// without a table or for another task.
  public func traffic(rank: Int, task: Int) -> ArraySlice<Int32>? {
    trafficKey(rank: rank, task: task).flatMap { traffic?.rows(at: $0) }
  }

  private func trafficKey(rank: Int, task: Int) -> TrafficTable.Key? {
    let code = codes[Int(codeOfRank[rank])]
    guard traffic != nil, code.kind[task] == .dispatch || code.kind[task] == .combine,
      let chunk = code.chunk(ofTask: task)
    else { return nil }
    let group = communicators[Int(code.communicator[task])].groupOfRank[rank]
    return TrafficTable.Key(layer: Int(code.layer[task]), batch: Int(chunk.batch), group: Int(group))
  }

  /// Bytes that a rank hands to other ranks for a task; what it keeps for itself does not count.
  ///
  /// Collectives move shards (``shard(ofMember:members:elements:)``): a reduce-scatter sends every shard to
  /// its owner, an all-gather the own shard to everybody, an all-reduce is both; a broadcast goes out from
  /// member 0. An all-to-all sends its ``Splits``, or even shards. Dispatch and combine follow ``traffic``, or without
  /// it the exchange's averages, rounded; in two hops (``Exchange/membersPerNode``) what is handed on counts again.
  public func bytesSent(rank: Int, task: Int) -> Int64 { bytes(rank: rank, task: task).sent }

  /// Bytes that a rank gets from other ranks for a task.
  public func bytesReceived(rank: Int, task: Int) -> Int64 { bytes(rank: rank, task: task).received }

  /// Both of a task's counts at once.
  public func bytes(rank: Int, task: Int) -> (sent: Int64, received: Int64) {
    let code = codes[Int(codeOfRank[rank])]
    let bytes = code.bytes[task]
    switch code.kind[task] {
    case .compute: return (0, 0)
    case .send: return (bytes, 0)
    case .receive: return (0, bytes)
    default: break
    }
    let communicator = communicators[Int(code.communicator[task])]
    let members = communicator.group(ofRank: rank).count
    let member = Int(communicator.indexOfRank[rank])
    guard members > 1 else { return (0, 0) }
    if let splits = splits(code: Int(codeOfRank[rank]), task: task) { return splits.moved(by: member) }
    let others = Int64(members - 1)
    let size = max(1, code.elementBytes[task])
    let own = Int64(
      shard(ofMember: member, members: members, elements: Int(bytes / Int64(size))).count * Int(size))
    switch code.kind[task] {
    case .reduceScatter, .allToAll: return (bytes - own, others * own)
    case .allGather: return (others * own, bytes - own)
    case .allReduce:
      let both = bytes - own + others * own
      return (both, both)
    case .broadcast: return member == 0 ? (others * bytes, 0) : (0, bytes)
    case .dispatch, .combine: return exchangeBytes(rank: rank, task: task, member: member, members: members)
    case .compute, .send, .receive, .barrier: return (0, 0)
    }
  }

  private func exchangeBytes(rank: Int, task: Int, member: Int, members: Int) -> (
    sent: Int64, received: Int64
  ) {
    let code = codes[Int(codeOfRank[rank])]
    let exchange = exchanges[Int(code.work[task])]
    let isTwoHop = exchange.membersPerNode != nil
    // A count goes to every rank that rows may go to.
    let peers = exchange.membersPerNode.map { $0 - 1 + members / $0 - 1 } ?? members - 1
    let counts: Int64 =
      code.kind[task] == .dispatch && code.tag[task] != Exchange.knownLayoutTag
      ? Int64(peers * Exchange.countBytes) : 0
    let metadata = Double(exchange.metadataBytesPerToken)
    guard let key = trafficKey(rank: rank, task: task), let rows = traffic?.rows(at: key) else {
      let copies =
        isTwoHop
        ? exchange.tokens * (exchange.remoteNodesPerToken + exchange.forwardedPerToken)
        : exchange.tokens * exchange.ranksPerToken * Double(members - 1) / Double(members)
      let average = Int64((copies * (exchange.bytesPerToken + metadata)).rounded()) + counts
      return (average, average)
    }
    var copies: (outgoing: Int64, incoming: Int64)
    if let perNode = exchange.membersPerNode, let nodeRows = traffic?.nodeRows(at: key) {
      copies = twoHopRows(rows, nodeRows, member: member, members: members, perNode: perNode)
    } else {
      copies = otherRows(rows, member: member, members: members)
    }
    let row = Int64((exchange.bytesPerToken + metadata).rounded())
    let (there, back) = (copies.outgoing * row + counts, copies.incoming * row + counts)
    return code.kind[task] == .dispatch ? (there, back) : (back, there)
  }
}

/// Rows that a member sends to others in a dispatch, and that it gets from them.
private func otherRows(
  _ rows: ArraySlice<Int32>, member: Int, members: Int
) -> (outgoing: Int64, incoming: Int64) {
  var (outgoing, incoming) = (Int64(0), Int64(0))
  for other in 0..<members where other != member {
    outgoing += Int64(rows[rows.startIndex + member * members + other])
    incoming += Int64(rows[rows.startIndex + other * members + member])
  }
  return (outgoing, incoming)
}

/// The same where rows take two hops: to the member of the own place on each other node, and on within the node.
///
/// - Parameters:
///   - rows: `[source][destination]`, once a token.
///   - nodeRows: `[source][node]`, once a token.
/// - Complexity: O(members × nodes).
private func twoHopRows(
  _ rows: ArraySlice<Int32>, _ nodeRows: ArraySlice<Int32>, member: Int, members: Int, perNode: Int
) -> (outgoing: Int64, incoming: Int64) {
  let nodes = members / perNode
  let (node, place) = (member / perNode, member % perNode)
  var (outgoing, incoming) = (Int64(0), Int64(0))
  for other in 0..<nodes where other != node {
    outgoing += Int64(nodeRows[nodeRows.startIndex + member * nodes + other])
    incoming += Int64(nodeRows[nodeRows.startIndex + (other * perNode + place) * nodes + node])
  }
  // What landed here came from the members of this place on all nodes, the own rows among them.
  func landed(at landing: Int, for destination: Int) -> Int64 {
    (0..<nodes).reduce(0) { sum, source in
      sum + Int64(rows[rows.startIndex + (source * perNode + landing) * members + destination])
    }
  }
  for other in 0..<perNode where other != place {
    outgoing += landed(at: place, for: node * perNode + other)
    incoming += landed(at: other, for: member)
  }
  return (outgoing, incoming)
}
