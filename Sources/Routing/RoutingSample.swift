import Foundation
import Models
import Synchronization

/// The routing of all of a model's mixture layers: how often experts are chosen, and choices of some tokens.
///
/// Every source of tokens chooses alike, so that one sample serves all ranks, whatever places the experts.
public struct RoutingSample: Hashable, Sendable {
  /// One layer with a mixture.
  public struct Layer: Hashable, Sendable {
    /// Of the model; those of multi-token prediction follow the decoder's.
    public let layer: Int
    /// How often a token chooses each expert, as the popularity asks for it: `[experts]`, `topK` in all.
    public let frequencies: [Double]
    /// `[tokens, topK]`.
    public let choices: [Int32]
  }

  /// Where more choices come from.
  public let draw: RoutingDraw
  /// Ascending.
  public let layers: [Layer]

  public var mixture: Mixture { draw.mixture }

  /// Draws a sample, or nil where the model has no mixture.
  ///
  /// - Parameter tokens: Of each layer; at least as many as there are experts are drawn.
  /// - Precondition: As of ``RoutingDraw``.
  /// - Complexity: O(layers × tokens × experts), on as many threads as there are cores.
  public init?(model: Model, popularity: ExpertPopularity, seed: UInt64, tokens: Int = 4096) {
    guard let draw = RoutingDraw(model: model, popularity: popularity, seed: seed) else { return nil }
    self.draw = draw
    let mixture = draw.mixture
    let numbers = (0..<model.layers + model.multiTokenPredictionDepth).filter(model.isMixtureLayer)
    let tokens = max(tokens, mixture.routedExperts)
    layers = inParallel(numbers.count) { index in
      let shares = popularity.shares(layer: index, experts: mixture.routedExperts, seed: seed)
      return Layer(
        layer: numbers[index], frequencies: Routing.frequencies(shares, chosen: mixture.topK),
        choices: draw.choices(layer: numbers[index], batch: 0, source: 0, tokens: tokens))
    }
  }
}

/// Results in order, whichever thread made them.
private func inParallel<Result: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Result) -> [Result] {
  let results = Mutex([Result?](repeating: nil, count: count))
  DispatchQueue.concurrentPerform(iterations: count) { index in
    let result = body(index)
    results.withLock { $0[index] = result }
  }
  return results.withLock { $0.compactMap(\.self) }
}
