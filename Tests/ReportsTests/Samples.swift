import Units

@testable import Reports

/// An estimate of the shape that DeepSeek-V3's published run has, with a picture of the given size.
///
/// The figures are those that the papers print; nothing here was simulated.
func sampleEstimate(pipeline: Int = 2, microBatches: Int = 3, capacity: Int64 = 80 << 30) -> Estimate {
  let parts = Estimate.Parts(
    forward: Span(seconds: 1.13), backwardInput: Span(seconds: 1.99), backwardWeight: Span(seconds: 0.48),
    overlapped: Span(seconds: 13.95), bubble: Span(seconds: 2.06), optimizer: Span(seconds: 0.29))
  return Estimate(
    model: .init(
      name: "DeepSeek-V3", source: "deepseek-ai/DeepSeek-V3 on Hugging Face, config.json",
      parametersTotal: 671_026_419_200, parametersActive: 36_625_618_432,
      parametersWithMultiTokenPrediction: 684_489_845_504, flopsPerTokenCausal: FLOPs(250.5e9),
      flopsPerTokenFull: FLOPs(281.2e9)),
    cluster: .init(name: "H800-2048", gpus: 2048, nodes: 256, gpu: "H800"),
    plan: .init(
      name: "deepseek-v3", schedule: "dualpipe", tensor: 1, sequenceParallel: false, context: 1,
      pipeline: pipeline,
      virtualStages: 2, expert: 64, expertTensor: 1, data: 128, zeroStage: 1, microBatch: 1,
      globalBatch: 15_360,
      microBatches: 120, sequence: 4096, recompute: "norm + mla_up + swiglu",
      precision: "FP8 products, BF16 attention, FP8 dispatch, BF16 combine", communicationSMs: 20),
    step: .init(
      length: Span(seconds: 19.926), tokens: 62_914_560, parts: parts,
      ranks: (0..<pipeline).map { rank in
        var own = parts
        let shift = Span(seconds: 0.04 * Double(rank))
        own.forward += shift
        own.bubble -= shift
        return own
      },
      exposedCommunication: [
        .init(kind: "dispatch", time: Span(milliseconds: 312.4)),
        .init(kind: "combine", time: Span(milliseconds: 401.7)),
        .init(kind: "pipeline transfer", time: Span(milliseconds: 88.1)),
        .init(kind: "gradient reduction", time: Span(milliseconds: 41.0)),
      ],
      criticalPath: [
        .init(kind: "overlapped", time: Span(seconds: 14.4)),
        .init(kind: "input gradient", time: Span(seconds: 2.4)),
        .init(kind: "forward", time: Span(seconds: 1.9)),
        .init(kind: "pipeline transfer", time: Span(seconds: 0.9)),
      ]),
    throughput: .init(
      tokensPerSecond: 3_157_410, tokensPerSecondPerGPU: 1541.7, tokensPerDay: 272.8e9,
      perGPUCausal: FLOPsPerSecond(385.1e12), perGPUFull: FLOPsPerSecond(432.3e12),
      utilisationCausal: Ratio(0.3894),
      utilisationFull: Ratio(0.4373), numerator: "model FLOPs, forward and backward, no recompute, no MTP",
      denominator: "BF16 dense peak 989 TFLOPS"),
    memory: sampleMemory(pipeline: pipeline, capacity: capacity),
    run: .init(
      tokens: 14_800_000_000_000, days: 54.25, gpuHours: GPUHours(2_666_483),
      gpuHoursPerTrillionTokens: GPUHours(180_168)),
    cost: .init(
      total: Dollars(5_332_966),
      price: Sourced(
        DollarsPerGPUHour(2), tag: .assumed,
        source: "DeepSeek-V3 technical report, Table 1: assumed rental price")),
    comparisons: [
      .init(
        what: "step", unit: "s", predicted: 19.926, published: 19.926, source: "arXiv 2505.09343, Table 4"),
      .init(
        what: "pre-training", unit: "GPU-hours", predicted: 2_666_483, published: 2_664_000,
        source: "arXiv 2412.19437, Table 1"),
      .init(
        what: "pre-training", unit: "$", predicted: 5_332_966, published: 5_328_000,
        source: "arXiv 2412.19437, Table 1"),
    ],
    assumptions: [
      .init(
        what: "achieved NVLink bandwidth", value: "160 GB/s", tag: .published,
        source: "arXiv 2505.09343, section 4: 200 GB/s of which about 160 are achieved"),
      .init(
        what: "sustained share of the FP8 peak, dense products", value: "72.0 %", tag: .derived,
        source: "DeepGEMM's table of February 2025"),
      .init(what: "experts are balanced", tag: .assumed, source: "no routing file was given"),
      .init(
        what: "gap between kernels", value: "1.5 µs", tag: .measured,
        source: "recorded training trace, H800, EP64"),
    ],
    provenance: .init(
      version: "0.1.0", seed: 1,
      inputs: [
        .init(
          name: "model", pathOrShippedName: "deepseek-v3",
          sha256: String(repeating: "0123456789abcdef", count: 4)),
        .init(
          name: "cluster", pathOrShippedName: "h800-2048",
          sha256: String(repeating: "fedcba9876543210", count: 4)),
        .init(
          name: "plan", pathOrShippedName: "plans/a <folder> & \"more\"/deepseek-v3.yaml",
          sha256: String(repeating: "00ff", count: 16)),
      ]),
    picture: samplePicture(ranks: pipeline, microBatches: microBatches))
}

