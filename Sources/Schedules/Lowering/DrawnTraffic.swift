import Plans
import Programs
import Routing

extension TrafficTable {
  /// Rows and pairs of every exchange of a plan, counted from the choices of each rank's own tokens.
  ///
  /// Experts lie as the plan's loads place them, or in order.
  /// - Precondition: The plan has expert ranks, and the draw is of its model.
  /// - Complexity: O(exchanges × tokens of an expert group × experts).
  public init(_ plan: ValidPlan, drawnBy draw: RoutingDraw) {
    let members = plan.plan.expert
    let grid = plan.grid
    precondition(members > 1, "tokens travel")
    self.init(members: members)
    let ranksPerNode = grid.span(
      of: grid.group(.expert, containing: 0), gpusPerNode: plan.cluster.gpusPerNode.value
    ).ranksPerNode
    let inOrder = ExpertPlacement(contiguous: draw.mixture.routedExperts, gpus: members)
    for group in grid.groups(.expert) {
      let rank = grid.coordinates(of: group.first).pipeline
      let index = grid.groupIndex(.expert, containing: group.first)
      let contents = (0..<plan.partsPerRank).map { plan.contents(rank: rank, part: $0) }
      let layers = contents.flatMap { stage in
        Array(stage.layers) + (0..<stage.multiTokenPrediction).map { plan.model.layers + $0 }
      }
      for layer in layers where plan.model.isMixtureLayer(layer) {
        let placement = plan.expertLoads?[layer]?.placement ?? inOrder
        for batch in 0..<plan.microBatches {
          let counts = DispatchCounts(
            choices: draw.choices(
              layer: layer, batch: batch, sources: group.map { $0 % grid.ranksPerStage },
              tokens: plan.residualTokens),
            topK: draw.mixture.topK, placement: placement, ranksPerNode: ranksPerNode)
          let key = Key(layer: layer, batch: batch, group: index)
          set(counts.rows, at: key)
          var pairs = Array(repeating: Int32(0), count: members)
          for (slot, rows) in counts.rowsOfSlot.enumerated() { pairs[placement.gpu(ofSlot: slot)] += rows }
          setPairs(pairs, at: key)
        }
      }
    }
  }
}
