import Units

/// The sentences that the terminal and the page share.
extension Estimate {
  /// `DeepSeek-V3 on 2,048 × H800`.
  var title: String { "\(model.name) on \(grouped(cluster.gpus)) × \(cluster.gpu)" }

  /// The answer in one sentence.
  var sentence: String {
    let price = cost.map { " and \($0.total.shown)" } ?? ""
    let fit = memory.fits ? "" : " It does not fit in memory."
    return "\(counted(Double(run.tokens))) tokens take \(days(run.days)), \(run.gpuHours.shown)\(price): "
      + "\(step.length.shown) a step at \(percent(throughput.utilisationCausal.value)) MFU (causal).\(fit)"
  }
}

extension Estimate.Step {
  /// Below this share of the step, time that no part claims is rounding and not shown.
  static let negligible = 0.0005
}

extension Estimate.PlanSummary {
  /// Degrees above one, by the field's abbreviations: `PP16 EP64 DP128 ZeRO-1`.
  var degrees: String {
    let named = [
      ("TP", tensor), ("CP", context), ("PP", pipeline), ("VPP", virtualStages), ("EP", expert),
      ("ETP", expertTensor),
    ]
    var texts = named.filter { $0.1 > 1 }.map { "\($0.0)\($0.1)" }
    if sequenceParallel && tensor > 1 { texts.append("SP") }
    texts.append("DP\(data)")
    if zeroStage > 0 { texts.append("ZeRO-\(zeroStage)") }
    return texts.joined(separator: " ")
  }
}

extension Estimate.Comparison {
  /// Either figure, precise enough to tell the two apart.
  func shown(_ number: Double) -> String {
    abs(number) >= 100_000 ? counted(number) : significant(number, digits: 4)
  }
}