func sampleMemory(pipeline: Int, capacity: Int64) -> Estimate.Memory {
  func gibibytes(_ amount: Double) -> Bytes { Bytes(rounding: amount * 0x1p30) }
  return .init(
    capacity: Bytes(capacity),
    ranks: (0..<pipeline).map { rank in
      .init(
        pipelineRank: rank, parameters: gibibytes(13.1), gradients: gibibytes(26.2),
        optimizer: gibibytes(4.8),
        activations: gibibytes(18.5 - 0.25 * Double(rank)), buffers: gibibytes(2.5), reserve: gibibytes(2))
    })
}

/// One forward, one backward: warm-up, pairs woven together, cool-down, optimizer; communication within each block.
func samplePicture(ranks: Int, microBatches: Int) -> PipelinePicture {
  let forward = 60.0
  let backward = 110.0
  let pair = 150.0
  let step = 19926.0
  let scale = step / (Double(microBatches) * pair + Double(2 * ranks) * (forward + backward))
  var rows: [PipelinePicture.Row] = []
  for rank in 0..<ranks {
    var intervals: [PipelinePicture.Interval] = []
    var now = Double(rank) * forward
    func add(_ work: PipelinePicture.Work, _ length: Double, _ label: String) {
      func instant(_ time: Double) -> Instant { Instant.start + Span(milliseconds: time * scale) }
      intervals.append(.init(start: instant(now), end: instant(now + length), work: work, label: label))
      guard work != .optimizer else {
        intervals.append(
          .init(start: instant(now), end: instant(now + length * 0.4), work: .collective, label: "gather"))
        now += length
        return
      }
      intervals.append(
        .init(
          start: instant(now + length * 0.1), end: instant(now + length * 0.3), work: .dispatch, label: label)
      )
      intervals.append(
        .init(
          start: instant(now + length * 0.5), end: instant(now + length * 0.8), work: .combine, label: label))
      intervals.append(
        .init(
          start: instant(now + length * 0.9), end: instant(now + length), work: .pipelineTransfer,
          label: label))
      now += length
    }
    let warmUp = ranks - rank
    for index in 0..<warmUp { add(.forward, forward, "F\(index)") }
    now += Double(ranks - 1 - rank) * backward
    for index in 0..<microBatches - 1 { add(.overlapped, pair, "F\(index + warmUp) B\(index)") }
    for index in 0..<warmUp {
      add(.backwardInput, backward * 0.6, "B\(index)")
      now += index % 2 == 0 ? 0 : 10
      add(.backwardWeight, backward * 0.4, "W\(index)")
    }
    let drained =
      Double(ranks - 1) * forward + Double(ranks) * (forward + backward) + Double(microBatches - 1) * pair
    now = max(now, drained + 12 * Double(ranks))
    add(.optimizer, 0.6 * backward, "optimizer")
    rows.append(.init(label: "rank \(rank)", intervals: intervals))
  }
  return PipelinePicture(rows: rows)
}
