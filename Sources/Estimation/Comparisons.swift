import Economics
import Reports
import Validation

extension EstimateInputs {
  /// What the authors of this run published, beside what comes out here; empty unless the run is theirs, unchanged.
  func comparisons(_ step: SimulatedStep, run cost: RunCost) throws -> [Estimate.Comparison] {
    guard isAsPublished else { return [] }
    let figures = step.figures
    var comparisons: [Estimate.Comparison] = []
    for family in try publishedFamilies() {
      for published in family.cases where published.isRun(of: plan.plan.name, model: model.name, on: cluster) {
        comparisons += published.figures.compactMap { figure in
          let predicted = figures[figure.metric] ?? totals(cost)[figure.metric]
          return predicted.map {
            Estimate.Comparison(
              what: figure.metric.title, unit: figure.metric.unit, predicted: $0, published: figure.value,
              source: figure.source)
          }
        }
      }
    }
    if let run, run.cluster == cluster.name, let perTrillion = run.published.gpuHoursPerTrillionTokens {
      comparisons.append(
        Estimate.Comparison(
          what: "a trillion tokens", unit: "GPU-hours",
          predicted: cost.gpuHoursPerTrillionTokens.value, published: perTrillion.value.value,
          source: perTrillion.source))
    }
    return comparisons
  }

  private func totals(_ cost: RunCost) -> [Metric: Double] {
    var totals: [Metric: Double] = [:]
    // Whole-run figures of another cluster were not published.
    guard run?.cluster == cluster.name else { return totals }
    totals[.gpuHours] = cost.gpuHours.value
    totals[.dollars] = cost.rent?.dollars.value
    return totals
  }
}
