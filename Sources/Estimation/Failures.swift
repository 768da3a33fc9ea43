import Documents
import Programs
import Timing

/// Any error of the chain as one that a person can act on.
public func diagnostic(for error: any Error) -> Diagnostic {
  switch error {
  case let error as Diagnostic: error
  case let error as VerificationError:
    Diagnostic(
      .data, "the program of this plan cannot run", found: error.description,
      hint: "a built-in schedule should never lead here; an order from a file may")
  case let error as UntimedKernel:
    Diagnostic(
      .data, "the GPU's tables do not time a kernel of this plan", path: error.gpu, found: error.kernel,
      hint: "choose a format that the GPU states a peak for, or add the kernel's calibration to its file")
  default: Diagnostic(.internal, "an unexpected error", found: "\(error)", hint: "please report it")
  }
}
