extension PipelineOrder {
  /// The pass that frees a micro-batch's activations.
  public enum ActivationRelease: Sendable {
    /// The input gradient needs them last: weight gradients keep what they need elsewhere.
    case inputGradient
    case weightGradient
  }

  /// The most chunks' activations each rank holds at once, in chunks of one stage.
  ///
  /// A pair takes its forward's before it frees its backward's. Divide by ``parts`` for shares of an
  /// interleaved rank.
  ///
  /// - Complexity: O(chunks)
  public func activationPeaks(until release: ActivationRelease) -> [Int] {
    slots.map { slots in
      var held = 0
      var peak = 0
      for slot in slots {
        slot.forEachChunk { chunk in
          switch chunk.pass {
          case .forward: held += 1
          case .backward: held -= 1
          case .backwardInput: held -= release == .inputGradient ? 1 : 0
          case .backwardWeight: held -= release == .weightGradient ? 1 : 0
          }
          peak = max(peak, held)
        }
      }
      return peak
    }
  }
}
