import Units

extension EstimatePage {
  private func row(_ name: String, _ value: String, _ note: String = "") -> [String: String] {
    ["name": name, "value": value, "note": note]
  }

  var throughput: [[String: String]] {
    let rates = estimate.throughput
    return [
      row("tokens a second", counted(rates.tokensPerSecond)),
      row("tokens a second and GPU", significant(rates.tokensPerSecondPerGPU, digits: 4)),
      row("tokens a day", counted(rates.tokensPerDay)),
      row("model FLOPS a GPU, causal attention", rates.perGPUCausal.shown),
      row("model FLOPS a GPU, full attention", rates.perGPUFull.shown),
      row("MFU, causal attention", percent(rates.utilisationCausal.value, decimals: 2)),
      row("MFU, full attention", percent(rates.utilisationFull.value, decimals: 2)),
    ]
  }

  var run: [[String: String]] {
    let run = estimate.run
    var rows = [
      row("tokens", counted(Double(run.tokens))),
      row("time at this rate", days(run.days)),
      row("GPU-hours", grouped(Int(run.gpuHours.value.rounded()))),
      row("GPU-hours per 10¹² tokens", grouped(Int(run.gpuHoursPerTrillionTokens.value.rounded()))),
    ]
    if let cost = estimate.cost {
      let price = cost.price
      rows.append(
        row(
          "price of a GPU-hour", "$" + fixed(price.value.value, decimals: 2),
          "\(price.tag.mark) \(price.tag.rawValue): \(price.source)"))
      rows.append(row("cost", cost.total.shown))
    } else {
      rows.append(row("cost", "unknown", "no price of a GPU-hour was given"))
    }
    return rows
  }

  var comparisons: [[String: String]] {
    estimate.comparisons.map {
      [
        "what": $0.what + ($0.unit.isEmpty ? "" : ", \($0.unit)"), "predicted": $0.shown($0.predicted),
        "published": $0.shown($0.published), "error": signedPercent($0.error), "source": $0.source,
      ]
    }
  }

  var assumptions: [[String: String]] {
    estimate.assumptions.map {
      [
        "mark": $0.tag.mark, "tag": $0.tag.rawValue, "what": $0.what, "value": $0.value ?? "",
        "source": $0.source,
      ]
    }
  }

  /// Model, cluster and plan, a short entry each.
  var settings: [[String: Any]] {
    let model = estimate.model
    let cluster = estimate.cluster
    let plan = estimate.plan
    func group(_ title: String, _ rows: [[String: String]]) -> [String: Any] {
      ["title": title, "rows": rows]
    }
    return [
      group(
        "Model",
        [
          row("name", model.name),
          row("parameters", counted(Double(model.parametersTotal))),
          row("active for a token", counted(Double(model.parametersActive))),
          row("with multi-token prediction", counted(Double(model.parametersWithMultiTokenPrediction))),
          row("work a token, causal", model.flopsPerTokenCausal.shown),
          row("work a token, full", model.flopsPerTokenFull.shown),
        ]),
      group(
        "Cluster",
        [
          row("name", cluster.name), row("GPUs", "\(grouped(cluster.gpus)) × \(cluster.gpu)"),
          row("nodes", grouped(cluster.nodes)),
        ]),
      group(
        "Parallelism",
        [
          row("plan", plan.name),
          row("schedule", plan.schedule),
          row("pipeline ranks", "\(plan.pipeline)"),
          row("virtual stages", "\(plan.virtualStages)"),
          row("tensor", "\(plan.tensor)" + (plan.sequenceParallel ? ", sequence parallel" : "")),
          row("context", "\(plan.context)"),
          row("expert", "\(plan.expert)" + (plan.expertTensor > 1 ? " × \(plan.expertTensor) tensor" : "")),
          row("data", "\(plan.data)"),
          row("ZeRO stage", "\(plan.zeroStage)"),
        ]),
      group(
        "Batch and precision",
        [
          row("global batch", "\(grouped(plan.globalBatch)) sequences"),
          row("sequence", "\(grouped(plan.sequence)) tokens"),
          row("micro-batch", "\(grouped(plan.microBatch)) sequences"),
          row("micro-batches a pipeline", grouped(plan.microBatches)),
          row("recompute", plan.recompute),
          row("precision", plan.precision),
          row("SMs for communication", "\(plan.communicationSMs)"),
        ]),
    ]
  }
}

extension Tag {
  /// For the page's legend.
  var meaning: String {
    switch self {
    case .measured: "read off real hardware"
    case .published: "printed in a paper, a report or a data sheet"
    case .derived: "computed from other numbers"
    case .assumed: "not known: chosen, and said so"
    }
  }
}
