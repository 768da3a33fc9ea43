import Clusters
import Networks
import Units

/// One dispatch or combine of DeepEP's normal kernels alone, as its own benchmark measures it.
///
/// A row goes once to each node of its experts: through the RDMA rings of its GPU, over the card to the GPU in the same
/// place there, into that GPU's rings; rows for the own node pass the same rings in the order of tokens and leave out
/// the cards. From the rings a row goes over NVLink once to each GPU of its experts, the landing GPU included. Hops run
/// at the same time, chunk by chunk, so an exchange takes as long as its slowest link. A combine is the way back.
///
/// Bandwidths are DeepEP's: logical ones count the copies to the own node and the own GPU, physical ones what a wire
/// carries. Source: DeepEP, `csrc/kernels/internode.cu` (rings and their order) and `tests/test_internode.py`.
public struct ExchangeStudy: Sendable {
  /// How fast the exchange's kernels run: of a card (physical), of a GPU's rings and of its NVLink (logical).
  public struct Rates: Hashable, Sendable {
    public var card: BytesPerSecond
    /// Nil where rings are no limit; rows for the own node then meet no one before NVLink.
    public var rings: BytesPerSecond?
    public var nvlink: BytesPerSecond

    public init(card: BytesPerSecond, rings: BytesPerSecond? = nil, nvlink: BytesPerSecond) {
      self.card = card
      self.rings = rings
      self.nvlink = nvlink
    }
  }

  /// What a row passes on its way.
  public enum Stage: String, CaseIterable, Sendable {
    case rings = "RDMA rings"
    case card
    case nvlink = "NVLink"
  }

  /// How much of the time a stage's links are busy, each at its own rate.
  public struct Use: Sendable {
    public let stage: Stage
    /// Over all GPUs and both directions.
    public let mean: Ratio
    public let fullest: Ratio
  }

  /// When the last member is done.
  public let time: Span
  /// Of a member on average: rows to nodes and to ranks, its own included.
  public let nodeRows: Double
  public let rankRows: Double
  /// Copies that leave its node, and copies that NVLink carries: none to itself.
  public let remoteRows: Double
  public let linkRows: Double
  /// Of the stages that rows pass.
  public let uses: [Use]
  public let flows: Int
  /// Whole bytes that left and that reached all members over each stage.
  public let carried: [(stage: Stage, sent: Bytes, received: Bytes)]
  private let rowBytes: Double

  /// Bytes to nodes over the time: what tables of exchanges between nodes print.
  public var logicalCardBandwidth: BytesPerSecond { rate(nodeRows) }
  public var physicalCardBandwidth: BytesPerSecond { rate(remoteRows) }
  /// Bytes to ranks over the time: what tables of exchanges within a node print.
  public var logicalLinkBandwidth: BytesPerSecond { rate(rankRows) }
  public var physicalLinkBandwidth: BytesPerSecond { rate(linkRows) }

  /// The stage that is busy longest.
  public var bottleneck: Stage {
    (uses.max { $0.fullest < $1.fullest })?.stage ?? .nvlink
  }

  public func use(_ stage: Stage) -> Use? { uses.first { $0.stage == stage } }

  private func rate(_ rows: Double) -> BytesPerSecond { BytesPerSecond(rows * rowBytes / time.seconds) }

