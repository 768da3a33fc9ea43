import Clusters
import Networks
import Units

/// One dispatch or combine alone, as exchange benchmarks measure it.
///
/// Bandwidths are DeepEP's: logical ones count the copies to the own node and the own GPU, physical ones what a link
/// carries. Source: DeepEP, `tests/test_internode.py`.
public struct ExchangeStudy: Sendable {
  /// How fast the exchange's kernels run: of a card (physical) and of NVLink (logical).
  public struct Rates: Hashable, Sendable {
    public var card: BytesPerSecond
    public var nvlink: BytesPerSecond

    public init(card: BytesPerSecond, nvlink: BytesPerSecond) {
      self.card = card
      self.nvlink = nvlink
    }
  }

  /// When the last member is done.
  public let time: Span
  /// Of a member on average: rows to nodes and to ranks, its own included; copies that leave its node.
  public let nodeRows: Double
  public let rankRows: Double
  public let remoteRows: Double
  /// Share of the time that the fullest card and the fullest NVLink are busy at their kernels' rates.
  public let cardUse: Ratio
  public let nvlinkUse: Ratio
  public let flows: Int
  private let rowBytes: Double

  /// Bytes to nodes over the time: what tables of exchanges between nodes print.
  public var logicalCardBandwidth: BytesPerSecond { BytesPerSecond(nodeRows * rowBytes / time.seconds) }
  public var physicalCardBandwidth: BytesPerSecond { BytesPerSecond(remoteRows * rowBytes / time.seconds) }
  /// Bytes to ranks over the time: what tables of exchanges within a node print.
  public var logicalLinkBandwidth: BytesPerSecond { BytesPerSecond(rankRows * rowBytes / time.seconds) }

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
    var rows = ExchangeRows(members: members, nodes: nodes)
    let perMember = choices.count / members
    for member in 0..<members {
      let pool = TokenPool(
        choices: Array(choices[member * perMember..<(member + 1) * perMember]), topK: topK, experts: experts,
        members: members, ranksPerNode: ranksPerNode)
      rows.add(pool.total, from: member, ranksPerNode: ranksPerNode)
    }
    var network = try ExchangeFlows(
      members: members, ranksPerNode: ranksPerNode, cardRate: Array(repeating: rates.card, count: members),
      leafOfNode: Array(repeating: 0, count: nodes), uplink: nil, accuracy: accuracy)
    let dispatch = SharedColumn<Int64>(repeating: 0, count: members)
    let combine = SharedColumn<Int64>(repeating: 0, count: members)
    defer {
      dispatch.release()
      combine.release()
    }
    try network.solve(
      rows.nodeRows, rowBytes: Int64(rowBytes.rounded()), dispatch: dispatch.base, combine: combine.base)
    let cards = Span(picoseconds: (isCombine ? combine : dispatch).array.max() ?? 0)
    let fullest = zip(rows.received, rows.forwarded).map { Double(max($0, $1)) }.max() ?? 0
    let links = Span(modelled: fullest * rowBytes / rates.nvlink.value)
    time = max(cards, links)
    flows = network.flows
    self.rowBytes = rowBytes
    var remote = 0
    for source in 0..<members {
      for node in 0..<nodes where node != source / ranksPerNode {
        remote += Int(rows.nodeRows[source * nodes + node])
      }
    }
    nodeRows = Double(rows.nodeRows.reduce(0) { $0 + Int($1) }) / Double(members)
    rankRows = Double(rows.received.reduce(0) { $0 + Int($1) }) / Double(members)
    remoteRows = Double(remote) / Double(members)
    cardUse = Ratio(cards.seconds / max(time.seconds, 1e-15))
    nvlinkUse = Ratio(links.seconds / max(time.seconds, 1e-15))
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
