import Documents
import Kernels
import Models

extension Model {
  /// Refuses what the kernels cannot compute.
  ///
  /// - Throws: A ``Diagnostic`` that names the first obstacle.
  public func requireExecutable() throws {
    func refuse(_ path: String, found: String, allowed: String) -> Diagnostic {
      Diagnostic(
        .data, "the model cannot be executed", file: source, path: path, found: found, allowed: allowed,
        hint: "it can be simulated; to execute one, try deepseek-v3-mini")
    }
    guard !family.learnsPositions else {
      throw refuse(
        "model_type", found: "\(family.rawValue), with LayerNorm, GELU and learned positions",
        allowed: Family.allCases.filter { !$0.learnsPositions }.map(\.rawValue).joined(separator: ", "))
    }
    guard feedForward.isGated, !feedForward.hasBias else {
      throw refuse("mlp_bias", found: "a feed-forward network with biases", allowed: "SwiGLU without biases")
    }
    if case .other(let kind) = numerics.ropeScaling {
      throw refuse("rope_scaling", found: kind, allowed: "default, linear, yarn, llama3")
    }
    let dimension = rotaryDimension
    guard dimension % 2 == 0 else {
      throw refuse("head_dim", found: "\(dimension) rotated elements", allowed: "an even number")
    }
  }

  /// Elements of a head that are rotated.
  private var rotaryDimension: Int {
    switch attention {
    case .latent(let latent): latent.rotaryDimension
    case .grouped(let grouped): grouped.headDimension
    }
  }

  /// The rotation of the model's attention for positions below `length`.
  ///
  /// - Precondition: The model is executable.
  public func rotaryTable(length: Int) -> RotaryTable {
    let isLatent = if case .latent = attention { true } else { false }
    return RotaryTable(
      dimension: rotaryDimension, length: length, theta: numerics.ropeTheta,
      pairing: isLatent ? .interleaved : .halves, scaling: RotaryTable.Scaling(numerics.ropeScaling))
  }
}

extension RotaryTable.Scaling {
  /// - Precondition: The kind of scaling is one that is executed.
  init(_ scaling: RopeScaling) {
    switch scaling {
    case .none: self = .none
    case .linear(let factor): self = .linear(factor: factor)
    case .yarn(let yarn):
      self = .yarn(
        RotaryTable.Yarn(
          factor: yarn.factor, originalLength: yarn.originalLength, betaFast: yarn.betaFast,
          betaSlow: yarn.betaSlow, mscale: yarn.mscale, mscaleAllDimensions: yarn.mscaleAllDimensions))
    case .llama3(let llama):
      self = .llama3(
        RotaryTable.Llama3(
          factor: llama.factor, lowFrequencyFactor: llama.lowFrequencyFactor,
          highFrequencyFactor: llama.highFrequencyFactor, originalLength: llama.originalLength))
    case .other(let kind): preconditionFailure("rotation of kind \(kind) is refused before")
    }
  }
}