  /// - Parameters:
  ///   - choices: Experts that each member's tokens chose, `[member, token, topK]`.
  ///   - isCombine: Rows go back instead of out.
  /// - Throws: `NetworkError` for rates that are not positive.
  /// - Precondition: `members` divides the experts, and each member has whole blocks of 64 tokens.
  public init(
    choices: [Int32], topK: Int, experts: Int, members: Int, ranksPerNode: Int, rowBytes: Double,
    rates: Rates,
    isCombine: Bool = false, accuracy: Accuracy = .exact
  ) throws(NetworkError) {
    let nodes = (members + ranksPerNode - 1) / ranksPerNode
    let perMember = choices.count / members
    let counts = (0..<members).map { member in
      TokenPool(
        choices: Array(choices[member * perMember..<(member + 1) * perMember]), topK: topK, experts: experts,
        members: members, ranksPerNode: ranksPerNode
      ).total
    }
    var network = ExchangeNetwork(isReversed: isCombine)
    let row = Int64(rowBytes.rounded())
    var sums = (nodes: 0, remote: 0, ranks: 0, links: 0)
    if nodes > 1 {
      if let rings = rates.rings { try network.add(.rings, members: members, rate: rings) }
      try network.add(.card, members: members, rate: rates.card)
    }
    try network.add(.nvlink, members: members, rate: rates.nvlink)
    func landing(_ source: Int, _ node: Int) -> Int {
      min(node * ranksPerNode + source % ranksPerNode, members - 1)
    }
    for source in 0..<members {
      for node in 0..<nodes {
        let rows = Int(counts[source][node])
        let isRemote = node != source / ranksPerNode
        sums.nodes += rows
        if isRemote { sums.remote += rows }
        if nodes == 1 || rows == 0 { continue }
        try network.flow(
          from: source, to: landing(source, node), over: isRemote ? [.rings, .card] : [.rings],
          Int64(rows) * row)
      }
    }
    // What a landing GPU hands on to one GPU of its node is one flow, whoever sent it.
    for rank in 0..<members {
      let node = rank / ranksPerNode
      var rows = Array(repeating: 0, count: members)
      for source in 0..<members {
        let count = Int(counts[source][2 * nodes + rank])
        rows[landing(source, node)] += count
        sums.ranks += count
      }
      for place in 0..<members where rows[place] > 0 {
        if place != rank { sums.links += rows[place] }
        try network.flow(from: place, to: rank, over: [.nvlink], Int64(rows[place]) * row)
      }
    }
    let result = try network.run(accuracy)
    time = result.time
    uses = result.uses
    flows = network.flows
    carried = result.carried
    self.rowBytes = rowBytes
    nodeRows = Double(sums.nodes) / Double(members)
    remoteRows = Double(sums.remote) / Double(members)
    rankRows = Double(sums.ranks) / Double(members)
    linkRows = Double(sums.links) / Double(members)
  }
}

/// The links of every member's stages, and flows between members over some of them.
private struct ExchangeNetwork {
  private let isReversed: Bool
  private var links = LinkTable()
  private var routes = RouteTable()
  private var transfers = Transfers()
  private var first: [(stage: ExchangeStudy.Stage, link: Int, members: Int)] = []
  var flows: Int { transfers.count }

  init(isReversed: Bool) { self.isReversed = isReversed }

  /// One link out of and one into each member.
  mutating func add(_ stage: ExchangeStudy.Stage, members: Int, rate: BytesPerSecond) throws(NetworkError) {
    first.append((stage, links.count, members))
    for direction in ["out of", "into"] {
      for member in 0..<members {
        try links.add("\(stage.rawValue) \(direction) \(member)", capacity: rate)
      }
    }
  }

  mutating func flow(
    from source: Int, to target: Int, over stages: [ExchangeStudy.Stage], _ bytes: Int64
  ) throws(NetworkError) {
    let ends = isReversed ? (target, source) : (source, target)
    var route: [LinkID] = []
    for own in first where stages.contains(own.stage) {
      route += [LinkID(own.link + ends.0), LinkID(own.link + own.members + ends.1)]
    }
    // Without rings nothing holds up rows for the own node here.
    if route.isEmpty { return }
    try transfers.add(try routes.add(route, of: links), Bytes(bytes))
  }

  func run(_ accuracy: Accuracy) throws(NetworkError) -> (
    time: Span, uses: [ExchangeStudy.Use],
    carried: [(stage: ExchangeStudy.Stage, sent: Bytes, received: Bytes)]
  ) {
    let times = try transfers.run(on: links, routes, accuracy: accuracy)
    let seconds = max(times.makespan.seconds, 1e-15)
    var uses: [ExchangeStudy.Use] = []
    var carried: [(stage: ExchangeStudy.Stage, sent: Bytes, received: Bytes)] = []
    for own in first {
      let shares = (own.link..<own.link + 2 * own.members).map {
        Double(times.carried[$0].count) / (links.capacity(of: LinkID($0)).value * seconds)
      }
      uses.append(
        .init(
          stage: own.stage, mean: Ratio(shares.reduce(0, +) / Double(shares.count)),
          fullest: Ratio(shares.max() ?? 0)))
      let sent = times.carried[own.link..<own.link + own.members].reduce(Bytes.zero, +)
      let received = times.carried[own.link + own.members..<own.link + 2 * own.members].reduce(Bytes.zero, +)
      carried.append((own.stage, sent, received))
    }
    return (times.makespan, uses, carried)
  }
}

extension TokenPool {
  /// The counts of all tokens together, `[width]`.
  var total: [Int32] {
    var sum = Array(repeating: Int32(0), count: width)
    for block in 0..<blocks { for place in 0..<width { sum[place] += count(block, place) } }
    return sum
  }
}
