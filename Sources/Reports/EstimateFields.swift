import Documents
import Units

/// A report's content as a tree: values with what CSV says about them.
///
/// JSON and CSV are two ways to write this one tree, so that they cannot disagree.
indirect enum Field {
  case leaf(Value, unit: String, tag: Tag?, source: String)
  case group([(key: String, field: Field)])
  case list([Field])

  static func text(_ text: String) -> Field { .leaf(.text(text), unit: "", tag: nil, source: "") }
  static func flag(_ flag: Bool) -> Field { .leaf(.bool(flag), unit: "", tag: nil, source: "") }
  static func whole(_ number: Int, _ unit: String = "", _ tag: Tag? = nil, _ source: String = "") -> Field {
    .leaf(.integer(number), unit: unit, tag: tag, source: source)
  }
  static func number(_ number: Double, _ unit: String, _ tag: Tag? = nil, _ source: String = "") -> Field {
    precondition(number.isFinite, "a report holds only finite numbers")
    return .leaf(.number(number), unit: unit, tag: tag, source: source)
  }
  static let null = Field.leaf(.null, unit: "", tag: nil, source: "")

  /// Without units, tags and sources: the keys name the units.
  var value: Value {
    switch self {
    case .leaf(let value, _, _, _): value
    case .group(let fields): .mapping(fields.map { Value.Entry($0.key, $0.field.value) })
    case .list(let fields): .list(fields.map(\.value))
    }
  }
}

extension Estimate {
  /// Everything but the picture, headline sections in the order of the report.
  var fields: Field {
    .group(
      [
        ("model", modelFields),
        ("cluster", clusterFields),
        ("plan", planFields),
        ("step", stepFields),
      ] + (experts.map { [("experts", $0.fields)] } ?? []) + [
        ("throughput", throughputFields),
        ("memory", memoryFields),
        ("run", runFields),
        ("cost", costFields),
        ("comparisons", comparisonFields),
        ("assumptions", assumptionFields),
        ("provenance", provenanceFields),
      ])
  }

  private static let simulated = "simulated step"

  private var modelFields: Field {
    .group([
      ("name", .text(model.name)),
      ("source", .text(model.source)),
      ("parameters_total", .whole(model.parametersTotal, "parameters", .derived, model.source)),
      ("parameters_active", .whole(model.parametersActive, "parameters", .derived, model.source)),
      (
        "parameters_with_mtp",
        .whole(model.parametersWithMultiTokenPrediction, "parameters", .derived, model.source)
      ),
      ("flops_per_token_causal", .number(model.flopsPerTokenCausal.value, "FLOP", .derived, model.source)),
      ("flops_per_token_full", .number(model.flopsPerTokenFull.value, "FLOP", .derived, model.source)),
    ])
  }

  private var clusterFields: Field {
    .group([
      ("name", .text(cluster.name)), ("gpus", .whole(cluster.gpus, "GPUs")),
      ("nodes", .whole(cluster.nodes, "nodes")), ("gpu", .text(cluster.gpu)),
    ])
  }

  private var planFields: Field {
    .group([
      ("name", .text(plan.name)),
      ("schedule", .text(plan.schedule)),
      ("tensor", .whole(plan.tensor)),
      ("sequence_parallel", .flag(plan.sequenceParallel)),
      ("context", .whole(plan.context)),
      ("pipeline", .whole(plan.pipeline)),
      ("virtual_stages", .whole(plan.virtualStages)),
      ("expert", .whole(plan.expert)),
      ("expert_tensor", .whole(plan.expertTensor)),
      ("data", .whole(plan.data)),
      ("zero_stage", .whole(plan.zeroStage)),
      ("micro_batch_sequences", .whole(plan.microBatch, "sequences")),
      ("global_batch_sequences", .whole(plan.globalBatch, "sequences")),
      ("micro_batches", .whole(plan.microBatches)),
      ("sequence_tokens", .whole(plan.sequence, "tokens")),
      ("recompute", .text(plan.recompute)),
      ("precision", .text(plan.precision)),
      ("communication_sms", .whole(plan.communicationSMs, "SMs")),
    ])
  }

  private static func seconds(_ span: Span) -> Field { .number(span.exactSeconds, "s", .derived, simulated) }

  private static func fields(of parts: Parts) -> [(key: String, field: Field)] {
    parts.named.map { ($0.part.rawValue, seconds($0.time)) }
  }

