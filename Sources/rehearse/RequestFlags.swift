import ArgumentParser
import Estimation

/// The flags that name a model, a cluster and a plan.
struct RequestFlags: ParsableArguments {
  @Option(help: "A shipped model, or a Hugging Face config.json.") var model: String?
  @Option(help: "A shipped cluster, or a YAML file.") var cluster: String?
  @Option(help: "A shipped plan, or a YAML file.") var plan: String?
  @Option(help: "GPUs, in place of the cluster's number.") var gpus: Int?
  @OptionGroup(title: "Plan") var planFlags: PlanFlags

  /// - Parameter name: A plan given as an argument; the flag goes before it.
  func request(plan name: String? = nil) throws -> EstimateRequest {
    var request = EstimateRequest()
    request.model = model
    request.cluster = cluster
    request.plan = plan ?? name
    request.gpus = gpus
    request.overrides = try planFlags.overrides()
    return request
  }
}
