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
    case .forwardSeconds: "forward alone (1F)"
    case .backwardInputSeconds: "input gradients alone (1B)"
    case .backwardWeightSeconds: "weight gradients alone (1W)"
    case .overlappedSeconds: "overlapped pairs (1F1B)"
    case .bubbleSeconds: "bubble"
    case .optimizerSeconds: "optimizer"
    case .overlappedPairSeconds: "one overlapped pair"
    case .tokensPerDay: "tokens a day"
    case .teraflopsCausal: "rate per GPU, causal"
    case .teraflopsFull: "rate per GPU, full"
    case .utilizationCausal: "MFU, causal"
    case .utilizationFull: "MFU, full"
    case .teraflopsMegatron: "rate per GPU, Megatron's rule"
    case .teraflopsMegatronRecompute: "rate per GPU, recomputation counted"
    case .utilizationMegatron: "MFU, Megatron's rule"
    case .gpuHours: "GPU-hours"
    case .dollars: "cost"
    }
  }
}
