import Models
import Operators
import Plans
import Programs
import Routing

/// Where a layer's dispatches and combines stand among a program's exchanges.
struct ExchangeIndices {
  var forward: (dispatch: Int32, combine: Int32) = (-1, -1)
  var backward: (dispatch: Int32, combine: Int32) = (-1, -1)
  /// Bytes that a rank sends for each.
  var dispatchBytes: Int64 = 0
  var combineBytes: Int64 = 0
}

/// The exchanges of a plan: the same four for all layers, or four of each layer where experts are uneven.
struct ExchangeTable {
  private(set) var exchanges: [Exchange] = []
  private var common = ExchangeIndices()
  private var ofLayer: [Int32: ExchangeIndices] = [:]

  init(_ plan: ValidPlan, seed: UInt64) {
    guard let mixture = plan.model.mixture, plan.plan.expert > 1 else { return }
    let ranksPerNode = plan.grid.span(
      of: plan.grid.group(.expert, containing: 0), gpusPerNode: plan.cluster.gpusPerNode.value
    ).ranksPerNode
    guard let loads = plan.expertLoads else {
      let traffic = ExpertTraffic(
        balanced: mixture, ranks: plan.plan.expert, ranksPerNode: ranksPerNode, seed: seed)
      common = add(
        Exchange(
          tokens: Double(plan.residualTokens), nodesPerToken: traffic.nodesPerToken,
          remoteNodesPerToken: traffic.remoteNodesPerToken, ranksPerToken: traffic.ranksPerToken,
          forwardedPerToken: traffic.forwardedPerToken, bytesPerToken: 0), plan, mixture)
      return
    }
    for (layer, load) in zip(loads.layers, loads.loads) {
      // Tokens start on all ranks alike, so one node in so many is a token's own, and one rank of a node is where its
      // copy lands.
      let nodes = Double(load.nodeChance.count)
      ofLayer[Int32(layer)] = add(
        Exchange(
          tokens: Double(plan.residualTokens), nodesPerToken: load.nodesPerToken,
          remoteNodesPerToken: load.nodesPerToken * (nodes - 1) / nodes, ranksPerToken: load.ranksPerToken,
          forwardedPerToken: load.ranksPerToken * Double(ranksPerNode - 1) / Double(ranksPerNode),
          bytesPerToken: 0, fullestRank: load.fullestRank, fullestNode: load.fullestNode), plan, mixture)
    }
  }

  func callAsFunction(_ layer: Int32) -> ExchangeIndices { ofLayer[layer] ?? common }

  /// Adds forward and backward, there and back, of what travels as a layer's tokens do.
  private mutating func add(_ travel: Exchange, _ plan: ValidPlan, _ mixture: Mixture) -> ExchangeIndices {
    func exchange(_ format: Format, metadata: Int) -> Exchange {
      var exchange = travel
      exchange.bytesPerToken = Double(format.rowBytes(plan.model.hidden))
      exchange.metadataBytesPerToken = metadata
      exchange.membersPerNode = plan.expertMembersPerNode
      return exchange
    }
    func bytes(_ exchange: Exchange) -> Int64 {
      Int64((exchange.tokens * exchange.ranksPerToken * exchange.bytesPerToken).rounded())
    }
    // Beside a row travel its experts and their weights, and on the way back of the backward their gradients.
    let choices = mixture.topK * Exchange.choiceBytes
    let gradients = mixture.topK * Exchange.weightGradientBytes
    let precision = plan.plan.precision
    let first = Int32(exchanges.count)
    exchanges += [
      exchange(precision.dispatch, metadata: choices), exchange(precision.combine, metadata: 0),
      exchange(precision.dispatch, metadata: 0), exchange(precision.combine, metadata: gradients),
    ]
    return ExchangeIndices(
      forward: (first, first + 1), backward: (first + 2, first + 3),
      dispatchBytes: bytes(exchanges[Int(first)]), combineBytes: bytes(exchanges[Int(first) + 1]))
  }
}

extension Format {
  /// Bytes of a row as it travels: tile scales stand behind their elements, one for the last tile even where
  /// it is not full.
  fileprivate func rowBytes(_ elements: Int) -> Int {
    self == .float8 ? elements + (elements + 127) / 128 * 4 : elements * Int(bytesPerElement)
  }
}