  private var stepFields: Field {
    .group([
      ("seconds", Self.seconds(step.length)),
      ("tokens", .whole(step.tokens, "tokens", .derived, "global batch × sequence")),
      ("parts", .group(Self.fields(of: step.parts))),
      ("parts_unit", .text("s")),
      (
        "ranks",
        .list(
          step.ranks.enumerated().map { index, parts in
            .group([("pipeline_rank", .whole(index)), ("parts", .group(Self.fields(of: parts)))])
          })
      ),
      (
        "exposed_communication",
        .list(
          step.exposedCommunication.map {
            .group([("kind", .text($0.kind)), ("seconds", Self.seconds($0.time))])
          })
      ),
      (
        "critical_path",
        .list(
          step.criticalPath.map {
            .group([
              ("kind", .text($0.kind)), ("seconds", Self.seconds($0.time)),
              ("share", .number(step.share(of: $0.time), "", .derived, Self.simulated)),
            ])
          })
      ),
    ])
  }

  private var throughputFields: Field {
    func rate(_ number: Double, _ unit: String) -> Field { .number(number, unit, .derived, Self.simulated) }
    return .group([
      ("tokens_per_second", rate(throughput.tokensPerSecond, "tokens/s")),
      ("tokens_per_second_per_gpu", rate(throughput.tokensPerSecondPerGPU, "tokens/s/GPU")),
      ("tokens_per_day", rate(throughput.tokensPerDay, "tokens/day")),
      ("tflops_per_gpu_causal", rate(throughput.perGPUCausal.value / 1e12, "TFLOPS/GPU")),
      ("tflops_per_gpu_full", rate(throughput.perGPUFull.value / 1e12, "TFLOPS/GPU")),
      ("mfu_causal", rate(throughput.utilisationCausal.value, "")),
      ("mfu_full", rate(throughput.utilisationFull.value, "")),
      ("numerator", .text(throughput.numerator)),
      ("denominator", .text(throughput.denominator)),
    ])
  }

  private var memoryFields: Field {
    func bytes(_ bytes: Bytes) -> Field {
      .whole(Int(bytes.count), "B", .derived, "memory model of the plan")
    }
    let ranks = memory.ranks.map { rank in
      Field.group([
        ("pipeline_rank", .whole(rank.pipelineRank)),
        ("parts", .group(rank.named.map { ($0.part.rawValue, bytes($0.size)) })),
        ("total_bytes", bytes(rank.total)),
      ])
    }
    return .group([
      ("peak_bytes", bytes(memory.peak)),
      ("capacity_bytes", .whole(Int(memory.capacity.count), "B")),
      ("worst_rank", .whole(memory.worst.pipelineRank)),
      ("fits", .flag(memory.fits)),
      ("parts_unit", .text("B")),
      ("ranks", .list(ranks)),
    ])
  }

  private var runFields: Field {
    .group([
      ("tokens", .whole(run.tokens, "tokens")),
      ("days", .number(run.days, "days", .derived, Self.simulated)),
      ("gpu_hours", .number(run.gpuHours.value, "GPU-hours", .derived, Self.simulated)),
      (
        "gpu_hours_per_trillion_tokens",
        .number(run.gpuHoursPerTrillionTokens.value, "GPU-hours/10¹² tokens", .derived, Self.simulated)
      ),
    ])
  }

  private var costFields: Field {
    guard let cost else {
      return .group(["usd", "usd_per_gpu_hour", "price_source", "price_tag"].map { ($0, .null) })
    }
    return .group([
      ("usd", .number(cost.total.value, "$", .derived, "GPU-hours × price")),
      ("usd_per_gpu_hour", .number(cost.price.value.value, "$/GPU-hour", cost.price.tag, cost.price.source)),
      ("price_source", .text(cost.price.source)),
      ("price_tag", .text(cost.price.tag.rawValue)),
    ])
  }

  private var comparisonFields: Field {
    .list(
      comparisons.map {
        .group([
          ("what", .text($0.what)), ("unit", .text($0.unit)),
          ("predicted", .number($0.predicted, $0.unit, .derived, Self.simulated)),
          ("published", .number($0.published, $0.unit, .published, $0.source)),
          ("error", .number($0.error, "", .derived, "predicted ÷ published − 1")),
          ("source", .text($0.source)),
        ])
      })
  }

  private var assumptionFields: Field {
    .list(
      assumptions.map { assumption in
        .group([
          ("what", .text(assumption.what)),
          (
            "value",
            assumption.value.map {
              .leaf(.text($0), unit: "", tag: assumption.tag, source: assumption.source)
            } ?? .null
          ),
          ("tag", .text(assumption.tag.rawValue)),
          ("source", .text(assumption.source)),
        ])
      })
  }

  private var provenanceFields: Field {
    .group([
      ("version", .text(provenance.version)),
      ("seed", .whole(provenance.seed)),
      (
        "inputs",
        .list(
          provenance.inputs.map {
            .group([
              ("name", .text($0.name)), ("path_or_shipped_name", .text($0.pathOrShippedName)),
              ("sha256", .text($0.sha256)),
            ])
          })
      ),
    ])
  }
}

extension Estimate.Step {
  /// A time as a share of the step; zero for an empty step.
  func share(of time: Span) -> Double {
    length == .zero ? 0 : Double(time.picoseconds) / Double(length.picoseconds)
  }
}
