import Documents
import Kernels
import Models
import Operators
import Plans

/// Refuses a plan whose step can be simulated but not yet executed.
///
/// - Throws: A `Diagnostic` for the first choice that stands in the way.
public func requireExecutable(_ plan: ValidPlan, ranks: Int) throws {
  let choices = plan.plan
  func refuse(_ path: String, found: String, allowed: String, hint: String? = nil) -> Diagnostic {
    Diagnostic(
      .data, "the plan cannot be executed yet", path: path, found: found, allowed: allowed, hint: hint)
  }
  guard plan.ranks == ranks else {
    throw Diagnostic(
      .usage, "the plan needs another number of ranks", path: "parallel", found: "\(ranks) ranks",
      allowed: "\(plan.ranks)", hint: "mpirun -n \(plan.ranks) rehearse execute")
  }
  for (path, degree) in [
    ("parallel.tensor", choices.tensor), ("parallel.context", choices.context),
    ("parallel.expert_tensor", choices.expertTensor),
  ] where degree > 1 {
    throw refuse(path, found: "\(degree)", allowed: "1")
  }
  guard choices.zeroStage <= 1 else {
    throw refuse("parallel.zero", found: "\(choices.zeroStage)", allowed: "0 or 1")
  }
  guard choices.recompute == .none else {
    throw refuse("recompute", found: choices.recompute.text, allowed: "none")
  }
  let precision = choices.precision
  for (path, format) in [
    ("precision.parameters", precision.parameters), ("precision.gradients", precision.gradients),
    ("precision.gradient_reduction", precision.gradientReduction), ("precision.master", precision.master),
    ("precision.optimizer_moments", precision.optimizerMoments),
  ] where format != .float32 {
    throw refuse(path, found: format.rawValue, allowed: "fp32", hint: "kernels on CPU compute in fp32")
  }
  guard [.float32, .bfloat16].contains(precision.residual) else {
    throw refuse("precision.residual", found: precision.residual.rawValue, allowed: "fp32, bf16")
  }
  for (path, format) in [
    ("precision.dispatch", precision.dispatch), ("precision.combine", precision.combine),
  ]
  where RowPayload(format) == nil {
    throw refuse(path, found: format.rawValue, allowed: "fp32, bf16, fp8")
  }
  let model = plan.model
  guard model.family != .gpt, model.feedForward.isGated, !model.feedForward.hasBias else {
    throw Diagnostic(
      .data, "the model cannot be executed yet", path: "model_type", found: model.family.rawValue,
      allowed: "models with RMSNorm and SwiGLU", hint: "--model deepseek-v3-mini is small and complete")
  }
  if case .other(let kind) = model.numerics.ropeScaling {
    throw Diagnostic(
      .data, "the model cannot be executed yet", path: "rope_scaling", found: kind,
      allowed: "linear, yarn, llama3, or none")
  }
}
