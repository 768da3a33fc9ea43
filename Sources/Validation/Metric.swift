/// A figure of a training step or run that can be both published and predicted.
public enum Metric: String, CaseIterable, Codable, Sendable {
  case stepSeconds = "step_seconds"
  /// Forward-only chunks, mean over pipeline ranks; the next five are the step's other parts in the terms of
  /// arXiv 2505.09343, Table 4.
  case forwardSeconds = "forward_seconds"
  case backwardInputSeconds = "backward_input_seconds"
  case backwardWeightSeconds = "backward_weight_seconds"
  case overlappedSeconds = "overlapped_seconds"
  case bubbleSeconds = "bubble_seconds"
  case optimizerSeconds = "optimizer_seconds"
  /// One overlapped forward and backward pair of a stage of four mixture layers, without pipeline
  /// communication.
  case overlappedPairSeconds = "overlapped_pair_seconds"
  case tokensPerDay = "tokens_per_day"
  /// Forward and backward without recomputation, attention as a causal mask needs it.
  case teraflopsCausal = "tflops_per_gpu_causal"
  /// Forward and backward without recomputation, attention over the full square.
  case teraflopsFull = "tflops_per_gpu_full"
  case utilizationCausal = "mfu_causal"
  case utilizationFull = "mfu_full"
  /// By ``GPTShape/modelFLOPs(sequences:)``.
  case teraflopsMegatron = "tflops_per_gpu_megatron"
  /// By ``GPTShape/fullRecomputeFLOPs(sequences:)``.
  case teraflopsMegatronRecompute = "tflops_per_gpu_megatron_recompute"
  /// ``teraflopsMegatron`` over the peak that the publication divides by.
  case utilizationMegatron = "mfu_megatron"
  case gpuHours = "gpu_hours"
  case dollars
  /// Of DeepEP's normal kernels alone: logical bytes over NVLink within a node, else over RDMA.
  case dispatchBandwidth = "dispatch_gb_per_s"
  case combineBandwidth = "combine_gb_per_s"
  /// Of DeepEP's low-latency kernels alone.
  case lowLatencyDispatch = "low_latency_dispatch_us"
  case lowLatencyCombine = "low_latency_combine_us"

  /// The unit that its values are in; empty for a ratio.
  public var unit: String {
    switch self {
    case .stepSeconds, .forwardSeconds, .backwardInputSeconds, .backwardWeightSeconds, .overlappedSeconds,
      .bubbleSeconds, .optimizerSeconds, .overlappedPairSeconds:
      "s"
    case .tokensPerDay: "tokens/day"
    case .teraflopsCausal, .teraflopsFull, .teraflopsMegatron, .teraflopsMegatronRecompute: "TFLOPS"
    case .utilizationCausal, .utilizationFull, .utilizationMegatron: ""
    case .gpuHours: "GPU-hours"
    case .dollars: "$"
    case .dispatchBandwidth, .combineBandwidth: "GB/s"
    case .lowLatencyDispatch, .lowLatencyCombine: "us"
    }
  }
}
