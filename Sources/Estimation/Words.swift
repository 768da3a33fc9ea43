import Clusters
import Validation

extension PublishedCase {
  /// Whether the case is that plan of that model on that cluster, whole.
  func isRun(of plan: String, model: String, on cluster: Cluster) -> Bool {
    guard case .named(let modelName) = self.model, case .named(let planName) = self.plan else { return false }
    return modelName == model && planName == plan && self.cluster == cluster.name && gpus == cluster.gpus
  }
}

extension Metric {
  /// As reports write it, without its unit.
  var title: String {
    switch self {
    case .stepSeconds: "step"
    case .forwardSeconds: "forward (1F)"
    case .backwardInputSeconds: "input gradient (1B)"
    case .backwardWeightSeconds: "weight gradient (1W)"
    case .overlappedSeconds: "overlapped (1F1B)"
    case .bubbleSeconds: "bubble"
    case .optimizerSeconds: "optimizer"
    case .overlappedPairSeconds: "one overlapped pair"
    case .tokensPerDay: "throughput"
    case .teraflopsCausal: "per GPU, causal"
    case .teraflopsFull: "per GPU, full"
    case .utilizationCausal: "MFU, causal"
    case .utilizationFull: "MFU, full"
    case .teraflopsMegatron: "per GPU, model"
    case .teraflopsMegatronRecompute: "per GPU, hardware"
    case .utilizationMegatron: "MFU, model"
    case .gpuHours: "whole run"
    case .dollars: "whole run"
    case .dispatchBandwidth: "dispatch"
    case .combineBandwidth: "combine"
    case .lowLatencyDispatch: "low-latency dispatch"
    case .lowLatencyCombine: "low-latency combine"
    }
  }
}
