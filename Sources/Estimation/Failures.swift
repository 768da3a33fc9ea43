import Documents
import Programs
import Reports
import Timing
import Units

/// Any error of the chain as one that a person can act on.
public func diagnostic(for error: any Error) -> Diagnostic {
  switch error {
  case let error as Diagnostic: error
  case let error as VerificationError:
    Diagnostic(
      .data, "the program of this plan cannot run", found: error.description,
      hint: "a fault of this program, where the schedule is a built-in one: please report it")
  case let error as UntimedKernel:
    Diagnostic(
      .data, "the GPU's tables do not time a kernel of this plan", path: error.gpu, found: error.kernel,
      hint: "choose a format that the GPU states a peak for, or add the kernel's calibration to its file")
  default: Diagnostic(.internal, "an unexpected error", found: "\(error)", hint: "please report it")
  }
}

extension Estimate.Memory {
  /// By how much and where the plan does not fit; nil where it does.
  public var shortage: Diagnostic? {
    guard !fits else { return nil }
    let full = ranks.count { $0.total > capacity }
    return Diagnostic(
      .doesNotFit, "the plan does not fit in memory",
      path: "pipeline rank \(worst.pipelineRank)" + (full > 1 ? ", and \(full - 1) more" : ""),
      found: "\(peak.shown), \((peak - capacity).shown) too much", allowed: capacity.shown,
      hint: "more tensor, pipeline or expert ranks, a higher ZeRO stage, recomputation, smaller micro-batches"
    )
  }
}
