import Dispatch
import Foundation
import Models

/// How often experts are chosen, layer by layer; shorter lists than the model has mixture layers start over.
public enum ExpertPopularity: Hashable, Sendable {
  case balanced
  /// The r-th most popular expert of a layer is chosen in proportion to `r^-exponent`; which one that is differs from
  /// layer to layer. One exponent for each mixture layer.
  case zipf(exponents: [Double])
  /// Choices or counts of each expert, `[mixture layer, expert]`, in any unit.
  case recorded([[Double]])

  /// The shares of a layer's experts, in any unit.
  ///
  /// - Parameter layer: Among the mixture layers, from 0.
  func shares(layer: Int, experts: Int, seed: UInt64) -> [Double] {
    switch self {
    case .balanced: return Array(repeating: 1, count: experts)
    case .zipf(let exponents):
      var generator = SeededGenerator(seed: seed, stream: "popularity \(layer)")
      let exponent = exponents[layer % exponents.count]
      var order = Array(0..<experts)
      for index in order.indices.dropLast() {
        order.swapAt(index, index + Int(generator.next() % UInt64(experts - index)))
      }
      var shares = Array(repeating: 0.0, count: experts)
      for (rank, expert) in order.enumerated() { shares[expert] = pow(Double(rank + 1), -exponent) }
      return shares
    case .recorded(let layers): return layers[layer % layers.count]
    }
  }
}

/// A seeded source of expert choices with a given popularity, which keeps the model's limits on groups.
///
/// Every token scores the experts: an offset of the expert plus a standard normal number, and the router's rule picks.
/// The offsets are such that experts are chosen as often as wanted. Choices depend on seed, layer, micro-batch and
/// source alone, so that any rank draws its own without drawing the others'.
public struct RoutingDraw: Hashable, Sendable {
  public let mixture: Mixture
  public let seed: UInt64
  /// Offsets of the experts' scores by model layer.
  let offsets: [Int: [Double]]

  /// A source for all of a model's mixture layers, or nil where it has none.
  ///
  /// - Precondition: Popularities are lists of positive length, recorded ones as long as there are experts, and none
  ///   is negative.
  /// - Complexity: O(layers × experts), with a factor of thousands unless balanced.
  public init?(model: Model, popularity: ExpertPopularity, seed: UInt64) {
    guard let mixture = model.mixture else { return nil }
    let layers = (0..<model.layers + model.multiTokenPredictionDepth).filter(model.isMixtureLayer)
    self.init(mixture: mixture, layers: layers, popularity: popularity, seed: seed)
  }

  /// - Parameter layers: The model's layers with a mixture, in order: popularities are theirs one by one.
  public init(mixture: Mixture, layers: [Int], popularity: ExpertPopularity, seed: UInt64) {
    self.mixture = mixture
    self.seed = seed
    if popularity == .balanced {
      let even = Array(repeating: 0.0, count: mixture.routedExperts)
      offsets = Dictionary(layers.map { ($0, even) }, uniquingKeysWith: { first, _ in first })
      return
    }
    let found = inParallel(layers.count) { index in
      let shares = popularity.shares(layer: index, experts: mixture.routedExperts, seed: seed)
      precondition(shares.count == mixture.routedExperts, "one popularity for each expert")
      return scoreOffsets(for: mixture, frequencies: frequencies(shares, chosen: mixture.topK))
    }
    offsets = Dictionary(zip(layers, found), uniquingKeysWith: { _, last in last })
  }

  /// The choices of one rank's tokens in one micro-batch: `[tokens, topK]`, each token's ascending.
  ///
  /// - Parameters:
  ///   - layer: Of the model; those of multi-token prediction follow the decoder's.
  ///   - batch: Micro-batch among all of the step.
  ///   - source: The rank's data index.
  /// - Precondition: The layer has a mixture.
  public func choices(layer: Int, batch: Int, source: Int, tokens: Int) -> [Int32] {
    var generator = SeededGenerator(seed: seed, stream: "routing \(layer) \(batch) \(source)")
    var choice = GroupLimitedChoice(mixture)
    var result: [Int32] = []
    result.reserveCapacity(tokens * mixture.topK)
    guard let offsets = offsets[layer] else { preconditionFailure("the layer has a mixture") }
    var scores = offsets
    for _ in 0..<tokens {
      for expert in scores.indices { scores[expert] = offsets[expert] + generator.nextNormal() }
      choice.choose(scores)
      result.append(contentsOf: choice.chosen)
    }
    return result
  }

  /// The choices of several ranks one after the other: `[sources, tokens, topK]`.
  public func choices(layer: Int, batch: Int, sources: some Sequence<Int>, tokens: Int) -> [Int32] {
    sources.flatMap { choices(layer: layer, batch: batch, source: $0, tokens: tokens) }
  }
}

/// How often each expert is to be chosen by a token, in proportion to shares as far as one choice a token allows.
func frequencies(_ shares: [Double], chosen: Int) -> [Double] {
  var result = Array(repeating: 0.0, count: shares.count)
  var isFull = Array(repeating: false, count: shares.count)
  while true {
    let left = Double(chosen - isFull.count { $0 })
    let sum = zip(shares, isFull).reduce(0) { $0 + ($1.1 ? 0 : $1.0) }
    var changes = false
    for index in shares.indices where !isFull[index] {
      // With no shares at all the choices spread evenly.
      result[index] = sum > 0 ? left * shares[index] / sum : left / Double(isFull.count { !$0 })
    }
    for index in shares.indices where !isFull[index] && result[index] >= 1 {
      result[index] = 1
      isFull[index] = true
      changes = true
    }
    if !changes { return result }
  }
}

/// Lists made beside each other; each depends on its index alone.
private func inParallel(_ count: Int, _ make: @Sendable (Int) -> [Double]) -> [[Double]] {
  struct Target: @unchecked Sendable {
    let lists: UnsafeMutableBufferPointer<[Double]>
  }
  var lists = Array(repeating: [Double](), count: count)
  lists.withUnsafeMutableBufferPointer { buffer in
    let target = Target(lists: buffer)
    DispatchQueue.concurrentPerform(iterations: count) { target.lists[$0] = make($0) }
  }
  return lists
}
